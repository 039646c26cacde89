/* The arithmetic of one element, which all backends share, and REEL_SIMD, which compiles a loop over such
 * elements once for each instruction set.
 *
 *     y[i] = reel_modulated((x[i] - mean) * inverse, scale, row_scale, shift, row_shift);
 *
 * C and the C++ of CUDA both compile this file without contraction (-ffp-contract=off, -fmad=false). A
 * function that uses no mathematics library except for sqrt gives the same bits on every backend.
 *
 * exp is our own, so that the loops around it vectorise: range reduction by powers of two and a polynomial
 * (Cephes). Its relative error is below 2e-7 on [-87, 88]; below that range it is 0, above it infinite. */
#ifndef REEL_ELEMENTS_H
#define REEL_ELEMENTS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "ops.h"
#ifdef __cplusplus
}
#endif
#include "float_convert.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Compiles a function once per instruction set, and picks one at start-up. Contraction is off, so all give
 * the same bits. Not with the sanitizers, which do not work with the resolver that picks. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(REEL_SANITIZE)
#define REEL_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define REEL_SIMD
#endif

/* Element `index` of an array of that dtype. Callers pass a constant dtype inside a loop, so that the
 * compiler removes the branch. */
REEL_ELEMENT float reel_number(const void *array, int64_t index, enum reel_dtype dtype)
{
    return dtype == REEL_F32    ? ((const float *)array)[index]
           : dtype == REEL_BF16 ? reel_widen_bf16(((const uint16_t *)array)[index])
                                : reel_widen_e4m3(((const uint8_t *)array)[index]);
}

REEL_ELEMENT void reel_set_number(void *array, int64_t index, enum reel_dtype dtype, float value)
{
    if (dtype == REEL_F32)
        ((float *)array)[index] = value;
    else if (dtype == REEL_BF16)
        ((uint16_t *)array)[index] = reel_round_bf16(value);
    else
        ((uint8_t *)array)[index] = reel_round_e4m3(value);
}

REEL_ELEMENT float reel_exp(float x)
{
    float bounded = x > -87.3f ? x : -87.3f; /* NaN too; the last line restores it */
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
    int32_t half = exponent >> 1; /* two factors, so that neither overflows */
    int32_t first = (half + 127) * (1 << 23), second = (exponent - half + 127) * (1 << 23);
    float a, b;
    memcpy(&a, &first, sizeof a);
    memcpy(&b, &second, sizeof b);
    float y = p * a * b;
    y = x < -87.3f ? 0.0f : y;
    y = x > 88.7f ? HUGE_VALF : y;
    return x != x ? x : y;
}

/* GELU by tanh: 0.5 z (1 + tanh(u)) with u = sqrt(2/pi) (z + 0.044715 z^3), written as z / (1 + exp(-2u)) to
 * avoid cancellation. */
REEL_ELEMENT float reel_gelu_tanh(float z)
{
    float u = 0.7978845608f * (z + 0.044715f * z * z * z);
    return z / (1.0f + reel_exp(-2.0f * u));
}

/* GELU by erf. erff is the C library's or CUDA's. */
REEL_ELEMENT float reel_gelu_erf(float z)
{
    return 0.5f * z * (1.0f + erff(z * 0.70710678f));
}

REEL_ELEMENT float reel_silu_of(float z)
{
    return z / (1.0f + reel_exp(-z));
}

REEL_ELEMENT float reel_activated(float z, enum reel_activation activation)
{
    return activation == REEL_GELU_TANH  ? reel_gelu_tanh(z)
           : activation == REEL_GELU_ERF ? reel_gelu_erf(z)
           : activation == REEL_SILU     ? reel_silu_of(z)
                                         : z;
}

/* 1 / sqrt(total / width + epsilon), where total is a sum of squares. */
REEL_ELEMENT float reel_inverse_root(double total, int64_t width, double epsilon)
{
    return (float)(1.0 / sqrt(total / (double)width + epsilon));
}

/* In reel_affine and reel_modulated, n is (x - mean) * inverse. */
REEL_ELEMENT float reel_affine(float n, float weight, float bias)
{
    return n * weight + bias;
}

REEL_ELEMENT float reel_modulated(float n, float scale, float row_scale, float shift, float row_shift)
{
    return n * (1.0f + (scale + row_scale)) + (shift + row_shift);
}

REEL_ELEMENT float reel_gated(float x, float y, float gate, float row)
{
    return x + y * (gate + row);
}

REEL_ELEMENT float reel_rms_normed(float x, float inverse, float norm)
{
    return x * inverse * norm;
}

/* Rotates (a, b) by the angle whose (cosine, sine) is entry. */
REEL_ELEMENT void reel_turn(float *a, float *b, const float *entry)
{
    float x = *a, y = *b;
    *a = x * entry[0] - y * entry[1];
    *b = x * entry[1] + y * entry[0];
}

/* The coordinates of a token in the grid of H x W tokens a frame. */
struct reel_token_position {
    int64_t frame, row, column;
};

REEL_ELEMENT struct reel_token_position reel_token_position_of(int64_t token, int64_t H, int64_t W)
{
    struct reel_token_position position;
    position.frame = token / (W * H);
    position.row = token / W % H;
    position.column = token % W;
    return position;
}

/* The (cosine, sine) by which pair `pair` of a head rotates. The entries of one axis are adjacent. */
REEL_ELEMENT const float *reel_rotation(const struct reel_rope *rope, struct reel_token_position position,
                                        int64_t pair)
{
    if (pair < rope->frame_pairs)
        return rope->frame + 2 * (position.frame * rope->frame_pairs + pair);
    pair -= rope->frame_pairs;
    if (pair < rope->row_pairs)
        return rope->row + 2 * (position.row * rope->row_pairs + pair);
    pair -= rope->row_pairs;
    return rope->column + 2 * (position.column * rope->column_pairs + pair);
}

/* The element at which head `head` of row `row` begins in split_heads' layout. */
REEL_ELEMENT int64_t reel_head_at(const int64_t *first_head, int64_t rows, int64_t channels, int64_t row,
                                  int64_t head)
{
    int64_t part = 0;
    while (first_head[part + 1] <= head)
        part++;
    int64_t first = first_head[part], heads = first_head[part + 1] - first;
    return (rows * first + row * heads + head - first) * channels;
}

/* The index in [channels, F, pH, pW] of the first pixel of a token's p x p patch. Pixel (ph, pw) of the patch
 * lies ph * p * W + pw further. Patchify holds it in column (channel * p + ph) * p + pw, unpatchify in column
 * (ph * p + pw) * channels + channel. */
REEL_ELEMENT int64_t reel_pixel_of(struct reel_token_position position, int64_t channel, int64_t patch,
                                   int64_t F, int64_t H, int64_t W)
{
    int64_t row = (channel * F + position.frame) * patch * H + patch * position.row;
    return (row * W + position.column) * patch;
}

REEL_ELEMENT float reel_guided(float conditional, float unconditional, float scale)
{
    return unconditional + scale * (conditional - unconditional);
}

/* reel_solve for element i of a channel's plane. m0 and m1 are read even where their coefficients are 0, so
 * they must not be NaN. In double: the coefficients of neighbouring terms nearly cancel at the start of a
 * schedule. */
REEL_ELEMENT void reel_solve_element(const struct reel_solve *a, int64_t channel, int64_t i)
{
    int64_t at = (channel * a->frames + a->frame) * a->plane + i;
    double v = (double)a->v[(channel * a->v_frames + a->v_frame) * a->plane + i];
    double x = (double)a->x[at], m0 = (double)a->m0[at], m1 = (double)a->m1[at];
    double estimate = x - a->sigma * v;
    if (a->corrects)
        x = a->correct_last * (double)a->last[at] + a->correct_0 * m0 + a->correct_1 * m1 +
            a->correct_estimate * estimate;
    a->m1[at] = a->m0[at];
    a->m0[at] = (float)estimate;
    a->x[at] = (float)(a->predict_x * x + a->predict_0 * estimate + a->predict_1 * m0 + a->predict_v * v);
    a->last[at] = a->last_is_result ? a->x[at] : (float)x;
}

/* One element of reel_sum_parts: the parts in order, then the row. */
REEL_ELEMENT float reel_sum_of_parts(const struct reel_sum_parts *a, int64_t row, int64_t i,
                                     enum reel_dtype dtype)
{
    int64_t at = row * a->width + i;
    float sum = reel_number(a->x, at, dtype);
    for (int64_t p = 1; p < a->parts; p++)
        sum += reel_number(a->x, p * a->part_stride + at, dtype);
    return sum + reel_number(a->row, i, dtype);
}

REEL_ELEMENT void reel_keep_element(const struct reel_keep_residual *a, int64_t i, enum reel_dtype kept)
{
    reel_set_number(a->residual, i, kept, a->after[i] - a->before[i]);
}

REEL_ELEMENT void reel_add_kept_element(const struct reel_add_residual *a, int64_t i, enum reel_dtype kept)
{
    a->x[i] += reel_number(a->residual, i, kept);
}

/* One element of reel_blend; rest is 1 - share. */
REEL_ELEMENT float reel_blended(float x, float z, float share, float rest)
{
    return rest * x + share * z;
}

/* How to merge attention over two sets of keys, whose log-sum-exps are `old` and `here`: the weights `kept`
 * and `taken` of the two results, and the log-sum-exp of both. exp and log are the C library's or CUDA's. */
struct reel_merged {
    float kept, taken;
    double lse;
};

REEL_ELEMENT struct reel_merged reel_merge_of(double old, double here)
{
    double max = old > here ? old : here;
    double of_old = exp(old - max), of_here = exp(here - max), both = of_old + of_here;
    struct reel_merged merged;
    merged.kept = (float)(of_old / both);
    merged.taken = (float)(of_here / both);
    merged.lse = max + log(both);
    return merged;
}

/* One element of the merged result. Where kept is 0, old is unused and may be uninitialised. */
REEL_ELEMENT float reel_merged_number(struct reel_merged merged, float old, float here)
{
    return merged.kept > 0 ? merged.kept * old + here * merged.taken : here * merged.taken;
}

#endif
