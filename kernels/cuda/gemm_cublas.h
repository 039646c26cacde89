/* Matrix products by cuBLASLt. A fixed rule chooses the algorithm, never timing. There is one algorithm per
 * struct reel_cublas_gemm, the same for every number of rows. So a row's bits depend neither on the number of
 * rows nor on which machine of the same kind computes them.
 *
 *     struct reel_cublas_gemm product = {.in = 1536, .out = 8960, .x_dtype = REEL_BF16,
 *                                    .y_dtype = REEL_BF16, .bias_dtype = REEL_BF16,
 *                                    .has_bias = 1, .gelu = 1};
 *     if (reel_cublas_know(products, &product))
 *         refusal = reel_cublas_run(products, &product, &arrays);
 *
 * The library's heuristic names algorithms for 4096 rows. The rule takes the first one that sums in one
 * sequence (no split of `in`, no reduction) and that the library also accepts for few and for many rows.
 * Algorithms without workspace come before all that need one: with room for partial sums, an algorithm could
 * cut its last tiles differently for other numbers of rows. If the library accepts none for few and for many
 * rows, the rule takes the first that it accepts for 4096 rows; the library may then refuse to run it.
 *
 * bias begins at a multiple of 16 bytes. x, weight and y each begin at a multiple of the largest power of
 * two, up to 16, that divides the bytes of one of its rows.
 *
 * Not collective. */
#ifndef REEL_GEMM_CUBLAS_H
#define REEL_GEMM_CUBLAS_H

#include "ops.h"

enum { REEL_CUBLAS_WORKSPACE_BYTES = 32 << 20 };

/* What an algorithm is chosen for: y = gelu(scale x weight^T + bias). Without has_bias there is no bias,
 * without gelu no GELU. */
struct reel_cublas_gemm {
    int64_t in, out;
    enum reel_dtype x_dtype; /* of x and of weight */
    enum reel_dtype y_dtype; /* of y */
    enum reel_dtype bias_dtype;
    int has_bias;
    int gelu; /* the library's own, close to REEL_GELU_TANH: accurate enough for 16-bit results */
};

struct reel_cublas_arrays {
    int64_t rows;
    float scale;
    const void *x;      /* [rows, in] */
    const void *weight; /* [out, in] */
    const void *bias;   /* [out] */
    void *y;            /* [rows, out] */
    void *workspace;    /* REEL_CUBLAS_WORKSPACE_BYTES, aligned to 256 bytes */
    void *queue;        /* the CUDA stream */
};

struct reel_cublas; /* the library's handle, and the algorithms chosen so far */

/* Opens the library for the current device. Where it refuses, returns NULL and sets *why to the reason, a
 * string that is not freed. */
struct reel_cublas *reel_cublas_open(const char **why);
void reel_cublas_close(struct reel_cublas *products); /* NULL is allowed */

/* Whether the library has an algorithm for the product that the rule allows. The first call for a product
 * chooses the algorithm. */
int reel_cublas_know(struct reel_cublas *products, const struct reel_cublas_gemm *product);

/* Starts a product for which reel_cublas_know returned true. Returns NULL, or the reason why it did not
 * start. */
const char *reel_cublas_run(struct reel_cublas *products, const struct reel_cublas_gemm *product,
                            const struct reel_cublas_arrays *arrays);

#endif
