/* A matrix product by the vendor's library, whose algorithm is chosen by rule and never by timing: one per
 * struct reel_cublas_gemm, the same for every number of rows, so that a row's bits depend neither on how many
 * rows there are nor on which machine of the same kind computes them.
 *
 *     struct reel_cublas_gemm product = {.in = 1536, .out = 8960, .x_dtype = REEL_BFLOAT16,
 *                                    .y_dtype = REEL_BFLOAT16, .bias_dtype = REEL_BFLOAT16,
 *                                    .has_bias = 1, .gelu = 1};
 *     if (reel_cublas_know(products, &product))
 *         refusal = reel_cublas_run(products, &product, &arrays);
 *
 * Of the algorithms that the library's heuristic names for 4096 rows it is the first that sums in one
 * sequence (no split of `in`, no reduction) and that the library would also use for few and for many rows; one
 * without workspace before all that have one: where partial sums could be kept, an algorithm may cut its last
 * tiles differently for other numbers of rows.
 *
 * Arrays begin at multiples of 16 bytes, x, weight and y at least at multiples of the largest power of two
 * up to 16 that divides the bytes of their rows.
 *
 * Not collective. */
#ifndef REEL_GEMM_CUBLAS_H
#define REEL_GEMM_CUBLAS_H

#include "ops.h"

enum { REEL_CUBLAS_WORKSPACE_BYTES = 32 << 20 };

/* What an algorithm is chosen for: y = gelu(scale x weight^T + bias), without bias and gelu where it says
 * so. */
struct reel_cublas_gemm {
    int64_t in, out;
    enum reel_precision x_dtype; /* of x and of weight */
    enum reel_precision y_dtype; /* of y */
    enum reel_precision bias_dtype;
    int has_bias;
    int gelu; /* the library's, which is near REEL_GELU_TANH and good for results of 16 bits */
};

struct reel_cublas_arrays {
    int64_t rows;
    float scale;
    const void *x;      /* [rows, in] */
    const void *weight; /* [out, in] */
    const void *bias;   /* [out] */
    void *y;            /* [rows, out] */
    void *workspace;    /* REEL_CUBLAS_WORKSPACE_BYTES, aligned to 256 */
    void *queue;        /* the CUDA stream */
};

struct reel_cublas; /* the library's handle, and the algorithms chosen so far */

/* For the current device. NULL, and why, where the library refuses. */
struct reel_cublas *reel_cublas_open(const char **why);
void reel_cublas_close(struct reel_cublas *products); /* NULL is allowed */

/* Whether the library has an algorithm for it that the rule allows; the first question chooses. */
int reel_cublas_know(struct reel_cublas *products, const struct reel_cublas_gemm *product);

/* Starts a known product. NULL, or why it did not start. */
const char *reel_cublas_run(struct reel_cublas *products, const struct reel_cublas_gemm *product,
                            const struct reel_cublas_arrays *arrays);

#endif
