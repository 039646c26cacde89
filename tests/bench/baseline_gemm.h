/* One matrix product by oneDNN: its sgemm, or its primitive for another data type. */
#ifndef REEL_BASELINE_GEMM_H
#define REEL_BASELINE_GEMM_H

#include <dnnl.h>
#include <stdint.h>

/* y [rows, out] = x [rows, in] times weight; weight is [in, out], or [out, in] if transposed. All are dense.
 * A primitive belongs to the thread that made it. */
struct baseline_gemm {
    int64_t rows, in, out;
    int transposed;
    struct baseline_primitive *primitive; /* NULL: sgemm */
};

/* Opens an sgemm if type is dnnl_data_type_undef, else a primitive of that data type. */
void baseline_gemm_open(struct baseline_gemm *product, dnnl_data_type_t type);
void baseline_gemm_run(const struct baseline_gemm *product, const void *x, const void *weight, void *y);
void baseline_gemm_close(struct baseline_gemm *product);

/* Whether this oneDNN has a primitive of that type on this CPU. */
int baseline_gemm_exists(dnnl_data_type_t type);

#endif
