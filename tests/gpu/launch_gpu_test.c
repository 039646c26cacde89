/* The program on one GPU gives the CPU's results, and ranks that share the GPU log how they share it. */
#include "gpu.h"
#include "output_read.h"
#include "program.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77 };

/* The program sees one GPU, however many the machine has. */
static const char one_gpu[] = "CUDA_VISIBLE_DEVICES=0";

static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 64, height: 48, frames: 33}\n"
                          "sampler: {steps: 4}\n"
                          "diffusion_forcing: {base_frames: 21, overlap_frames: 9}\n"
                          "checkpoint: {directory: 'off'}\n";

/* Runs the job with these settings and output NAME.h5; returns the exit code. */
static int run_job(int ranks, const char *name, const char *settings)
{
    char arguments[600];
    snprintf(arguments, sizeof arguments, "run job.yaml --set output.latents=%s.h5 %s", name, settings);
    return program_run(ranks, one_gpu, arguments);
}

static struct reel_output_file output_of(const char *name)
{
    char path[300];
    struct reel_output_file file = {.complete = 0};
    snprintf(path, sizeof path, "%s/%s.h5", test_folder(), name);
    CHECK(reel_output_open(path, &file) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(file.complete, "%s is not complete", name);
    return file;
}

static int64_t count_of(const struct reel_output_file *file)
{
    return file->shape[0] * file->shape[1] * file->shape[2] * file->shape[3];
}

/* Checks the distance between the result with these settings and another job's, on one rank or on two ranks
 * that share the GPU. */
static void computes_within(int ranks, const char *name, const char *settings, const char *other,
                            double bound)
{
    int code = run_job(ranks, name, settings);
    CHECK(code == 0, "%s: exit %d: %s", name, code, program_said);
    struct reel_output_file found = output_of(name), right = output_of(other);
    CHECK(count_of(&found) == count_of(&right), "%s has %lld numbers", name, (long long)count_of(&found));
    if (found.latents && right.latents && count_of(&found) == count_of(&right))
        test_measured(name, test_relative_error(found.latents, right.latents, count_of(&right)), bound);
    reel_output_close(&found);
    reel_output_close(&right);
}

static void a_gpu_computes_what_the_cpu_computes(void)
{
    CHECK(run_job(0, "cpu", "--set device=cpu") == 0, "%s", program_said);
    computes_within(0, "cuda-fp32", "--set device=cuda --set model.compute=fp32", "cpu", 2e-5);
    computes_within(0, "cuda-bf16", "--set device=cuda", "cpu", 3e-2);
    computes_within(0, "auto", "", "cuda-bf16", 1e-30); /* an available GPU is used */
    CHECK(run_job(0, "seed", "--set device=cpu --set sampler.seed=1") == 0, "%s", program_said);
    struct reel_output_file other = output_of("seed"), right = output_of("cpu");
    CHECK(other.latents && test_relative_error(other.latents, right.latents, count_of(&right)) > 3e-2,
          "two seeds, one video");
    reel_output_close(&other);
    reel_output_close(&right);
}

/* cfg only moves data, so the bits are those of one rank. */
static void two_ranks_share_a_gpu_over_mpi(void)
{
    computes_within(2, "shared-fp32",
                    "--set device=cuda --set model.compute=fp32 --set communication.transport=mpi "
                    "--set partition.cfg=2",
                    "cuda-fp32", 1e-30);
    computes_within(2, "shared-ring-fp32",
                    "--set device=cuda --set model.compute=fp32 --set communication.transport=mpi "
                    "--set partition.cfg=1 --set partition.ring=2",
                    "cuda-fp32", 2e-5);
    computes_within(2, "shared-tensor-bf16",
                    "--set device=cuda --set communication.transport=mpi --set partition.cfg=1 "
                    "--set partition.tensor=2",
                    "cpu", 3e-2);
}

static void ranks_that_would_share_a_gpu_unasked_are_refused(void)
{
    static const char *const transports[] = {"auto", "nccl"};
    for (int t = 0; t < 2; t++) {
        char settings[100];
        snprintf(settings, sizeof settings, "--set device=cuda --set communication.transport=%s",
                 transports[t]);
        int code = run_job(2, "refused", settings);
        CHECK(code == REEL_BAD_DEVICE, "transport %s: exit %d: %s", transports[t], code, program_said);
        CHECK(program_said_times("with 1 other rank of its host, which sees 1 GPU, expected one per rank, or "
                                 "device cpu, or communication.transport mpi to share") == 1,
              "transport %s: %s", transports[t], program_said);
    }
}

int main(void)
{
    char why[REEL_CAUSE_BYTES];
    setenv("CUDA_VISIBLE_DEVICES", "0", 1);
    if (reel_gpu_count(why) == 0) {
        printf("skipped for want of GPUs: %s\n", why);
        return SKIPPED;
    }
    program_file("job.yaml", job);
    RUN(a_gpu_computes_what_the_cpu_computes);
    RUN(two_ranks_share_a_gpu_over_mpi);
    RUN(ranks_that_would_share_a_gpu_unasked_are_refused);
    return test_end();
}
