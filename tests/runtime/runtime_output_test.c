/* The output file is replaced completely or not at all. */
#include "output.h"
#include "test.h"

#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct reel_job job;
static float latents[2 * 4 * 3 * 5];

static struct reel_output output_of(int64_t finished)
{
    for (int i = 0; i < 2 * 4 * 3 * 5; i++)
        latents[i] = (float)i;
    return (struct reel_output){.job = &job,
                                .job_text = "model:\n  path: none\n",
                                .channels = 2,
                                .video_frames = 4,
                                .rows = 3,
                                .columns = 5,
                                .finished_frames = finished,
                                .latents = latents,
                                .complete = finished == 4};
}

static int64_t bytes_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* The number of files in the test's folder. */
static int files(void)
{
    char command[256];
    int count = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", test_folder());
    FILE *listing = popen(command, "r");
    if (fscanf(listing, "%d", &count) != 1)
        count = -1;
    pclose(listing);
    return count;
}

static void only_finished_frames_are_written(void)
{
    struct reel_output output = output_of(3);
    snprintf(job.output.latents, sizeof job.output.latents, "%s/out.h5", test_folder());
    CHECK(reel_output_check(job.output.latents) == REEL_OK && reel_output_write(&output) == REEL_OK, "%s",
          reel_error_here()->cause);
    float read[2 * 3 * 3 * 5] = {0};
    hsize_t shape[4] = {0};
    hid_t file = H5Fopen(job.output.latents, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, "/latents", H5P_DEFAULT), space = H5Dget_space(set);
    H5Sget_simple_extent_dims(space, shape, NULL);
    CHECK(shape[0] == 2 && shape[1] == 3 && shape[2] == 3 && shape[3] == 5, "%lld frames",
          (long long)shape[1]);
    H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, read);
    CHECK(read[0] == 0 && read[44] == 44 && read[45] == 60, "channel 1 begins with %g", (double)read[45]);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    CHECK(files() == 1, "%d files are left", files());
}

/* A limit of the file size makes a write fail in the middle, as a full disk does. */
static void a_write_that_fails_leaves_the_old_file_and_nothing_else(void)
{
    struct reel_output output = output_of(4);
    struct rlimit before, small = {.rlim_cur = 1500, .rlim_max = RLIM_INFINITY};
    int64_t bytes = bytes_of(job.output.latents);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    reel_error_clear();
    enum reel_status status = reel_output_write(&output);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(status == REEL_BAD_OUTPUT &&
              strstr(reel_error_here()->cause, "output.latents could not be written"),
          "%d: %s", (int)status, reel_error_here()->cause);
    CHECK(bytes_of(job.output.latents) == bytes && files() == 1, "%d files, %lld bytes", files(),
          (long long)bytes_of(job.output.latents));
    reel_error_clear();
}

static void a_folder_that_takes_no_file_is_found_beforehand(void)
{
    CHECK(reel_output_check("/proc/none/out.h5") == REEL_BAD_OUTPUT, "/proc takes files");
    CHECK(strstr(reel_error_here()->cause, "/proc/none/out.h5: output.latents could not be written"), "%s",
          reel_error_here()->cause);
    reel_error_clear();
}

int main(void)
{
    H5dont_atexit();
    RUN(only_finished_frames_are_written);
    RUN(a_write_that_fails_leaves_the_old_file_and_nothing_else);
    RUN(a_folder_that_takes_no_file_is_found_beforehand);
    return test_end();
}
