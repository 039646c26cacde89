/* How GEMM and attention divide the scratch memory of a stream. */
#ifndef REEL_GEMM_WORKSPACE_CUDA_H
#define REEL_GEMM_WORKSPACE_CUDA_H

#include "cuda_backend.h"

extern "C" {
#include "gemm_workspace.h"
}

struct reel_gemm_workspace {
    /* All three are aligned to 256 bytes. */
    char *workspace; /* 32 MiB for cuBLASLt or cuDNN */
    char *wide;      /* REEL_WIDE_BYTES of intermediate results, of a piece of the rows or of the queries */
    uint8_t *narrow; /* where weights may be fp8: REEL_NARROW_ROWS rows of a GEMM's input, rounded to fp8 */
};

struct reel_gemm_workspace reel_gemm_workspace_of(const struct reel_stream *stream);

#endif
