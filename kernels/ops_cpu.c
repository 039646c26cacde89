/* The CPU backend: its table and its scratch memory. */
#include "cpu.h"
#include "lanes.h"

#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21 };

/* What one thread needs, in whole cache lines. Of other operations, only split_heads needs any: a head. */
static int64_t thread_floats(const struct reel_scratch *most)
{
    int64_t gemm = reel_gemm_scratch_floats(), attention = reel_attention_scratch_floats(most->channels);
    return reel_rounded_up(gemm > attention ? gemm : attention, 16);
}

int64_t reel_scratch_bytes_cpu(const struct reel_scratch *most)
{
    return thread_floats(most) * most->threads * (int64_t)sizeof(float);
}

float *reel_cpu_scratch(const struct reel_stream *stream)
{
    return (float *)stream->scratch + omp_get_thread_num() * stream->thread_floats;
}

void reel_open_cpu(struct reel_stream *stream, const struct reel_scratch *most)
{
    if (!most)
        return;
    stream->thread_floats = thread_floats(most);
    stream->lanes = reel_lanes_here();
}

const char *reel_arithmetic_cpu(void)
{
    return reel_lanes_here()->name;
}

int reel_widens_cpu(void)
{
    return !reel_lanes_here()->pairs.multiply;
}

static void *allocate(int64_t bytes)
{
    size_t whole = (size_t)((bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    void *memory = aligned_alloc(HUGE_PAGE, whole);
    if (memory) /* first touch of 5.7 GB takes 19 s in small pages and 3 s in huge ones; refused, it is only slower */
        madvise(memory, whole, MADV_HUGEPAGE);
    return memory;
}

static void release(void *memory, int64_t bytes)
{
    (void)bytes;
    free(memory);
}

const struct reel_ops reel_ops_cpu = {.name = "cpu",
                                      .is_host = 1,
                                      .allocate = allocate,
                                      .release = release,
                                      .copy = reel_copy_cpu,
                                      REEL_CPU_OPERATIONS};
