/* The contents of cuBLASLt's opaque structs in this fake. */
#ifndef REEL_FAKE_BLAS_H
#define REEL_FAKE_BLAS_H

#include "cublasLt.h"

enum { REEL_BLAS_LAYOUT = 0x6c61796f, REEL_BLAS_OPERATION, REEL_BLAS_PREFERENCE, REEL_BLAS_ALGORITHM };

struct reel_blas_layout {
    uint32_t what;
    int32_t type, order;
    uint64_t rows, columns;
    int64_t stride; /* from one column to the next */
};

struct reel_blas_operation {
    uint32_t what;
    int32_t compute, scale, pointer_mode, transpose_a, transpose_b, bias_type;
    uint32_t epilogue;
    const void *bias;
    const float *scale_a, *scale_b, *scale_d;
    int8_t fast;
};

struct reel_blas_preference {
    uint32_t what, reductions;
    uint64_t workspace_bytes;
    uint32_t alignment[4]; /* of a, b, c and d */
    uint32_t search;
};

/* An algorithm, the product that it was made for, and its requirements. */
struct reel_blas_algorithm {
    uint32_t what;
    int32_t id, split;
    uint32_t tile, reduction;
    uint16_t step;         /* terms of a partial sum; 0: one sum for each of the split parts */
    uint8_t alignments[5]; /* of a, b, c, d and the bias */
    uint8_t types[4], transposed, epilogue, compute;
};

/* A product whose descriptions have been checked. */
struct reel_blas_product {
    struct reel_blas_operation operation;
    struct reel_blas_layout a, b, c, d;
    int64_t m, n, k;
    int32_t bias_type;
};

template <typename Mine, typename Opaque> Mine *reel_blas_of(Opaque *opaque)
{
    static_assert(sizeof(Mine) <= sizeof(Opaque), "it fits");
    return reinterpret_cast<Mine *>(opaque);
}
template <typename Mine, typename Opaque> const Mine *reel_blas_of(const Opaque *opaque)
{
    static_assert(sizeof(Mine) <= sizeof(Opaque), "it fits");
    return reinterpret_cast<const Mine *>(opaque);
}

inline bool reel_blas_has_bias(const struct reel_blas_operation &operation)
{
    return operation.epilogue & CUBLASLT_EPILOGUE_BIAS;
}

int64_t reel_blas_bytes(int32_t type);

/* Checks the descriptions and fills *product, or returns the error with which cuBLASLt refuses them. In
 * blas_rules.cpp. */
cublasStatus_t reel_blas_look(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                              cublasLtMatrixLayout_t d, struct reel_blas_product *product);

/* CUBLAS_STATUS_SUCCESS if the algorithm was made for such a product. In blas_algorithms.cpp. */
cublasStatus_t reel_blas_fits(const struct reel_blas_algorithm &algorithm,
                              const struct reel_blas_product &product);
size_t reel_blas_workspace(const struct reel_blas_algorithm &algorithm);

/* The first algorithm of the heuristic if the only preference is that much workspace. */
cublasStatus_t reel_blas_first(const struct reel_blas_product &product, size_t workspace_bytes,
                               struct reel_blas_algorithm *algorithm);

#endif
