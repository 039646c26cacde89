/* The scratch memory of a stream as GEMM and attention divide it. */
#ifndef REEL_GEMM_WORKSPACE_CUDA_H
#define REEL_GEMM_WORKSPACE_CUDA_H

#include "cuda_backend.h"

extern "C" {
#include "gemm_workspace.h"
}

struct reel_gemm_workspace {
    char *workspace; /* 32 MiB for a library, aligned to 256 like the others */
    char *wide; /* REEL_WIDE_BYTES for results that are not finished: of a piece of rows, or of queries */
    uint8_t *narrow; /* where weights may be fp8, REEL_NARROW_ROWS rows of a GEMM's input, rounded to it */
};

struct reel_gemm_workspace reel_gemm_workspace_of(const struct reel_stream *stream);

#endif
