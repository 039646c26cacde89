/* Two streams, one of the CPU and one of the GPU, and arrays that are on both.
 *
 *     int began = rig_begin();                           77 where there is no GPU: the test is skipped
 *     struct rig_array x = rig_noise(count, REEL_BFLOAT16, 1);     x.host and x.device hold the same numbers
 *     ... reel_gemm(&rig_gpu, ...) writes y.device ...
 *     float *found = rig_found(&y);                      as floats
 */
#ifndef REEL_MATRIX_FIXTURE_H
#define REEL_MATRIX_FIXTURE_H

#include "ops.h"

#include <stdlib.h>

struct fixture_array {
    int64_t count;
    enum reel_precision precision;
    void *host, *device;
};

extern struct reel_stream fixture_cpu, fixture_gpu;

int fixture_begin(void);
void fixture_end(void);

/* Numbers between -1 and 1 that the precision holds, the same for the same seed. */
struct fixture_array fixture_noise(int64_t count, enum reel_precision precision, uint32_t seed);

/* Ones in every bit, which no answer has. */
struct fixture_array fixture_room(int64_t count, enum reel_precision precision);

/* The same numbers as floats, on the host alone. */
struct fixture_array fixture_widened(const struct fixture_array *array);

void fixture_free(struct fixture_array *array);

/* Brings what the device has to the host. */
void fixture_fetch(struct fixture_array *array);

/* The same as floats, which the caller frees. */
float *fixture_found(struct fixture_array *array);

float *fixture_floats(int64_t count);

/* Checks that found is right within the tolerance, and that it refuses the wrong answer, where there is
 * one. */
void fixture_compare(const char *what, const float *found, const float *right, const float *wrong,
                     int64_t count, double tolerance);

#endif
