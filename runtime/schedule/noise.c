/* The CPU generator of torch: mt19937, and normal values with the rounding of PyTorch's AVX2 kernel. */
#include "noise.h"

#include "float_convert.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 16, MT_SHIFT = 397 };

/* Every fmaf below is in the AVX2 kernel; no other sum is fused. The clone with the fma instruction and
 * the clone without give the same bits at different speed. Clones are chosen before a sanitizer can run,
 * so a sanitized build has none. */
#if defined(__x86_64__) && !defined(REEL_SANITIZE)
#define WITH_FMA __attribute__((target_clones("fma", "default")))
#else
#define WITH_FMA
#endif
#define INLINE static inline __attribute__((always_inline))

void reel_noise_seed(struct reel_noise *random, uint64_t seed)
{
    memset(random, 0, sizeof *random);
    random->state[0] = (uint32_t)seed;
    for (uint32_t j = 1; j < REEL_MT_WORDS; j++) {
        uint32_t previous = random->state[j - 1];
        random->state[j] = 1812433253u * (previous ^ (previous >> 30)) + j;
    }
    random->next = REEL_MT_WORDS;
}

static void regenerate_state(struct reel_noise *random)
{
    uint32_t *state = random->state;
    for (int i = 0; i < REEL_MT_WORDS; i++) {
        uint32_t following = state[(i + 1) % REEL_MT_WORDS];
        uint32_t mixed = (state[i] & 0x80000000u) | (following & 0x7fffffffu);
        state[i] = state[(i + MT_SHIFT) % REEL_MT_WORDS] ^ (mixed >> 1) ^ (following & 1u ? 0x9908b0dfu : 0u);
    }
    random->next = 0;
}

static uint32_t draw_word(struct reel_noise *random)
{
    if (random->next == REEL_MT_WORDS)
        regenerate_state(random);
    uint32_t y = random->state[random->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static void draw_uniforms(struct reel_noise *random, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(draw_word(random) & 0xffffffu) * 0x1p-24f;
}

static double draw_double(struct reel_noise *random)
{
    uint64_t high = draw_word(random), low = draw_word(random);
    return (double)(((high << 32) | low) & 0x1fffffffffffffu) * 0x1p-53;
}

/* logf of Cephes, for a normal number. */
INLINE float log_of(float x)
{
    uint32_t bits = reel_bits_of(x);
    float exponent = (float)((int32_t)(bits >> 23) - 126);
    float half = reel_float_of((bits & 0x007fffffu) | 0x3f000000u); /* the mantissa in [0.5, 1) */
    int small = half < 0.707106781186547524f;
    float m = (half - 1.0f) + (small ? half : 0.0f);
    exponent -= small ? 1.0f : 0.0f;
    float z = m * m;
    float y = 7.0376836292E-2f;
    y = fmaf(y, m, -1.1514610310E-1f);
    y = fmaf(y, m, 1.1676998740E-1f);
    y = fmaf(y, m, -1.2420140846E-1f);
    y = fmaf(y, m, 1.4249322787E-1f);
    y = fmaf(y, m, -1.6668057665E-1f);
    y = fmaf(y, m, 2.0000714765E-1f);
    y = fmaf(y, m, -2.4999993993E-1f);
    y = fmaf(y, m, 3.3333331174E-1f);
    y = y * m;
    y = fmaf(y, z, exponent * -2.12194440e-4f);
    y = fmaf(z, -0.5f, y);
    return fmaf(exponent, 0.693359375f, m + y);
}

/* sinf and cosf of Cephes, for t >= 0. */
INLINE void sine_and_cosine_of(float t, float *sine, float *cosine)
{
    int32_t octant = ((int32_t)(t * 1.27323954473516f) + 1) & ~1;
    uint32_t sine_sign = (uint32_t)(octant & 4) << 29;
    uint32_t cosine_sign = (uint32_t)(~(octant - 2) & 4) << 29;
    float y = (float)octant;
    float x = fmaf(y, -0.78515625f, t);
    x = fmaf(y, -2.4187564849853515625e-4f, x);
    x = fmaf(y, -3.77489497744594108e-8f, x);
    float z = x * x;
    float c = fmaf(2.443315711809948E-5f, z, -1.388731625493765E-3f);
    c = fmaf(c, z, 4.166664568298827E-2f);
    c = c * z;
    c = fmaf(c, z, -(z * 0.5f)) + 1.0f;
    float s = fmaf(-1.9515295891E-4f, z, 8.3321608736E-3f);
    s = fmaf(s, z, -1.6666654611E-1f);
    s = s * z;
    s = fmaf(s, x, x);
    int straight = (octant & 2) == 0;
    *sine = reel_float_of(reel_bits_of(straight ? s : c) ^ sine_sign);
    *cosine = reel_float_of(reel_bits_of(straight ? c : s) ^ cosine_sign);
}

/* Box and Muller's transform of blocks of 16 uniform values, in place: radii from the first eight, angles
 * from the last eight. */
WITH_FMA static void transform_blocks(float *values, int64_t blocks)
{
    for (int64_t block = 0; block < blocks; block++) {
        float *d = values + block * BLOCK;
        for (int j = 0; j < BLOCK / 2; j++) {
            float radius = sqrtf(-2.0f * log_of(1.0f - d[j])), sine, cosine;
            sine_and_cosine_of(6.2831855f * d[j + BLOCK / 2], &sine, &cosine);
            /* the kernel adds the mean 0, which turns -0 into 0 */
            d[j] = radius * cosine + 0.0f;
            d[j + BLOCK / 2] = radius * sine + 0.0f;
        }
    }
}

static double draw_one(struct reel_noise *random)
{
    if (random->has_cached) {
        random->has_cached = 0;
        return random->cached;
    }
    double turn = draw_double(random), radius = sqrt(-2.0 * log1p(-draw_double(random)));
    double angle = 2.0 * 3.14159265358979323846 * turn;
    random->cached = radius * sin(angle);
    random->has_cached = 1;
    return radius * cos(angle);
}

void reel_noise_normal(struct reel_noise *random, int64_t count, float *out)
{
    if (count < BLOCK) {
        for (int64_t i = 0; i < count; i++)
            out[i] = (float)draw_one(random);
        return;
    }
    draw_uniforms(random, count, out);
    transform_blocks(out, count / BLOCK);
    if (count % BLOCK != 0) {
        draw_uniforms(random, BLOCK, out + count - BLOCK);
        transform_blocks(out + count - BLOCK, 1);
    }
}
