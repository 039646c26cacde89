/* Measures operations: arrays of random values on the device, the ceilings of this machine, and a line for
 * each operation.
 *
 *     measure_open(&measure, &reel_ops_cuda, &max);
 *     measure_ceilings(&measure, 8192, 2 << 30);
 *     struct reel_gemm gemm = {.x = measure_array(&measure, REEL_BF16, rows * in), ...};
 *     measure_operation(&measure, "14b.gemm.q", issue_gemm, &gemm,
 *                       (struct measure_work){flops, bytes, REEL_BF16});
 *
 *     bench: 14b.gemm.q time 0.000571 rate 752 TFLOP/s floor 0.000537 fraction 0.94
 *
 * The floor of an operation is the longer of two times: of its FLOPs at the measured rate of a GEMM, and of
 * its bytes, each array read or written once, at the measured rate of a copy. An operation is enqueued many
 * times before the host waits, so that the host's pauses between two do not count. The results are medians of
 * MEASURE_ROUNDS rounds after one that warms up. */
#ifndef REEL_MEASURE_H
#define REEL_MEASURE_H

#include "ops.h"

enum { MEASURE_ROUNDS = 5, MEASURE_ARRAYS = 12 };

struct measure;

/* The least FLOPs and bytes of an operation, and the dtype of its FLOPs. rows, in and out are the shape of a
 * product [rows, in] by [in, out], or of attention of `rows` queries to `out` keys by `heads` heads of `in`
 * channels. */
struct measure_work {
    double flops, bytes;
    enum reel_dtype dtype;
    int64_t rows, in, out, heads; /* heads is 0 unless it is attention */
};

/* Issues an operation to the stream. */
typedef void measure_issue(struct reel_stream *stream, const void *arguments);

typedef void measure_meter(struct measure *measure, const char *name, measure_issue *issue,
                           const void *arguments, const struct measure_work *work);

/* gemm_rate and copy_rate are the measured ceilings of the machine: FLOP/s of a large GEMM by dtype of its
 * weights (0: this device has none), and bytes/s read and written by a copy. */
struct measure {
    const struct reel_ops *ops;
    struct reel_stream stream;
    void *scratch;
    int64_t scratch_bytes;
    double began, seconds; /* measures for at most this many seconds */
    double round_seconds;  /* the duration of one round */
    int only_names;        /* only prints the names of operations */
    double gemm_rate[REEL_DTYPES], copy_rate;
    measure_meter *meter; /* replaces measure_operation; NULL: compares with the rates above */
    void *meter_context;
    struct {
        void *memory;
        int64_t bytes;
    } arrays[MEASURE_ARRAYS];
    int array_count;
};

/* The seconds of a monotonic clock. */
double measure_now(void);

/* Returns the median; sorts the values. */
double measure_median(double *values, int64_t count);

/* Fills host memory with `count` random values like those of measure_array. */
void measure_fill(enum reel_dtype dtype, int64_t count, void *out);

/* Returns memory; if it is NULL, ends the program with a sentence. */
void *measure_need(void *memory, int64_t bytes);

/* Ends the program when there is no memory. */
void measure_open(struct measure *measure, const struct reel_ops *ops, const struct reel_scratch *max);
void measure_close(struct measure *measure);

/* Random values between -1 and 1, as float, bfloat16, or codes of fp8 without NaN. In a long array the
 * sequence repeats. */
void *measure_array(struct measure *measure, enum reel_dtype dtype, int64_t count);

/* Frees all arrays. */
void measure_drop(struct measure *measure);

/* The seconds of one operation; 0 if it failed, which it prints. */
double measure_seconds(struct measure *measure, const char *name, measure_issue *issue,
                       const void *arguments);

/* Measures and prints the ceilings. `size` is the side of the GEMMs, `bytes` the size of the copy. */
void measure_ceilings(struct measure *measure, int64_t size, int64_t bytes);

/* Whether the operation is to be measured: time is left. With only_names, prints the name and returns 0. */
int measure_wants(struct measure *measure, const char *name);

/* Measures, prints, and frees all arrays. To be called only if measure_wants. */
void measure_operation(struct measure *measure, const char *name, measure_issue *issue, const void *arguments,
                       struct measure_work work);

#endif
