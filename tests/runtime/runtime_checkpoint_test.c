/* Checkpoints: what is written comes back on any number of ranks, and a damaged checkpoint is never
 * accepted. */
#include "checkpoint.h"
#include "test.h"

#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { C = 5, FINISHED = 7, ROOM = 11, FRAMES = 6, ROWS = 66, COLUMNS = 94, CALLS = 9, BEGUN = 2, SAVED = 2 };

static struct reel_comm comm;
static struct reel_checkpoint_directory folder;
static struct reel_chunk chunks[BEGUN] = {{0, 0, 5, 0, 0, 5}, {1, 3, 6, 2, 0, 9}};
static struct reel_solver_state solver[FRAMES] = {{0, 0, 0}, {3, 2, 2}, {1, 1, 1}, {2, 2, 2}};
static struct reel_call calls[CALLS];
static struct reel_saving savings[SAVED] = {{0, 0, 3, 1, 2.5}, {0, 1, 3, 1, -0.5}};
static float video[C * ROOM * ROWS * COLUMNS], x[C * FRAMES * ROWS * COLUMNS];
static float video_back[C * ROOM * ROWS * COLUMNS], x_back[C * FRAMES * ROWS * COLUMNS];

static struct reel_checkpoint sample(void)
{
    struct reel_checkpoint checkpoint = {
        .metadata = {.chunk = 1,
                     .iteration = 4,
                     .begun = BEGUN,
                     .chunk_frames = FRAMES,
                     .finished_frames = FINISHED,
                     .channels = C,
                     .rows = ROWS,
                     .columns = COLUMNS,
                     .calls_made = 6,
                     .call_count = CALLS,
                     .saving_count = SAVED,
                     .ranks = comm.world.size,
                     .mesh = {1, 2, 3, 4, 1},
                     .weights = 0xfedcba9876543210u,
                     .done = 17,
                     .attempts = 3,
                     .skipped_iterations = 2,
                     .seconds = 12.25,
                     .chunk_seconds = 1.5,
                     .skipped_seconds = 0.125,
                     .saved_at = 1234567890},
        .chunks = chunks,
        .solver = solver,
        .calls = calls,
        .savings = savings,
        .job = (char *)"video:\n  frames: 33\n",
        .fingerprint = (char *)"sampler.steps: 5\n",
        .arrays = {{"video", video, FINISHED, ROOM}, {"x", x, FRAMES, FRAMES}},
        .array_count = 2};
    reel_noise_seed(&checkpoint.metadata.noise, 7);
    reel_noise_seed(&checkpoint.metadata.addnoise, 8);
    reel_noise_normal(&checkpoint.metadata.noise, 3, x_back); /* leaves one value in the generator's cache */
    return checkpoint;
}

static void fill(void)
{
    struct reel_noise random;
    reel_noise_seed(&random, 42);
    reel_noise_normal(&random, C * ROOM * ROWS * COLUMNS, video);
    reel_noise_normal(&random, C * FRAMES * ROWS * COLUMNS, x);
    for (int c = 0; c < CALLS; c++)
        calls[c] = (struct reel_call){c / 6, c / 2, c % 2, c % 3 > 0, c ? 0.01 * c : NAN, 0.02 * c};
}

/* The path of the newest checkpoint, on every rank. */
static const char *newest(int64_t *count)
{
    static char path[REEL_CHECKPOINT_PATH_BYTES];
    int64_t *generations = NULL;
    MPI_Barrier(MPI_COMM_WORLD);
    *count = 0;
    path[0] = '\0';
    if (reel_checkpoint_directory_list(folder.path, &generations, count) == REEL_OK && *count > 0)
        reel_checkpoint_directory_file(folder.path, generations[0], path);
    free(generations);
    return path;
}

static void comes_back(const char *path)
{
    struct reel_checkpoint written = sample(), read;
    int foreign;
    CHECK(reel_checkpoint_verify(&comm, path, &foreign) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_checkpoint_read(path, &read) == REEL_OK, "%s", reel_error_here()->cause);
    written.metadata.generation = read.metadata.generation;
    written.metadata.ranks = read.metadata.ranks;
    CHECK(memcmp(&written.metadata, &read.metadata, sizeof read.metadata) == 0, "another head");
    CHECK(memcmp(read.chunks, chunks, sizeof chunks) == 0 &&
              memcmp(read.solver, solver, sizeof solver) == 0 &&
              memcmp(read.savings, savings, sizeof savings) == 0 &&
              memcmp(read.calls, calls, sizeof calls) == 0,
          "another table");
    CHECK(strcmp(read.job, written.job) == 0 && strcmp(read.fingerprint, written.fingerprint) == 0,
          "another text");
    read.arrays[0] = (struct reel_checkpoint_array){"video", video_back, FINISHED, ROOM};
    read.arrays[1] = (struct reel_checkpoint_array){"x", x_back, FRAMES, FRAMES};
    read.array_count = 2;
    memset(video_back, 0, sizeof video_back);
    memset(x_back, 0, sizeof x_back);
    CHECK(reel_checkpoint_read_arrays(&comm, path, &read) == REEL_OK, "%s", reel_error_here()->cause);
    for (int64_t c = 0; c < C; c++)
        CHECK(memcmp(video_back + c * ROOM * ROWS * COLUMNS, video + c * ROOM * ROWS * COLUMNS,
                     sizeof(float) * FINISHED * ROWS * COLUMNS) == 0,
              "channel %lld of the video", (long long)c);
    CHECK(memcmp(x, x_back, sizeof x) == 0, "x");
    reel_checkpoint_free(&read);
}

static void what_is_written_comes_back(void)
{
    struct reel_checkpoint checkpoint = sample();
    struct reel_written written;
    int64_t count;
    for (int generation = 1; generation <= 3; generation++) {
        CHECK(reel_checkpoint_write(&comm, &folder, &checkpoint, &written) == REEL_OK, "%s: %s",
              reel_error_here()->cause, reel_error_here()->trail);
        comes_back(newest(&count));
        CHECK(count == generation, "%lld checkpoints", (long long)count);
    }
    if (comm.world.rank == 0) {
        struct stat facts;
        CHECK(stat(written.file, &facts) == 0 && facts.st_size == written.bytes, "%s", written.file);
        reel_checkpoint_directory_prune(&folder, 2);
    }
    newest(&count);
    CHECK(count == 2, "%lld are kept", (long long)count);
}

static void h5py_and_h5dump_would_find_it(void)
{
    int64_t count, generation;
    const char *path = newest(&count);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/latents/x", H5P_DEFAULT),
          attribute = H5Aopen(file, "generation", H5P_DEFAULT);
    CHECK(file >= 0 && set >= 0 && H5Aread(attribute, H5T_NATIVE_INT64, &generation) >= 0 && generation == 3,
          "%s is no HDF5 file to others", path);
    CHECK(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x_back) >= 0 &&
              memcmp(x, x_back, sizeof x) == 0,
          "x through plain HDF5");
    H5Aclose(attribute);
    H5Dclose(set);
    H5Fclose(file);
}

/* Rank 0 overwrites bytes of a file. */
static void overwrite(const char *path, int64_t at, const void *bytes, int64_t count)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (comm.world.rank == 0) {
        int file = open(path, O_WRONLY);
        CHECK(pwrite(file, bytes, (size_t)count, at) == count, "%s could not be damaged", path);
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Reads the bytes at a position, on every rank. */
static void look(const char *path, int64_t at, void *bytes, int64_t count)
{
    int file = open(path, O_RDONLY);
    CHECK(pread(file, bytes, (size_t)count, at) == count, "%s could not be read", path);
    close(file);
}

static int is_whole(const char *path)
{
    int foreign;
    enum reel_status status = reel_checkpoint_verify(&comm, path, &foreign);
    CHECK(status == REEL_OK || status == REEL_BAD_INPUT, "status %d", (int)status);
    CHECK(!foreign, "damage is taken for another version");
    reel_error_clear();
    return status == REEL_OK;
}

/* Damages count bytes at a position, checks that the damage is found, and restores the bytes. */
static void is_found(const char *path, int64_t at, const void *damage, int64_t count, const char *what)
{
    unsigned char whole[65536];
    look(path, at, whole, count);
    if (memcmp(whole, damage, (size_t)count) == 0)
        return; /* the file has these bytes already */
    overwrite(path, at, damage, count);
    CHECK(!is_whole(path), "%s at byte %lld is not found", what, (long long)at);
    overwrite(path, at, whole, count);
}

static void every_kind_of_damage_is_found(void)
{
    int64_t count;
    struct stat facts;
    const char *path = newest(&count);
    unsigned char byte, page[4096] = {0}, many[65536];
    stat(path, &facts);
    CHECK(is_whole(path), "%s", path);
    srand(11);
    for (int i = 0; i < 500; i++) { /* the first 100 lie where metadata is dense */
        int64_t at = rand() % (i < 100 ? 32768 : facts.st_size);
        look(path, at, &byte, 1);
        byte ^= (unsigned char)(1 << rand() % 8);
        is_found(path, at, &byte, 1, "a flipped bit");
    }
    for (int64_t at = 0; at + 4096 <= facts.st_size; at += 4096 * (1 + facts.st_size / 4096 / 40))
        is_found(path, at, page, sizeof page, "a zeroed page");
    memset(many, 0xff, sizeof many);
    for (int64_t at = 0; at + 65536 <= facts.st_size; at += 65536 * (1 + facts.st_size / 65536 / 10))
        is_found(path, at, many, sizeof many, "64 KiB of FF");
    for (int i = 0; i < 20; i++)
        is_found(path, rand() % (facts.st_size / 2) * 2, "\xff\xff", 2, "a word of FFFF");
    CHECK(is_whole(path), "what was mended is whole");
}

static void a_file_of_another_length_is_found(void)
{
    int64_t count;
    struct stat facts;
    const char *path = newest(&count);
    char copy[REEL_CHECKPOINT_PATH_BYTES + 8], command[2 * REEL_CHECKPOINT_PATH_BYTES + 32];
    stat(path, &facts);
    snprintf(copy, sizeof copy, "%s.copy", path);
    snprintf(command, sizeof command, "cp %s %s", path, copy);
    const int64_t lengths[] = {
        0, 1, 100, 4095, 4096, 4097, facts.st_size / 2, facts.st_size - 1, facts.st_size + 1};
    for (int i = 0; i < 9; i++) {
        if (comm.world.rank == 0)
            CHECK(system(command) == 0 && truncate(copy, lengths[i]) == 0, "%s", copy);
        MPI_Barrier(MPI_COMM_WORLD);
        CHECK(!is_whole(copy), "%lld bytes are taken for whole", (long long)lengths[i]);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    if (comm.world.rank == 0)
        unlink(copy);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(!is_whole(copy), "a file that is not there");
}

static void a_second_process_does_not_get_the_folder(void)
{
    struct reel_checkpoint_directory other;
    int busy = 0;
    CHECK(comm.world.rank != 0 || folder.lock >= 0, "no lock");
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(reel_checkpoint_directory_lock(folder.path, &other, &busy) == REEL_OK && busy,
          "rank %lld gets it too: %s", (long long)comm.world.rank, reel_error_here()->cause);
    CHECK(strstr(other.owner, "process ") && strstr(other.owner, "host "), "%s", other.owner);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void who_has_lost_the_lock_does_not_rename(void)
{
    struct reel_checkpoint checkpoint = sample();
    struct reel_written written;
    char lock[REEL_CHECKPOINT_PATH_BYTES], command[REEL_CHECKPOINT_PATH_BYTES + 64];
    int64_t before, after;
    newest(&before);
    MPI_Barrier(MPI_COMM_WORLD);
    snprintf(lock, sizeof lock, "%s/lock", folder.path);
    if (comm.world.rank == 0)
        unlink(lock);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(reel_checkpoint_write(&comm, &folder, &checkpoint, &written) == REEL_BAD_OUTPUT &&
              strstr(reel_error_here()->cause, "was taken away"),
          "%s", reel_error_here()->cause);
    reel_error_clear();
    newest(&after);
    CHECK(before == after, "%lld checkpoints before, %lld after", (long long)before, (long long)after);
    snprintf(command, sizeof command, "ls -A %s | grep -q tmp", folder.path);
    CHECK(system(command) != 0, "something was left aside");
}

int main(int argc, char **argv)
{
    int provided, busy;
    char path[256];
    setenv("OMPI_MCA_io", "romio321", 0);
    H5dont_atexit();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    snprintf(path, sizeof path, "%s/a/b.checkpoint", test_folder());
    snprintf(folder.path, sizeof folder.path, "%s", path);
    folder.lock = -1;
    if (comm.world.rank == 0)
        CHECK(reel_checkpoint_directory_lock(path, &folder, &busy) == REEL_OK && !busy, "%s",
              reel_error_here()->cause);
    MPI_Barrier(MPI_COMM_WORLD);
    fill();
    RUN(what_is_written_comes_back);
    RUN(h5py_and_h5dump_would_find_it);
    RUN(every_kind_of_damage_is_found);
    RUN(a_file_of_another_length_is_found);
    RUN(a_second_process_does_not_get_the_folder);
    RUN(who_has_lost_the_lock_does_not_rename);
    reel_checkpoint_directory_unlock(&folder);
    reel_comm_close(&comm);
    int code = test_end();
    MPI_Finalize();
    return code;
}
