/* What oneDNN takes for the products of an operation and nothing else, and what a copy takes: the floors of the CPU's
 * benchmarks.
 *
 *     struct alone alone;
 *     alone_open(&alone, &(struct alone_work){.rows = 3510, .in = 1536, .out = 8960});
 *     double seconds = alone_seconds(&alone);        x W^T, 96.6 GFLOP, in one call on all threads
 *     alone_close(&alone);
 *
 * Attention is its two products, head by head, with nothing between them: the scores of some rows of queries at a time,
 * so that no array grows with the sequence squared, and such pieces in parallel with one thread each, like a batch. Arrays
 * are random and dense. The threads are omp_get_max_threads. Whatever fails ends the program with a sentence. */
#ifndef REEL_BASELINE_H
#define REEL_BASELINE_H

#include <stdint.h>

/* A product [rows, in] by [out, in]^T; or, where there are heads, attention of `rows` queries to `out` keys by so many heads
 * of `in` channels. */
struct baseline_work {
    int64_t rows, in, out, heads;
};

struct baseline {
    struct baseline_work work;
    int bf16; /* computed by oneDNN's matrix products of bfloat16 numbers, else by its sgemm */
    int64_t threads, piece_rows;
    void *x, *weight, *values,
        *y;       /* attention: queries, keys, values [heads, rows or keys, channels], result */
    void *scores; /* [threads, piece_rows, keys] */
    struct baseline_gemm *products; /* of every thread */
};

/* Whether this CPU has instructions for products of bfloat16 numbers, and oneDNN uses them. */
int baseline_has_bf16(void);

/* "oneDNN 2.6.3, avx2", valid until the next call. */
const char *baseline_library(void);

double baseline_flops(const struct baseline_work *work);

/* In bf16 where it is asked for and alone_has_bf16. */
void baseline_open(struct baseline *baseline, const struct baseline_work *work, int bf16);
double baseline_seconds(struct baseline *baseline);
void baseline_close(struct baseline *baseline);

/* Two arrays of so many bytes each, and bytes a second that are read and written when one is copied to the other by all
 * threads. */
struct baseline_copy {
    char *from, *to;
    int64_t bytes;
};
void baseline_copy_open(struct baseline_copy *copy, int64_t bytes);
double baseline_copy_rate(struct baseline_copy *copy);
void baseline_copy_close(struct baseline_copy *copy);

/* Ends the program where the two ways to multiply disagree on a small product, both in fp32. */
void baseline_check(void);

#endif
