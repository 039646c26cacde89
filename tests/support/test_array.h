/* Arrays of random numbers that a bfloat16 holds exactly, as floats and as bfloat16: what an operation
 * makes of the one has to be what it makes of the other, rounded. */
#ifndef REEL_TEST_ARRAY_H
#define REEL_TEST_ARRAY_H

#include <stdint.h>

struct test_array {
    int64_t count;
    float *wide;
    uint16_t *narrow;
};

/* Between -size and size, the same for the same seed. */
struct test_array test_array_make(int64_t count, uint32_t seed, float size);

void test_array_free(struct test_array *dtype);

/* Checks that every found bfloat16 is the rounded float of the right answer; and that one perturbed a
 * little would not do. */
void test_array_check(const char *what, const uint16_t *found, const float *right, int64_t count);

#endif
