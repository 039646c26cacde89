/* A device and the CPU agree on fp8 weights and can resume from each other's checkpoints. The argument is
 * cuda or shadow; runs on one rank. */
#include "gpus.h"
#include "partial_run.h"
#include "device.h"
#include "fixture.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static const struct reel_ops *backend = &reel_ops_shadow;

/* One forward of random weights; the caller frees it. */
static float *velocity_on(const struct reel_ops *ops, int fp8, int64_t *count)
{
    struct fixture fixture;
    struct reference_file *inputs = reference_open_named("tiny-df/forward-df.safetensors");
    fixture_ops = ops;
    fixture_fp8 = fp8;
    fixture_dtype = REEL_BF16;
    CHECK(fixture_open(&fixture, MPI_COMM_SELF, "synthetic:tiny", inputs, 1, &fixture_alone, NULL), "%s",
          reel_error_here()->cause);
    fixture_forward(&fixture, inputs);
    float *velocity = malloc((size_t)fixture.outputs * sizeof *velocity);
    memcpy(velocity, fixture.velocity, (size_t)fixture.outputs * sizeof *velocity);
    *count = fixture.outputs;
    fixture_close(&fixture);
    fixture_ops = &reel_ops_cpu;
    fixture_fp8 = 0;
    fixture_dtype = REEL_F32;
    reference_close(inputs);
    return velocity;
}

/* Activations are rounded to fp8. Sums in another order differ a little, so an activation is now and then
 * rounded to the neighbouring code. */
static void weights_of_fp8_are_those_of_the_cpu(void)
{
    const double bound = 3.5e-2; /* unrounded weights give an error of 4.4e-2 */
    int64_t count;
    float *right = velocity_on(&reel_ops_cpu, 1, &count), *found = velocity_on(backend, 1, &count),
          *wide = velocity_on(&reel_ops_cpu, 0, &count);
    test_measured("fp8", test_relative_error(found, right, count), bound);
    CHECK(test_relative_error(wide, right, count) > bound, "weights that are not rounded pass: %g",
          test_relative_error(wide, right, count));
    free(right);
    free(found);
    free(wide);
}

static const char job_text[] = "model: {path: 'synthetic:tiny'}\n"
                               "video: {width: 64, height: 48, frames: 33}\n"
                               "sampler: {steps: 5}\n"
                               "diffusion_forcing: {base_frames: 21, overlap_frames: 9, ar_step: 1}\n"
                               "teacache: {mode: e, threshold: 0.3, coefficients: [1, 0], start_step: 1}\n";

/* A partial run of the job on this device, with checkpoints in this folder. */
static struct partial_end partial_on(const struct reel_device *device, const char *folder, const char *seed,
                                     int64_t max)
{
    char job[300], directory[300], output[300];
    struct partial_end end;
    snprintf(job, sizeof job, "%s/job.yaml", test_folder());
    snprintf(directory, sizeof directory, "checkpoint.directory=%s/%s", test_folder(), folder);
    snprintf(output, sizeof output, "output.latents=%s/%s.h5", test_folder(), folder);
    FILE *file = fopen(job, "w");
    fputs(job_text, file);
    fclose(file);
    partial_run(&(struct piece){.world = MPI_COMM_WORLD,
                                .job = job,
                                .sets = {directory, output, seed, "checkpoint.every_iterations=1"},
                                .max = max,
                                .device = device},
                &end);
    CHECK(end.status == REEL_OK, "%s: %s", folder, end.cause);
    return end;
}

/* A job that begins on one device and ends on the other gives, within the bound, the result of the CPU
 * alone. */
static void goes_on_elsewhere(const struct reel_device *began, const struct reel_device *ends,
                              const char *folder, const struct partial_end *one, double bound)
{
    struct partial_end first = partial_on(began, folder, "sampler.seed=1", 4),
                       second = partial_on(ends, folder, "sampler.seed=1", -1);
    CHECK(!first.complete && first.checkpoints > 0, "%s: it was not left in the midst", folder);
    CHECK(second.complete && second.loaded && second.count == one->count, "%s: it did not go on", folder);
    CHECK(first.iterations + second.iterations == one->iterations, "%s: %lld and %lld of %lld iterations",
          folder, (long long)first.iterations, (long long)second.iterations, (long long)one->iterations);
    if (second.latents && second.count == one->count)
        test_measured(folder, test_relative_error(second.latents, one->latents, one->count), bound);
    partial_free(&first);
    partial_free(&second);
}

/* With this dtype, checkpoints move from the device to the CPU and back, within the bound. */
static void checkpoints_go_both_ways(enum reel_dtype dtype, double bound, const char *to, const char *back)
{
    const struct reel_device cpu = {.ops = &reel_ops_cpu, .dtype = dtype, .matrix_dtype = dtype},
                             other = {.ops = backend, .dtype = dtype, .matrix_dtype = dtype};
    char alone[64], seed[64];
    snprintf(alone, sizeof alone, "%s-alone", to);
    snprintf(seed, sizeof seed, "%s-seed", to);
    struct partial_end one = partial_on(&cpu, alone, "sampler.seed=1", -1);
    struct partial_end another = partial_on(&cpu, seed, "sampler.seed=2", -1);
    goes_on_elsewhere(&other, &cpu, to, &one, bound);
    goes_on_elsewhere(&cpu, &other, back, &one, bound);
    CHECK(test_relative_error(another.latents, one.latents, one.count) > bound, "two seeds, one video");
    partial_free(&one);
    partial_free(&another);
}

static void what_a_device_began_the_cpu_ends_and_the_other_way(void)
{
    checkpoints_go_both_ways(REEL_F32, 2e-5, "device-to-cpu", "cpu-to-device");
    checkpoints_go_both_ways(REEL_BF16, 3e-2, "device-to-cpu-bf16", "cpu-to-device-bf16");
}

int main(int argc, char **argv)
{
    int level, skipped = 0;
    setenv("OMPI_MCA_io", "romio321", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    if (argc > 1 && strcmp(argv[1], "cuda") == 0) {
        backend = &reel_ops_cuda;
        skipped = !gpus_take(0);
    }
    if (!skipped) {
        RUN(weights_of_fp8_are_those_of_the_cpu);
        RUN(what_a_device_began_the_cpu_ends_and_the_other_way);
    }
    int failed = skipped ? GPUS_SKIPPED : test_end();
    MPI_Finalize();
    return failed;
}
