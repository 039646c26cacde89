/* One element's arithmetic, shared by every backend, and what lets the compiler vectorise it.
 *
 * exp is our own so that the loops around it vectorise: range reduction by powers of two and a polynomial
 * (Cephes), relative error below 2e-7 on [-87, 88]; below that it is 0, above it infinite. */
#ifndef REEL_ELEMENTS_H
#define REEL_ELEMENTS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Compiles a function once per instruction set and picks at start-up. Contraction is off, so all give the
 * same bits. The sanitizers and the resolver that picks do not work together. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(REEL_SANITIZE)
#define REEL_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define REEL_SIMD
#endif

#define REEL_ELEMENT static inline __attribute__((always_inline))

REEL_ELEMENT float reel_exp(float x)
{
    float bounded = x > -87.3f ? x : -87.3f; /* and NaN, which comes back at the end */
    bounded = bounded < 88.7f ? bounded : 88.7f;
    float shifted = bounded * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer */
    float n = shifted - 12582912.0f;
    float r = bounded - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t exponent = (int32_t)n;
    int32_t half = exponent >> 1; /* two factors, so that neither leaves the range of a float */
    int32_t first = (half + 127) * (1 << 23), second = (exponent - half + 127) * (1 << 23);
    float a, b;
    memcpy(&a, &first, sizeof a);
    memcpy(&b, &second, sizeof b);
    float y = p * a * b;
    y = x < -87.3f ? 0.0f : y;
    y = x > 88.7f ? HUGE_VALF : y;
    return x != x ? x : y;
}

/* 0.5 z (1 + tanh(u)), u = sqrt(2/pi) (z + 0.044715 z^3), written as z / (1 + exp(-2u)): nothing cancels. */
REEL_ELEMENT float reel_gelu_tanh(float z)
{
    float u = 0.7978845608f * (z + 0.044715f * z * z * z);
    return z / (1.0f + reel_exp(-2.0f * u));
}

REEL_ELEMENT float reel_gelu_erf(float z)
{
    return 0.5f * z * (1.0f + erff(z * 0.70710678f));
}

REEL_ELEMENT float reel_silu_of(float z)
{
    return z / (1.0f + reel_exp(-z));
}

#endif
