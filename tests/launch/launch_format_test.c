/* Jobs resume from checkpoints of every format that was ever released. A checkpoint that is undamaged but
 * makes no sense is refused. */
#include "output_read.h"
#include "program.h"
#include "checkpoint_checksums.h"
#include "test.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The job of tests/launch/checkpoints/format-1.h5, a checkpoint at chunk 1, iteration 2. */
static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 32, height: 32, frames: 21}\n"
                          "sampler: {steps: 4, seed: 7}\n"
                          "diffusion_forcing: {base_frames: 13, overlap_frames: 5, addnoise_condition: 20}\n"
                          "teacache: {mode: e, coefficients: [1, 0], threshold: 0.5}\n"
                          "checkpoint: {every_iterations: 2}\n"
                          "output: {latents: out.h5}\n";

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

/* Puts the checkpoint into the job's checkpoint folder. */
static void device(void)
{
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && rm -rf out.h5 out.h5.checkpoint && mkdir out.h5.checkpoint && "
             "cp %s/../launch/checkpoints/format-1.h5 out.h5.checkpoint/checkpoint-000001.h5",
             test_folder(), test_reference());
    CHECK(system(command) == 0, "%s", command);
}

static void format_1_is_resumed_from(void)
{
    struct reel_output_file whole, resumed;
    CHECK(program_run(0, "", "run job.yaml --set output.latents=whole.h5") == 0, "%s", program_said);
    for (int ranks = 1; ranks <= 2; ranks++) {
        device();
        CHECK(program_run(ranks, "", "run job.yaml") == 0, "%s", program_said);
        CHECK(reel_output_open(own("whole.h5"), &whole) == REEL_OK, "%s", reel_error_here()->cause);
        CHECK(reel_output_open(own("out.h5"), &resumed) == REEL_OK, "%s", reel_error_here()->cause);
        int64_t count = whole.shape[0] * whole.shape[1] * whole.shape[2] * whole.shape[3];
        CHECK(resumed.complete && memcmp(whole.shape, resumed.shape, sizeof whole.shape) == 0,
              "another shape");
        /* the file comes from another machine, whose GEMM may sum in another order */
        double error = test_relative_error(resumed.latents, whole.latents, count);
        CHECK(error < 1e-5, "%d ranks: %g", ranks, error);
        whole.latents[3] += 0.01f;
        CHECK(!(test_relative_error(resumed.latents, whole.latents, count) < 1e-5),
              "a perturbed answer passes");
        reel_output_close(&whole);
        reel_output_close(&resumed);
    }
}

/* Changes an integer of the checkpoint and renews its checksums, as if reel had written it. */
static void change(const char *path, const char *name, int64_t value)
{
    struct reel_checksums checksums;
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), attribute = H5Aopen(file, name, H5P_DEFAULT);
    CHECK(attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0, "%s is not there", name);
    H5Aclose(attribute);
    H5Fclose(file);
    int opened = open(path, O_RDWR);
    CHECK(reel_checksums_read(opened, path, &checksums) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_checksums_make(opened, path, checksums.file_bytes, &checksums) == REEL_OK &&
              pwrite(opened, &checksums, sizeof checksums, 0) == (ssize_t)sizeof checksums,
          "%s cannot be sealed", path);
    close(opened);
}

static void a_state_that_the_job_cannot_be_in_is_refused(void)
{
    static const struct {
        const char *name;
        int64_t value;
    } changes[] = {
        {"chunk", 0},        {"chunk", 2},         {"chunk", -1},          {"chunk", INT64_MAX},
        {"iteration", 99},   {"iteration", -1},    {"iteration", 1},       {"calls_made", -5000},
        {"calls_made", 1},   {"calls_made", 1000}, {"finished_frames", 6}, {"finished_frames", -1},
        {"saving_count", 4}, {"saving_count", -2}, {"begun", 1},           {"begun", -1},
        {"begun", 1000000},  {"chunk_frames", 0},  {"chunk_frames", 999},  {"channels", 15},
        {"rows", 0},         {"columns", 1000000}, {"call_count", -1},     {"call_count", 1000000000}};
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++) {
        device();
        change(own("out.h5.checkpoint/checkpoint-000001.h5"), changes[c].name, changes[c].value);
        int code = program_run(0, "", "run job.yaml");
        CHECK(code == 4 && program_said_times("reel: error: ") == 1 &&
                  program_said_times("checkpoint-000001.h5") > 0,
              "%s %lld: exit %d: %s", changes[c].name, (long long)changes[c].value, code, program_said);
        CHECK(access(own("out.h5"), F_OK) != 0, "%s %lld: something was written", changes[c].name,
              (long long)changes[c].value);
    }
    device();
    change(own("out.h5.checkpoint/checkpoint-000001.h5"), "chunk", 1); /* the value that it had */
    CHECK(program_run(0, "", "run job.yaml") == 0, "sealed again, unchanged: %s", program_said);
}

static void another_format_is_refused_and_not_passed_over(void)
{
    struct reel_checksums checksums;
    const char *path = own("out.h5.checkpoint/checkpoint-000001.h5");
    device();
    int file = open(path, O_RDWR);
    CHECK(reel_checksums_read(file, path, &checksums) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_checksums_make(file, path, checksums.file_bytes, &checksums) == REEL_OK, "%s",
          reel_error_here()->cause);
    checksums.format = 2;
    checksums.own = reel_checksums_hash(&checksums);
    CHECK(pwrite(file, &checksums, sizeof checksums, 0) == (ssize_t)sizeof checksums, "%s", path);
    close(file);
    program_fails(0, "run job.yaml", 4, "is a checkpoint of format 2, expected 1");
    program_fails(0, "inspect out.h5.checkpoint/checkpoint-000001.h5", 4,
                  "is a checkpoint of format 2, expected 1");
}

int main(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    program_file("job.yaml", job);
    RUN(format_1_is_resumed_from);
    RUN(a_state_that_the_job_cannot_be_in_is_refused);
    RUN(another_format_is_refused_and_not_passed_over);
    return test_end();
}
