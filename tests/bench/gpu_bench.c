/* The time of every operation on a GPU, compared with what a copy and a large GEMM reach there in the same
 * run.
 *
 *     build/tests/gpu_bench [seconds]     on the first GPU, for at most this long; prints what it reaches
 *     build/tests/gpu_bench names         prints the names of all operations
 *     build/tests/gpu_bench cpu           tiny sizes on the CPU, to test that it works
 *
 * The sizes are those of SkyReels-V2 at 480x832, 81 frames: 32,760 tokens on one rank, or 8,190 on each of
 * four. */
#include "cases.h"
#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cases_size small = {"1.3b", 1536, 8960, 12, 128, 512, 21, 30, 52, 32760, REEL_BF16};
static const struct cases_size large_part = {"14b", 5120, 13824, 40, 128, 512, 21, 30, 52, 8190, REEL_BF16};
static const struct cases_size large = {"14b", 5120, 13824, 40, 128, 512, 21, 30, 52, 32760, REEL_BF16};
static const struct cases_size tiny = {"tiny", 128, 352, 4, 32, 20, 3, 4, 6, 48, REEL_BF16};

static void measure_products(struct measure *measure, const struct cases_size *size)
{
    cases_gemm(measure, size);
    cases_gemm_others(measure, size);
    cases_attention(measure, size);
    cases_attention_others(measure, size);
}

static void measure_passes(struct measure *measure, const struct cases_size *size)
{
    cases_passes(measure, size);
    cases_passes_others(measure, size);
}

static void measure_tiny(struct measure *measure)
{
    measure->round_seconds = 1e-4;
    measure_ceilings(measure, 128, 1 << 20);
    measure_products(measure, &tiny);
    measure_passes(measure, &tiny);
}

/* The most important operations come first. */
static void measure_all(struct measure *measure)
{
    measure_ceilings(measure, 8192, (int64_t)2 << 30);
    measure_products(measure, &small);
    measure_products(measure, &large_part);
    measure_passes(measure, &large_part);
    measure_products(measure, &large);
    measure_passes(measure, &small);
}

/* Exits with 77 if there is no GPU. */
int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    int is_tiny = strcmp(word, "cpu") == 0, names = strcmp(word, "names") == 0;
    const struct reel_ops *ops = is_tiny || names ? &reel_ops_cpu : &reel_ops_cuda;
    struct reel_scratch max = {.in = 13824, .channels = 128, .threads = 1, .weight_dtype = REEL_F8_E4M3};
    struct measure measure;
    struct reel_gpu gpu;
    char why[REEL_CAUSE_BYTES];
    if (ops == &reel_ops_cuda) {
        if (reel_gpu_count(why) == 0) {
            printf("skipped for want of GPUs: %s\n", why);
            return 77;
        }
        if (reel_gpu_describe(0, &gpu) != REEL_OK || reel_gpu_use(0) != REEL_OK) {
            fprintf(stderr, "%s\n", reel_error_here()->cause);
            return REEL_BAD_DEVICE;
        }
        printf("device: %s, sm_%lld%lld, %.1f GB\n", gpu.name, (long long)gpu.major, (long long)gpu.minor,
               1e-9 * (double)gpu.memory_bytes);
    }
    measure_open(&measure, ops, &max);
    measure.only_names = names;
    if (!is_tiny && !names && argc > 1)
        measure.seconds = atof(word);
    if (is_tiny)
        measure_tiny(&measure);
    else
        measure_all(&measure);
    measure_close(&measure);
    return 0;
}
