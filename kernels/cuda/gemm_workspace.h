/* How much scratch memory GEMM and attention need on a GPU. It is plain C, so that a plan says the same where
 * the program was built without CUDA. */
#ifndef REEL_GEMM_WORKSPACE_H
#define REEL_GEMM_WORKSPACE_H

#include "gemm_cublas.h"

static const int64_t REEL_WIDE_BYTES = 32 << 20;
static const int64_t REEL_NARROW_ROWS = 4096;

/* Bytes of the library's workspace, of the wide and of the narrow part (gemm_workspace_cuda.h), and 256 to
 * align them. */
static inline int64_t reel_gemm_workspace_bytes(const struct reel_scratch *max)
{
    return REEL_CUBLAS_WORKSPACE_BYTES + REEL_WIDE_BYTES +
           (max->weight_dtype == REEL_F8_E4M3 ? REEL_NARROW_ROWS * max->in : 0) + 256;
}

#endif
