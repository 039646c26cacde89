/* Takes the place of the CUDA backend where the program is built without CUDA. It has no memory and no GPU,
 * and says why. */
#include "gpu.h"
#include "gemm_workspace.h"
#include "ops.h"

#include <stdio.h>

static const char why_absent[] = "this program was built without CUDA (REEL_CUDA)";

static void *allocate_nothing(int64_t bytes)
{
    (void)bytes;
    return NULL;
}

static void release_nothing(void *memory, int64_t bytes)
{
    (void)memory;
    (void)bytes;
}

/* A stream that has failed calls nothing else of its backend, so the table needs no operations. */
static void fail_stream(struct reel_stream *stream, const struct reel_scratch *max)
{
    (void)max;
    reel_stream_fail(stream, REEL_BAD_DEVICE, "%s", why_absent);
}

const struct reel_ops reel_ops_cuda = {.name = "cuda",
                                       .allocate = allocate_nothing,
                                       .release = release_nothing,
                                       .allocate_host = allocate_nothing,
                                       .release_host = release_nothing,
                                       .scratch_bytes = reel_gemm_workspace_bytes,
                                       .open = fail_stream};

int64_t reel_gpu_count(char why[REEL_CAUSE_BYTES])
{
    snprintf(why, REEL_CAUSE_BYTES, "%s", why_absent);
    return 0;
}

enum reel_status reel_gpu_describe(int64_t index, struct reel_gpu *gpu)
{
    *gpu = (struct reel_gpu){.name = ""};
    return reel_fail(REEL_BAD_DEVICE, "GPU %lld: %s", (long long)index, why_absent);
}

enum reel_status reel_gpu_use(int64_t index)
{
    return reel_fail(REEL_BAD_DEVICE, "GPU %lld: %s", (long long)index, why_absent);
}

void reel_gpu_gemm_algorithms(char *text, int64_t text_bytes)
{
    if (text_bytes > 0)
        text[0] = 0;
}
