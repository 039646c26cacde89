/* What the CUDA operations share: their declarations, how a kernel is launched, and how a CUDA error becomes
 * the stream's failure. Only for the C++ of *_cuda.cu. */
#ifndef REEL_CUDA_BACKEND_H
#define REEL_CUDA_BACKEND_H

#include <cuda_runtime.h>

extern "C" {
#include "ops.h"
}

/* kernel<<<grid, block, shared_bytes, queue>>>(...). It is written here alone, so that a fake of CUDA can run
 * kernels on the host. */
#ifndef REEL_LAUNCH
#define REEL_LAUNCH(kernel, grid, block, shared_bytes, queue, ...)                                           \
    kernel<<<(grid), (block), (shared_bytes), (queue)>>>(__VA_ARGS__)
#endif

/* Declares `name`, the dynamic shared memory of a block as an array of `type`. */
#ifndef REEL_SHARED
#define REEL_SHARED(type, name)                                                                              \
    extern __shared__ __align__(128) unsigned char reel_shared_memory[];                                     \
    type *name = reinterpret_cast<type *>(reel_shared_memory)
#endif

/* What a stream's `queue` points to. */
struct reel_cuda_queue {
    cudaStream_t stream;
    cudaEvent_t stream_wait; /* records the work that another stream waits for */
    cudaEvent_t throttle[2]; /* recorded by the last two calls of reel_throttle, in turn */
    int64_t throttles;       /* calls of reel_throttle so far */
    void *gemm;      /* struct reel_cublas; NULL for a side stream, which only copies and communicates */
    void *attention; /* struct reel_sdpa; NULL where cuDNN is not used */
};

/* Does nothing on cudaSuccess. Otherwise records the CUDA error as a failure of the stream, with the name of
 * the operation, and clears it in CUDA. */
void reel_cuda_check(struct reel_stream *stream, cudaError_t code, const char *operation);

/* Bytes of the GPU's memory that were taken, by any process, since reel_gpu_use. */
int64_t reel_cuda_taken_bytes(void);

/* The CUDA stream that a reel_stream issues its work to. */
cudaStream_t reel_cuda_queue(const struct reel_stream *stream);

/* CUDA keeps a current device for each thread. Makes the GPU of reel_gpu_use the calling thread's. */
void reel_cuda_enter(void);

/* Open and close GEMM and attention of a stream that computes: opened after the stream's queue, closed before
 * it. A stream's operations run one after another, so each of them uses stream->scratch from its beginning;
 * gemm_workspace.h says how large it is. */
void reel_gemm_cuda_open(struct reel_stream *stream, const struct reel_scratch *max);
void reel_gemm_cuda_close(struct reel_stream *stream);
void reel_gemm_cuda(struct reel_stream *, const struct reel_gemm *);
void reel_attention_cuda(struct reel_stream *, const struct reel_attention *);

void reel_layer_norm_cuda(struct reel_stream *, const struct reel_layer_norm *);
void reel_modulate_cuda(struct reel_stream *, const struct reel_modulate *);
void reel_gated_add_cuda(struct reel_stream *, const struct reel_gated_add *);
void reel_rms_squares_cuda(struct reel_stream *, const struct reel_rms_squares *);
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

/* Lowers *word, which is in device memory, to the index of the first element of x that is not finite, unless
 * it is lower already. Leaves it alone where all are finite. */
void reel_nonfinite_cuda(struct reel_stream *stream, const float *x, int64_t count, unsigned long long *word);

#endif
