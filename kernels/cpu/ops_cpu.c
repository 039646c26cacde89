/* The CPU backend: its table and its scratch memory. */
#include "cpu.h"
#include "host_memory.h"
#include "simd.h"

#include <omp.h>

/* The scratch that one thread needs, in whole cache lines. Apart from GEMM and attention, only split_heads
 * needs any: the room for one head. */
static int64_t thread_floats(const struct reel_scratch *max)
{
    int64_t gemm = reel_gemm_scratch_floats(), attention = reel_attention_scratch_floats(max->channels);
    return reel_rounded_up(gemm > attention ? gemm : attention, 16);
}

int64_t reel_scratch_bytes_cpu(const struct reel_scratch *max)
{
    return thread_floats(max) * max->threads * (int64_t)sizeof(float);
}

float *reel_cpu_scratch(const struct reel_stream *stream)
{
    return (float *)stream->scratch + omp_get_thread_num() * stream->thread_floats;
}

void reel_open_cpu(struct reel_stream *stream, const struct reel_scratch *max)
{
    if (!max)
        return;
    stream->thread_floats = thread_floats(max);
    stream->simd = reel_simd_best();
}

const char *reel_arithmetic_cpu(void)
{
    return reel_simd_best()->name;
}

int reel_widens_cpu(void)
{
    return !reel_simd_best()->bf16_dot.multiply;
}

const struct reel_ops reel_ops_cpu = {.name = "cpu",
                                      .is_host = 1,
                                      .allocate = reel_host_allocate,
                                      .release = reel_host_release,
                                      .copy = reel_copy_cpu,
                                      REEL_CPU_OPERATIONS};
