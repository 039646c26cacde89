/* Arrays that are both on the host and on the device, for an operation's two implementations.
 *
 *     struct twins_array x = twins_random(REEL_FP32, count, 1, 3), y = twins_blank(REEL_BFLOAT16, count);
 *     for (int on = TWINS_HOST; on <= TWINS_DEVICE; on++)
 *         reel_convert(twins_stream(on), (struct reel_convert){.x = x.at[on], .y = y.at[on], ...});
 *     twins_equal("convert", &y);
 *     twins_free(); */
#ifndef REEL_HOST_DEVICE_H
#define REEL_HOST_DEVICE_H

#include "ops.h"

#include <stdint.h>

enum { TWINS_HOST, TWINS_DEVICE };

struct host_device_array {
    enum reel_precision dtype;
    int64_t bytes;
    void *at[2];
};

/* The streams on the CPU's table and on the CUDA's, which operations of a GEMM up to `most` may use. 77 where
 * this process sees no GPU, else 0. */
int host_device_open(const struct reel_scratch *max);
void host_device_close(void);
struct reel_stream *host_device_stream(int on);

/* Numbers between -size and size, the same for the same seed; numbers that no operation gives; given
 * bytes. */
struct host_device_array host_device_random(enum reel_precision dtype, int64_t count, uint32_t seed,
                                            float size);
struct host_device_array host_device_blank(enum reel_precision dtype, int64_t count);
struct host_device_array host_device_bytes(const void *given, int64_t bytes);

/* Frees every array. */
void host_device_free(void);

/* What lies in the device's, until the next call. */
const void *host_device_device(const struct host_device_array *array);

/* Checks that both hold the same bytes, and others than the blank's. */
void host_device_equal(const char *what, const struct host_device_array *array);

/* Checks that they differ by rounding alone: floats by less than 6e-7 of the largest; of bfloat16 at most one
 * in a hundred is a neighbour. What is a little further away is refused. */
void host_device_close_to(const char *what, const struct host_device_array *array);

/* Checks that `rows` rows from row `first` on are in the device's `part` what they are in `whole`. */
void host_device_same_rows(const char *what, const struct host_device_array *part,
                           const struct host_device_array *whole, int64_t first, int64_t rows,
                           int64_t row_bytes);

#endif
