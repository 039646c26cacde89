/* What the CUDA operations share: their declarations, how a kernel is started, and how a failure becomes
 * the stream's. For the C++ of *_cuda.cu only. */
#ifndef REEL_CUDA_BACKEND_H
#define REEL_CUDA_BACKEND_H

#include <cuda_runtime.h>

extern "C" {
#include "ops.h"
}

/* kernel<<<grid, block, shared_bytes, queue>>>(...): one place, so that a stand-in for CUDA can run kernels
 * on the host. */
#ifndef REEL_LAUNCH
#define REEL_LAUNCH(kernel, grid, block, shared_bytes, queue, ...)                                           \
    kernel<<<(grid), (block), (shared_bytes), (queue)>>>(__VA_ARGS__)
#endif

/* The dynamic shared memory of a block, as an array of that type. */
#ifndef REEL_SHARED
#define REEL_SHARED(type, name)                                                                              \
    extern __shared__ __align__(128) unsigned char reel_shared_memory[];                                     \
    type *name = reinterpret_cast<type *>(reel_shared_memory)
#endif

/* What stream->queue of a stream points to. */
struct reel_cuda_queue {
    cudaStream_t stream;
    cudaEvent_t stream_wait; /* marks what others of it wait for */
    cudaEvent_t throttle[2]; /* mark the last two calls of reel_throttle, in turn */
    int64_t paces;
    void *gemm;      /* of gemm_cuda.cu: NULL for a stream of copies and exchanges */
    void *attention; /* of attention_cudnn.c: NULL where cuDNN is not used */
};

/* Records CUDA's refusal of an operation on the stream, unless there was none. */
void reel_cuda_check(struct reel_stream *stream, cudaError_t code, const char *operation);

/* Bytes of the GPU that have been taken since it was set. */
int64_t reel_cuda_taken_bytes(void);

/* The CUDA stream of a stream. */
cudaStream_t reel_cuda_queue(const struct reel_stream *stream);

/* CUDA knows what GPU to compute on by thread: this one's becomes that of reel_gpu_use. */
void reel_cuda_enter(void);

/* GEMM and attention: opened for every stream that computes, after its queue, and closed before it. The
 * operations of a stream take place one after another, so all of them use stream->scratch from its
 * beginning, which is as large as gemm_workspace.h says. */
void reel_gemm_cuda_open(struct reel_stream *stream, const struct reel_scratch *max);
void reel_gemm_cuda_close(struct reel_stream *stream);
void reel_gemm_cuda(struct reel_stream *, const struct reel_gemm *);
void reel_attention_cuda(struct reel_stream *, const struct reel_attention *);

void reel_layer_norm_cuda(struct reel_stream *, const struct reel_layer_norm *);
void reel_modulate_cuda(struct reel_stream *, const struct reel_modulate *);
void reel_gated_add_cuda(struct reel_stream *, const struct reel_gated_add *);
void reel_squares_cuda(struct reel_stream *, const struct reel_squares *);
void reel_split_heads_cuda(struct reel_stream *, const struct reel_split_heads *);
void reel_merge_heads_cuda(struct reel_stream *, const struct reel_merge_heads *);
void reel_patchify_cuda(struct reel_stream *, const struct reel_patchify *);
void reel_unpatchify_cuda(struct reel_stream *, const struct reel_unpatchify *);
void reel_guide_cuda(struct reel_stream *, const struct reel_guide *);
void reel_solve_cuda(struct reel_stream *, const struct reel_solve *);
void reel_silu_cuda(struct reel_stream *, const struct reel_silu *);
void reel_sum_parts_cuda(struct reel_stream *, const struct reel_sum_parts *);
void reel_expand_cuda(struct reel_stream *, const struct reel_expand *);
void reel_distances_cuda(struct reel_stream *, const struct reel_distances *);
void reel_keep_residual_cuda(struct reel_stream *, const struct reel_keep_residual *);
void reel_add_residual_cuda(struct reel_stream *, const struct reel_add_residual *);
void reel_add_row_cuda(struct reel_stream *, const struct reel_add_row *);
void reel_convert_cuda(struct reel_stream *, const struct reel_convert *);
void reel_blend_cuda(struct reel_stream *, const struct reel_blend *);

/* The word of the device becomes the index of the first number that is not finite, where it was greater. */
void reel_nonfinite_cuda(struct reel_stream *stream, const float *x, int64_t count, unsigned long long *word);

#endif
