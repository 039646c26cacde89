/* One matrix product by oneDNN: its sgemm, or its primitive for other numbers. */
#ifndef REEL_BENCH_ALONE_PRODUCT_H
#define REEL_BENCH_ALONE_PRODUCT_H

#include <dnnl.h>
#include <stdint.h>

/* y [rows, out] = x [rows, in] times weight, [in, out] or where it is transposed [out, in]; all dense. A primitive belongs
 * to the thread that made it. */
struct alone_product {
    int64_t rows, in, out;
    int transposed;
    struct alone_primitive *primitive; /* NULL: sgemm */
};

/* Of sgemm; with a data type of it, but for dnnl_data_type_undef, as a primitive. */
void alone_product_open(struct alone_product *product, dnnl_data_type_t type);
void alone_product_run(const struct alone_product *product, const void *x, const void *weight, void *y);
void alone_product_close(struct alone_product *product);

/* Whether there are primitives of that type here. */
int alone_product_exists(dnnl_data_type_t type);

#endif
