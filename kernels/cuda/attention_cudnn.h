/* Attention in bfloat16 by cuDNN, one head at a time: its plans, one per shape, the engine chosen by rule.
 *
 *     struct reel_sdpa_shape shape = {.queries = 32760, .keys = 32760, .channels = 128, ...};
 *     if (reel_sdpa_know(sdpa, &shape))
 *         refusal = reel_sdpa_run(sdpa, &shape, &arrays);
 *
 * The engine is the first that the heuristic names (mode A) which is deterministic, builds a plan for the
 * shape and is content with the workspace. What it was, and where there is none, reel_gpu_gemm_algorithms tells.
 * Where the program was built without cuDNN, open gives NULL and says so.
 *
 * Not collective. */
#ifndef REEL_ATTENTION_CUDNN_H
#define REEL_ATTENTION_CUDNN_H

#include <stdint.h>

enum { REEL_SDPA_WORKSPACE_BYTES = 32 << 20 };

struct reel_sdpa_shape {
    int64_t queries, keys, channels;
    int64_t q_stride, kv_stride, out_stride; /* elements, multiples of 8 */
    int with_lse;
};

struct reel_sdpa_arrays {
    const void *q; /* [queries, channels], rows by stride; this and the next three aligned to 16 */
    const void *k; /* [keys, channels] */
    const void *v; /* [keys, channels] */
    void *out;     /* [queries, channels] */
    float *lse;    /* [queries], dense */
    float scale;
    void *workspace; /* REEL_SDPA_WORKSPACE_BYTES, aligned to 256 */
};

struct reel_sdpa;

/* For the current device, on that CUDA stream. NULL, and why, where there is no cuDNN. */
struct reel_sdpa *reel_sdpa_open(void *queue, const char **why);
void reel_sdpa_close(struct reel_sdpa *sdpa); /* NULL is allowed */

/* Whether there is a plan for it; the first question makes one. */
int reel_sdpa_know(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape);

/* Starts it for a shape that is known. NULL, or why it did not start. */
const char *reel_sdpa_run(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape,
                          const struct reel_sdpa_arrays *arrays);

#endif
