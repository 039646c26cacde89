/* Measuring operations: arrays of random numbers on the device, the ceilings of this machine, and a line
 * for each operation.
 *
 *     measure_open(&measure, &reel_ops_cuda, &most);
 *     measure_ceilings(&measure, 8192, 2 << 30);
 *     struct reel_gemm gemm = {.x = measure_array(&measure, REEL_BFLOAT16, rows * in), ...};
 *     measure_operation(&measure, "14b.gemm.q", issue_gemm, &gemm,
 *                       (struct measure_work){flops, bytes, REEL_BFLOAT16});
 *
 *     bench: 14b.gemm.q time 0.000571 rate 752 TFLOP/s floor 0.000537 fraction 0.94
 *
 * The floor of an operation is the longer of its FLOPs at the measured rate of a GEMM and its bytes at
 * that of a copy, each array read or written once. Operations are enqueued many times over and then waited
 * for: a host's pause between two is no part of them. Medians of MEASURE_ROUNDS rounds after one that
 * warms up. */
#ifndef REEL_MEASURE_H
#define REEL_MEASURE_H

#include "ops.h"

enum { MEASURE_ROUNDS = 5, MEASURE_ARRAYS = 12 };

struct measure;

/* The fewest FLOPs and bytes of an operation, and the precision that its FLOPs are done in. Of a product [rows, in] by
 * [in, out], or of attention of `rows` queries to `out` keys by heads of `in` channels, the shape as well. */
struct measure_work {
    double flops, bytes;
    enum reel_precision dtype;
    int64_t rows, in, out, heads; /* heads 0: no attention */
};

/* Issues an operation to the stream. */
typedef void measure_issue(struct reel_stream *stream, const void *arguments);

typedef void measure_meter(struct measure *measure, const char *name, measure_issue *issue,
                           const void *arguments, const struct measure_work *work);

/* What the machine does at most, as measured: FLOP/s of a large GEMM by precision of its weights (0: it
 * has none), bytes/s read and written by a copy. */
struct measure {
    const struct reel_ops *ops;
    struct reel_stream stream;
    void *scratch;
    int64_t scratch_bytes;
    double began, seconds; /* it measures for so long at most */
    double round_seconds;  /* of one round */
    int only_names;        /* prints what it would measure */
    double gemm_rate[3], copy_rate;
    measure_meter *meter; /* measures and tells in measure_operation's place; NULL: against the rates above */
    void *meter_context;
    struct {
        void *memory;
        int64_t bytes;
    } arrays[MEASURE_ARRAYS];
    int array_count;
};

/* Seconds of a clock that only goes forward. */
double measure_now(void);

/* The median; the values are sorted. */
double measure_median(double *values, int64_t count);

/* So many random numbers as measure_array's, in memory of the host. */
void measure_fill(enum reel_precision dtype, int64_t count, void *out);

/* The memory; ends the program with a sentence where it is NULL. */
void *measure_need(void *memory, int64_t bytes);

/* Ends the program when there is no memory. */
void measure_open(struct measure *measure, const struct reel_ops *ops, const struct reel_scratch *max);
void measure_close(struct measure *measure);

/* Random numbers between -1 and 1, of a sequence that is repeated where there are many; as float, bfloat16
 * or codes of fp8 without NaN. */
void *measure_array(struct measure *measure, enum reel_precision dtype, int64_t count);

/* Frees all arrays. */
void measure_drop(struct measure *measure);

/* Seconds of one operation, 0 where it failed, which is said. */
double measure_seconds(struct measure *measure, const char *name, measure_issue *issue,
                       const void *arguments);

/* Measures the rates and prints them. `size` is the side of the GEMMs, `bytes` what is copied. */
void measure_ceilings(struct measure *measure, int64_t size, int64_t bytes);

/* Whether there is time for one more, and not its name alone is asked for; says so where not. */
int measure_wants(struct measure *measure, const char *name);

/* Measures and prints; then frees all arrays. Only where measure_wants. */
void measure_operation(struct measure *measure, const char *name, measure_issue *issue, const void *arguments,
                       struct measure_work work);

#endif
