/* The time to save a checkpoint, compared with a plain parallel write of the same bytes to the same disk in
 * the same run.
 *
 *     launch/reel-mpirun -n 2 build/tests/checkpoint_bench FOLDER [frames] [runs]
 *
 * The state is that of a chunk of 720x1280 (121 pixel frames unless another number is given) with its
 * solver's history. Both write to a temporary file, flush and rename it; a checkpoint is also hashed,
 * reserved, read back and checked. Runs alternate; the results are medians. */
#include "checkpoint.h"
#include "directory_sync.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHANNELS = 16, ROWS = 90, COLUMNS = 160, ARRAYS = 4, RUNS_MAX = 101 };

static struct reel_comm comm;

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

static void need(int condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    MPI_Abort(MPI_COMM_WORLD, 5);
}

/* Each rank writes its part of one file and flushes it; rank 0 renames the file. Returns the seconds. */
static double write_plainly(const char *folder, const float *values, int64_t bytes)
{
    char temporary[600], name[600];
    snprintf(temporary, sizeof temporary, "%s/plain.tmp", folder);
    snprintf(name, sizeof name, "%s/plain", folder);
    MPI_Barrier(comm.world.mpi);
    double began = MPI_Wtime();
    if (comm.world.rank == 0) {
        int made = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        need(made >= 0, temporary);
        close(made);
    }
    MPI_Barrier(comm.world.mpi);
    int file = open(temporary, O_WRONLY);
    need(file >= 0, temporary);
    int64_t first = bytes * comm.world.rank / comm.world.size,
            end = bytes * (comm.world.rank + 1) / comm.world.size;
    for (ssize_t put; first < end; first += put) {
        put = pwrite(file, (const char *)values + first, (size_t)(end - first), first);
        need(put > 0, temporary);
    }
    need(fsync(file) == 0, temporary);
    close(file);
    MPI_Barrier(comm.world.mpi);
    if (comm.world.rank == 0)
        need(rename(temporary, name) == 0 && reel_directory_sync(folder) == 0, name);
    MPI_Barrier(comm.world.mpi);
    return MPI_Wtime() - began;
}

static double save(const struct reel_checkpoint_directory *folder, struct reel_checkpoint *checkpoint)
{
    struct reel_written written;
    MPI_Barrier(comm.world.mpi);
    double began = MPI_Wtime();
    need(reel_checkpoint_write(&comm, folder, checkpoint, &written) == REEL_OK, reel_error_here()->cause);
    if (comm.world.rank == 0)
        reel_checkpoint_directory_prune(
            folder, 1); /* removes the previous checkpoint, as the plain write replaces its file */
    MPI_Barrier(comm.world.mpi);
    return MPI_Wtime() - began;
}

int main(int argc, char **argv)
{
    static const char *const names[ARRAYS] = {"x", "m0", "m1", "last"};
    static double saved[RUNS_MAX], plain[RUNS_MAX];
    int provided, busy, runs = argc > 3 ? atoi(argv[3]) : 9;
    setenv("OMPI_MCA_io", "romio321", 0);
    H5dont_atexit();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    need(argc > 1 && runs > 0 && runs <= RUNS_MAX && reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK,
         "checkpoint_bench FOLDER [frames] [runs]");
    int64_t frames = reel_latent_frames(argc > 2 ? atoll(argv[2]) : 121),
            count = CHANNELS * frames * ROWS * COLUMNS, bytes = ARRAYS * count * (int64_t)sizeof(float);
    float *values = malloc((size_t)bytes);
    struct reel_solver_state *solver = calloc((size_t)frames, sizeof *solver);
    struct reel_chunk chunk = {.frames = frames, .kept = frames};
    struct reel_checkpoint_directory folder = {.lock = -1};
    struct reel_noise random;
    need(values && solver, "memory");
    reel_noise_seed(&random, 42);
    reel_noise_normal(&random, ARRAYS * count, values);
    struct reel_checkpoint checkpoint = {.metadata = {.begun = 1,
                                                      .chunk_frames = frames,
                                                      .channels = CHANNELS,
                                                      .rows = ROWS,
                                                      .columns = COLUMNS},
                                         .chunks = &chunk,
                                         .solver = solver,
                                         .job = (char *)"",
                                         .fingerprint = (char *)"",
                                         .array_count = ARRAYS};
    for (int a = 0; a < ARRAYS; a++)
        checkpoint.arrays[a] = (struct reel_checkpoint_array){names[a], values + a * count, frames, frames};
    if (comm.world.rank == 0)
        need(reel_checkpoint_directory_lock(argv[1], &folder, &busy) == REEL_OK && !busy, argv[1]);
    for (int r = -1; r < runs; r++) { /* the first run of each warms up */
        double first = write_plainly(argv[1], values, bytes), second = save(&folder, &checkpoint);
        if (r >= 0) {
            plain[r] = first;
            saved[r] = second;
        }
    }
    double of_plain = median(plain, runs), of_saved = median(saved, runs), megabytes = 1e-6 * (double)bytes;
    if (comm.world.rank == 0)
        printf("%lld ranks, %.1f MB, medians of %d: plain write %.3f s (%.0f MB/s), checkpoint %.3f s (%.0f "
               "MB/s), "
               "%.0f %% of plain\n",
               (long long)comm.world.size, megabytes, runs, of_plain, megabytes / of_plain, of_saved,
               megabytes / of_saved, 100 * of_plain / of_saved);
    reel_checkpoint_directory_unlock(&folder);
    free(values);
    free(solver);
    reel_comm_close(&comm);
    MPI_Finalize();
    return 0;
}
