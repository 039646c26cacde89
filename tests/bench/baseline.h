/* The floors of the CPU's benchmarks: the time that oneDNN needs for an operation's matrix products and
 * nothing else, and the rate of a copy.
 *
 *     struct baseline baseline;
 *     baseline_open(&baseline, &(struct baseline_work){.rows = 3510, .in = 1536, .out = 8960}, 0);
 *     double seconds = baseline_seconds(&baseline);        x W^T, 96.6 GFLOP, in one call on all threads
 *     baseline_close(&baseline);
 *
 * Attention is its two products, head by head, with nothing between them. It takes some rows of queries at a
 * time, so that no array grows with the square of the sequence. Such parts run in parallel like a batch, one
 * thread each. Arrays are random and dense. There are omp_get_max_threads threads. Any failure ends the
 * program with a sentence. */
#ifndef REEL_BASELINE_H
#define REEL_BASELINE_H

#include <stdint.h>

/* A product [rows, in] by [out, in]^T; or with heads > 0, attention of `rows` queries to `out` keys by this
 * many heads of `in` channels. */
struct baseline_work {
    int64_t rows, in, out, heads;
};

struct baseline {
    struct baseline_work work;
    int bf16; /* 1: by oneDNN's primitive on bfloat16 values; 0: by its sgemm */
    int64_t threads, piece_rows;
    void *x, *weight, *values,
        *y;       /* attention: queries, keys, values [heads, rows or keys, channels], result */
    void *scores; /* [threads, piece_rows, keys] */
    struct baseline_gemm *products; /* PRODUCTS for every thread */
};

/* Whether this CPU has instructions for products of bfloat16 values, and oneDNN uses them. */
int baseline_has_bf16(void);

/* "oneDNN 2.6.3, avx2", valid until the next call. */
const char *baseline_library(void);

double baseline_flops(const struct baseline_work *work);

/* Computes in bf16 if bf16 is 1 and baseline_has_bf16. */
void baseline_open(struct baseline *baseline, const struct baseline_work *work, int bf16);
double baseline_seconds(struct baseline *baseline);
void baseline_close(struct baseline *baseline);

/* Two arrays of this many bytes each. The rate is of the bytes read and written per second while all threads
 * copy one to the other. */
struct baseline_copy {
    char *from, *to;
    int64_t bytes;
};
void baseline_copy_open(struct baseline_copy *copy, int64_t bytes);
double baseline_copy_rate(struct baseline_copy *copy);
void baseline_copy_close(struct baseline_copy *copy);

/* Ends the program if oneDNN's sgemm and primitive disagree on a small product, both in fp32. */
void baseline_check(void);

#endif
