/* Arrays of random numbers that a bfloat16 holds exactly, as floats and as bfloat16: what an operation
 * makes of the one has to be what it makes of the other, rounded. */
#ifndef REEL_NUMBERS_H
#define REEL_NUMBERS_H

#include <stdint.h>

struct numbers {
    int64_t count;
    float *wide;
    uint16_t *narrow;
};

/* Between -size and size, the same for the same seed. */
struct numbers numbers_make(int64_t count, uint32_t seed, float size);

void numbers_free(struct numbers *numbers);

/* Checks that every found bfloat16 is the rounded float of the right answer; and that one perturbed a
 * little would not do. */
void numbers_check(const char *what, const uint16_t *found, const float *right, int64_t count);

#endif
