/* Arrays of random values that bfloat16 represents exactly, as floats and as bfloat16. An operation on the
 * bfloat16 values has to give its result on the floats, rounded. */
#ifndef REEL_TEST_ARRAY_H
#define REEL_TEST_ARRAY_H

#include <stdint.h>

struct test_array {
    int64_t count;
    float *wide;
    uint16_t *narrow;
};

/* count values between -size and size, the same for the same seed. */
struct test_array test_array_make(int64_t count, uint32_t seed, float size);

void test_array_free(struct test_array *array);

/* CHECKs that every found bfloat16 is the right float, rounded, and that a slightly perturbed answer is
 * refused. */
void test_array_check(const char *what, const uint16_t *found, const float *right, int64_t count);

#endif
