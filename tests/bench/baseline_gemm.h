/* One matrix product by oneDNN: its sgemm, or its primitive for other numbers. */
#ifndef REEL_BASELINE_GEMM_H
#define REEL_BASELINE_GEMM_H

#include <dnnl.h>
#include <stdint.h>

/* y [rows, out] = x [rows, in] times weight, [in, out] or where it is transposed [out, in]; all dense. A primitive belongs
 * to the thread that made it. */
struct baseline_gemm {
    int64_t rows, in, out;
    int transposed;
    struct baseline_primitive *primitive; /* NULL: sgemm */
};

/* Of sgemm; with a data type of it, but for dnnl_data_type_undef, as a primitive. */
void baseline_gemm_open(struct baseline_gemm *product, dnnl_data_type_t type);
void baseline_gemm_run(const struct baseline_gemm *product, const void *x, const void *weight, void *y);
void baseline_gemm_close(struct baseline_gemm *product);

/* Whether there are primitives of that type here. */
int baseline_gemm_exists(dnnl_data_type_t type);

#endif
