/* Conversion between float and bfloat16 and between float and F8_E4M3, for C and for CUDA's C++.
 *
 * The functions have no branches, so that loops around them vectorise. They round to the nearest, ties to
 * even. */
#ifndef REEL_FLOAT_CONVERT_H
#define REEL_FLOAT_CONVERT_H

#include <stdint.h>
#include <string.h>

/* A function of one element: the same on the host and on a device. */
#ifdef __CUDACC__
#define REEL_ELEMENT static __device__ __host__ inline
#else
#define REEL_ELEMENT static inline __attribute__((always_inline))
#endif

REEL_ELEMENT uint32_t reel_bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

REEL_ELEMENT float reel_float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* bfloat16 is the upper half of a float. NaN stays NaN. */
REEL_ELEMENT uint16_t reel_round_bf16(float value)
{
    uint32_t bits = reel_bits_of(value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded);
}

REEL_ELEMENT float reel_widen_bf16(uint16_t bits)
{
    return reel_float_of((uint32_t)bits << 16);
}

/* F8_E4M3, as dtype.h describes it. Magnitudes above 448, infinities included, become 448; NaN stays NaN. */
REEL_ELEMENT uint8_t reel_round_e4m3(float value)
{
    uint32_t bits = reel_bits_of(value), size = bits & 0x7fffffffu;
    float bounded = size < 0x43e00000u ? reel_float_of(size) : 448.0f;
    uint32_t exact = reel_bits_of(bounded);
    uint32_t normal = ((exact + 0x7ffffu + ((exact >> 20) & 1u)) >> 20) - (120u << 3);
    /* the last bit of a float from 2^14 on is 2^-9, the step of F8_E4M3's subnormals: the sum rounds to it */
    uint32_t small = reel_bits_of(bounded + 16384.0f) - 0x46800000u;
    uint32_t code = bounded < 0.015625f ? small : normal;
    code = size > 0x7f800000u ? 0x7fu : code;
    return (uint8_t)((bits >> 24 & 0x80u) | code);
}

REEL_ELEMENT float reel_widen_e4m3(uint8_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x80u) << 24, code = bits & 0x7fu;
    uint32_t small = reel_bits_of((float)(int32_t)(code & 7u) * 0.001953125f);
    uint32_t size = code < 8u ? small : (code << 20) + (120u << 23);
    size = code == 0x7fu ? 0x7fc00000u : size;
    return reel_float_of(sign | size);
}

#endif
