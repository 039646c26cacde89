/* How much scratch memory GEMM and attention have on a GPU: in plain C, so that a plan says the same where the program was
 * built without CUDA. */
#ifndef REEL_GEMM_WORKSPACE_H
#define REEL_GEMM_WORKSPACE_H

#include "gemm_cublas.h"

static const int64_t REEL_WIDE_BYTES = 32 << 20;
static const int64_t REEL_NARROW_ROWS = 4096;

/* The library's workspace, what is wide, what is narrow, and room to align them. */
static inline int64_t reel_gemm_workspace_bytes(const struct reel_scratch *max)
{
    return REEL_CUBLAS_WORKSPACE_BYTES + REEL_WIDE_BYTES + (max->fp8 ? REEL_NARROW_ROWS * max->in : 0) + 256;
}

#endif
