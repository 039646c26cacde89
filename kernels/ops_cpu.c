/* The CPU backend: its table and its scratch memory. */
#include "cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 1 << 21 };

/* What one thread needs: a tile of a GEMM, in and out, and a panel of its weights widened, or the state of
 * an attention tile with its keys and values widened; whole cache lines. Precisions are not known yet, so
 * room for the narrow ones counts. */
static int64_t thread_floats(const struct reel_scratch *most)
{
    int64_t widened = REEL_PANEL * most->in < REEL_WIDENED ? REEL_PANEL * most->in : REEL_WIDENED;
    if (widened < REEL_PANEL_LEAST * most->in)
        widened = REEL_PANEL_LEAST * most->in;
    int64_t gemm = REEL_TILE_ROWS * (most->in + REEL_PANEL) + widened;
    int64_t attention =
        REEL_QUERY_TILE * (2 * most->channels + REEL_KEY_TILE + 2) + 2 * REEL_KEY_TILE * most->channels;
    int64_t floats = gemm > attention ? gemm : attention;
    return (floats + 15) / 16 * 16;
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
    reel_gemm_cpu_open(stream);
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
