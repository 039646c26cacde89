/* Two streams, one of the CPU and one of the GPU, and arrays that are on both.
 *
 *     int began = rig_begin();                           77 where there is no GPU: the test is skipped
 *     struct rig_array x = rig_noise(count, REEL_BFLOAT16, 1);     x.host and x.device hold the same numbers
 *     ... reel_gemm(&rig_gpu, ...) writes y.device ...
 *     float *found = rig_found(&y);                      as floats
 */
#ifndef REEL_MATRIX_RIG_H
#define REEL_MATRIX_RIG_H

#include "ops.h"

#include <stdlib.h>

struct rig_array {
    int64_t count;
    enum reel_precision precision;
    void *host, *device;
};

extern struct reel_stream rig_cpu, rig_gpu;

int rig_begin(void);
void rig_end(void);

/* Numbers between -1 and 1 that the precision holds, the same for the same seed. */
struct rig_array rig_noise(int64_t count, enum reel_precision precision, uint32_t seed);

/* Ones in every bit, which no answer has. */
struct rig_array rig_room(int64_t count, enum reel_precision precision);

/* The same numbers as floats, on the host alone. */
struct rig_array rig_widened(const struct rig_array *array);

void rig_free(struct rig_array *array);

/* Brings what the device has to the host. */
void rig_fetch(struct rig_array *array);

/* The same as floats, which the caller frees. */
float *rig_found(struct rig_array *array);

float *rig_floats(int64_t count);

/* Checks that found is right within the tolerance, and that it refuses the wrong answer, where there is
 * one. */
void rig_compare(const char *what, const float *found, const float *right, const float *wrong, int64_t count,
                 double tolerance);

#endif
