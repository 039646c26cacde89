/* Two streams, one of the CPU and one of the GPU, and arrays that are on both.
 *
 *     int began = fixture_begin();                       77 if there is no GPU: the test is skipped
 *     struct fixture_array x = fixture_noise(count, REEL_BF16, 1);
 *                                                        x.host and x.device hold the same values
 *     ... reel_gemm(&fixture_gpu, ...) writes y.device ...
 *     float *found = fixture_found(&y);                  as floats */
#ifndef REEL_MATRIX_FIXTURE_H
#define REEL_MATRIX_FIXTURE_H

#include "ops.h"

#include <stdlib.h>

struct fixture_array {
    int64_t count;
    enum reel_dtype dtype;
    void *host, *device;
};

extern struct reel_stream fixture_cpu, fixture_gpu;

int fixture_begin(void);
void fixture_end(void);

/* Values between -1 and 1, rounded to the precision; the same for the same seed. */
struct fixture_array fixture_noise(int64_t count, enum reel_dtype dtype, uint32_t seed);

/* Room for results. Every bit is 1, a NaN, which no result is. */
struct fixture_array fixture_room(int64_t count, enum reel_dtype dtype);

/* The same values as floats, on the host only. */
struct fixture_array fixture_widened(const struct fixture_array *array);

void fixture_free(struct fixture_array *array);

/* Copies the device's contents to the host. */
void fixture_fetch(struct fixture_array *array);

/* Fetches the array and returns its values as floats, which the caller frees. */
float *fixture_found(struct fixture_array *array);

float *fixture_floats(int64_t count);

/* CHECKs that found equals right within the tolerance, a relative error, and that the tolerance refuses the
 * wrong answer, unless that is NULL. */
void fixture_compare(const char *what, const float *found, const float *right, const float *wrong,
                     int64_t count, double tolerance);

#endif
