/* Random values in two dtypes. */
#include "test_array.h"

#include "dtype.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

struct test_array test_array_make(int64_t count, uint32_t seed, float size)
{
    struct test_array n = {.count = count,
                           .wide = malloc((size_t)count * sizeof *n.wide),
                           .narrow = malloc((size_t)count * sizeof *n.narrow)};
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        n.narrow[i] = reel_bf16_from_float(((float)(seed >> 8) * 0x1p-23f - 1.0f) * size);
        n.wide[i] = reel_float_from_bf16(n.narrow[i]);
    }
    return n;
}

void test_array_free(struct test_array *array)
{
    free(array->wide);
    free(array->narrow);
}

static int64_t differing(const uint16_t *found, const float *right, int64_t count)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; i++)
        wrong += found[i] != reel_bf16_from_float(right[i]);
    return wrong;
}

void test_array_check(const char *what, const uint16_t *found, const float *right, int64_t count)
{
    int64_t wrong = differing(found, right, count);
    CHECK(wrong == 0, "%s: %lld of %lld are wrong", what, (long long)wrong, (long long)count);
    float perturbed = right[count / 2] * 1.02f + copysignf(0.01f, right[count / 2]);
    CHECK(differing(found + count / 2, &perturbed, 1) == 1, "%s: a perturbed answer passes", what);
}
