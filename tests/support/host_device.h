/* Arrays that are both on the host and on the device, to compare an operation's two implementations.
 *
 *     struct host_device_array x = host_device_random(REEL_F32, count, 1, 3);
 *     struct host_device_array y = host_device_blank(REEL_BF16, count);
 *     for (int on = ON_HOST; on <= ON_DEVICE; on++)
 *         reel_convert(host_device_stream(on), (struct reel_convert){.x = x.at[on], .y = y.at[on], ...});
 *     host_device_equal("convert", &y);
 *     host_device_free(); */
#ifndef REEL_HOST_DEVICE_H
#define REEL_HOST_DEVICE_H

#include "ops.h"

#include <stdint.h>

enum { ON_HOST, ON_DEVICE };

struct host_device_array {
    enum reel_dtype dtype;
    int64_t bytes;
    void *at[2];
};

/* Opens a stream of the CPU backend and one of the CUDA backend, whose scratch memory allows operations up to
 * max. Returns 77 if this process sees no GPU, else 0. */
int host_device_open(const struct reel_scratch *max);
void host_device_close(void);
struct reel_stream *host_device_stream(int on);

/* Arrays with the same contents on both sides. host_device_random: values between -size and size, the same
 * for the same seed. host_device_blank: a byte pattern, which host_device_equal takes for unwritten.
 * host_device_bytes: the given bytes. */
struct host_device_array host_device_random(enum reel_dtype dtype, int64_t count, uint32_t seed, float size);
struct host_device_array host_device_blank(enum reel_dtype dtype, int64_t count);
struct host_device_array host_device_bytes(const void *given, int64_t bytes);

/* Frees every array. */
void host_device_free(void);

/* The contents of the device's array, on the host; valid until the next call. */
const void *host_device_device(const struct host_device_array *array);

/* CHECKs that both sides hold the same bytes, and that these are not all blank. */
void host_device_equal(const char *what, const struct host_device_array *array);

/* CHECKs that both sides differ by rounding alone: floats by at most 6e-7 of the largest; bfloat16 by at most
 * one unit in the last place, in at most one of a hundred. CHECKs too that a slightly larger difference is
 * refused. */
void host_device_close_to(const char *what, const struct host_device_array *array);

/* CHECKs that rows [first, first + rows) of the device's `part` equal those of `whole`. */
void host_device_same_rows(const char *what, const struct host_device_array *part,
                           const struct host_device_array *whole, int64_t first, int64_t rows,
                           int64_t row_bytes);

#endif
