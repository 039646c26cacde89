/* Attention in bfloat16 by cuDNN, one head per call. Each shape has one plan, whose engine a fixed rule
 * chooses.
 *
 *     struct reel_sdpa_shape shape = {.queries = 32760, .keys = 32760, .channels = 128, ...};
 *     if (reel_sdpa_know(sdpa, &shape))
 *         refusal = reel_sdpa_run(sdpa, &shape, &arrays);
 *
 * The heuristic (mode A) names engines in an order. The engine is the first that is deterministic, builds a
 * plan for the shape and needs at most REEL_SDPA_WORKSPACE_BYTES of workspace. reel_gpu_gemm_algorithms
 * reports the engine, or that there is none. Where the program was built without cuDNN, reel_sdpa_open
 * returns NULL and *why says so.
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
    const void *q; /* [queries, channels], rows q_stride apart; q, k, v and out are aligned to 16 bytes */
    const void *k; /* [keys, channels] */
    const void *v; /* [keys, channels] */
    void *out;     /* [queries, channels] */
    float *lse;    /* [queries], dense; with with_lse only */
    float scale;
    void *workspace; /* REEL_SDPA_WORKSPACE_BYTES, aligned to 256 bytes */
};

struct reel_sdpa;

/* Opens cuDNN for the current device on the CUDA stream `queue`. Where cuDNN cannot be used, returns NULL and
 * sets *why to the reason, a string that is not freed. */
struct reel_sdpa *reel_sdpa_open(void *queue, const char **why);
void reel_sdpa_close(struct reel_sdpa *sdpa); /* NULL is allowed */

/* Whether cuDNN has a plan for the shape. The first call for a shape makes the plan. */
int reel_sdpa_know(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape);

/* Starts attention of a shape for which reel_sdpa_know returned true. Returns NULL, or the reason why it did
 * not start. */
const char *reel_sdpa_run(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape,
                          const struct reel_sdpa_arrays *arrays);

#endif
