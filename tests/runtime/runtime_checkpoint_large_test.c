/* A checkpoint comes back of which every rank writes more than 2 GiB, in channels of more than 512 MiB. Runs
 * on two ranks; takes 12 GB of memory and 6 GB of disk, and is skipped (77) on machines that have less. */
#include "checkpoint.h"
#include "test.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { C = 6, FRAMES = 860, FEW = 3, SIDE = 512, SKIPPED = 77 };

static const int64_t plane = SIDE * SIDE, large = (int64_t)C * FRAMES * SIDE * SIDE,
                     small = (int64_t)C * FEW * SIDE * SIDE;
static struct reel_comm comm;
static struct reel_checkpoint_directory folder;
static float *video, *x;

/* Collective. Whether rank 0 finds enough memory and disk. */
static int there_is_room(void)
{
    long long kibibytes = 0, free_bytes = 0;
    int room = 0;
    char line[256];
    struct statvfs disk;
    if (comm.world.rank == 0) {
        FILE *file = fopen("/proc/meminfo", "r");
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "MemAvailable: %lld kB", &kibibytes) == 1)
                break;
        if (file)
            fclose(file);
        if (statvfs(test_folder(), &disk) == 0)
            free_bytes = (long long)disk.f_bavail * (long long)disk.f_frsize;
        room = kibibytes > 14LL << 20 && free_bytes > 8LL << 30;
        if (!room)
            printf("%lld GiB of memory and %lld GiB of disk are free, expected 14 and 8\n", kibibytes >> 20,
                   free_bytes >> 30);
    }
    MPI_Bcast(&room, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return room;
}

/* The value of element i of an array; no two elements of a channel have the same. */
static float expected(int64_t i, int64_t salt)
{
    return (float)((uint32_t)((uint64_t)(i + salt) * 2654435761u) >> 8);
}

static struct reel_checkpoint sample(void)
{
    return (struct reel_checkpoint){.metadata = {.chunk_frames = 0,
                                                 .channels = C,
                                                 .rows = SIDE,
                                                 .columns = SIDE,
                                                 .finished_frames = FRAMES},
                                    .job = (char *)"job",
                                    .fingerprint = (char *)"fingerprint",
                                    .arrays = {{"video", video, FRAMES, FRAMES}, {"x", x, FEW, FEW}},
                                    .array_count = 2};
}

static void parts_of_more_than_2_gib_come_back(void)
{
    struct reel_checkpoint checkpoint = sample();
    struct reel_written written;
    int foreign;
    int64_t wrong = 0;
    CHECK(plane * FRAMES * 4 > 512LL << 20 && large * 4 / 2 > 2LL << 30, "the arrays are too small");
    for (int64_t i = 0; i < large; i++)
        video[i] = expected(i, 0);
    for (int64_t i = 0; i < small; i++)
        x[i] = expected(i, 1);
    CHECK(reel_checkpoint_write(&comm, &folder, &checkpoint, &written) == REEL_OK, "%s: %s",
          reel_error_here()->cause, reel_error_here()->trail);
    char path[REEL_CHECKPOINT_PATH_BYTES];
    memcpy(path, written.file, sizeof path);
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    CHECK(reel_checkpoint_verify(&comm, path, &foreign) == REEL_OK, "%s", reel_error_here()->cause);
    memset(video, 0, (size_t)large * sizeof *video);
    memset(x, 0, (size_t)small * sizeof *x);
    CHECK(reel_checkpoint_read_arrays(&comm, path, &checkpoint) == REEL_OK, "%s", reel_error_here()->cause);
    for (int64_t i = 0; i < large; i++)
        wrong += video[i] != expected(i, 0);
    for (int64_t i = 0; i < small; i++)
        wrong += x[i] != expected(i, 1);
    CHECK(wrong == 0, "%lld elements came back otherwise", (long long)wrong);
    if (comm.world.rank == 0)
        printf("%.2f GB in %.1f s\n", (double)written.bytes * 1e-9, written.seconds);
}

int main(int argc, char **argv)
{
    int provided, busy, code = SKIPPED;
    setenv("OMPI_MCA_io", "romio321", 0);
    H5dont_atexit();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    test_folder();
    folder.lock = -1;
    if (there_is_room()) {
        if (comm.world.rank == 0)
            CHECK(reel_checkpoint_directory_lock(test_folder(), &folder, &busy) == REEL_OK && !busy, "%s",
                  reel_error_here()->cause);
        video = malloc((size_t)large * sizeof *video);
        x = malloc((size_t)small * sizeof *x);
        CHECK(video && x, "no memory");
        if (video && x)
            RUN(parts_of_more_than_2_gib_come_back);
        free(video);
        free(x);
    }
    reel_checkpoint_directory_unlock(&folder);
    int ended = test_end(); /* removes the test's folder */
    if (test_functions > 0)
        code = ended;
    reel_comm_close(&comm);
    MPI_Finalize();
    return code;
}
