/* The mathematical functions of kernels. Those that a device approximates are the host's here. */
#ifndef REEL_FAKE_MATH_H
#define REEL_FAKE_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- Functions that a device approximates. */
inline float rsqrtf(float x)
{
    return static_cast<float>(1.0 / sqrt(static_cast<double>(x)));
}
inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
inline float __expf(float x)
{
    return expf(x);
}
inline float __exp10f(float x)
{
    return powf(10.0f, x);
}
inline float __logf(float x)
{
    return logf(x);
}
inline float __log2f(float x)
{
    return log2f(x);
}
inline float __powf(float x, float y)
{
    return powf(x, y);
}
inline float __sinf(float x)
{
    return sinf(x);
}
inline float __cosf(float x)
{
    return cosf(x);
}
inline float __tanhf(float x)
{
    return tanhf(x);
}
inline float __fdividef(float x, float y)
{
    return x / y;
}

/* ---- Rounded once, and never contracted. */
inline float __fadd_rn(float x, float y)
{
    return x + y;
}
inline float __fsub_rn(float x, float y)
{
    return x - y;
}
inline float __fmul_rn(float x, float y)
{
    return x * y;
}
inline float __fdiv_rn(float x, float y)
{
    return x / y;
}
inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
inline float __frsqrt_rn(float x)
{
    return rsqrtf(x);
}
inline double __dadd_rn(double x, double y)
{
    return x + y;
}
inline double __dsub_rn(double x, double y)
{
    return x - y;
}
inline double __dmul_rn(double x, double y)
{
    return x * y;
}
inline double __ddiv_rn(double x, double y)
{
    return x / y;
}
inline double __dsqrt_rn(double x)
{
    return sqrt(x);
}
inline double __fma_rn(double x, double y, double z)
{
    return fma(x, y, z);
}
inline float __double2float_rn(double x)
{
    return static_cast<float>(x);
}
inline float __saturatef(float x)
{
    return x > 0.0f ? fminf(x, 1.0f) : 0.0f;
}
inline int __float2int_rn(float x)
{
    return static_cast<int>(rintf(x));
}

/* ---- Bits. */
template <typename To, typename From> To reel_fake_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x)
{
    return reel_fake_bits<unsigned>(x);
}
inline int __float_as_int(float x)
{
    return reel_fake_bits<int>(x);
}
inline float __uint_as_float(unsigned x)
{
    return reel_fake_bits<float>(x);
}
inline float __int_as_float(int x)
{
    return reel_fake_bits<float>(x);
}
inline long long __double_as_longlong(double x)
{
    return reel_fake_bits<long long>(x);
}
inline double __longlong_as_double(long long x)
{
    return reel_fake_bits<double>(x);
}
inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __clz(int x)
{
    return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}

/* ---- min and max: CUDA has them for every type. */
#define REEL_FAKE_EXTREMES(type)                                                                             \
    inline type min(type a, type b)                                                                          \
    {                                                                                                        \
        return a < b ? a : b;                                                                                \
    }                                                                                                        \
    inline type max(type a, type b)                                                                          \
    {                                                                                                        \
        return a > b ? a : b;                                                                                \
    }
REEL_FAKE_EXTREMES(int)
REEL_FAKE_EXTREMES(unsigned)
REEL_FAKE_EXTREMES(long)
REEL_FAKE_EXTREMES(unsigned long)
REEL_FAKE_EXTREMES(long long)
REEL_FAKE_EXTREMES(unsigned long long)
#undef REEL_FAKE_EXTREMES
inline float min(float a, float b)
{
    return fminf(a, b);
}
inline float max(float a, float b)
{
    return fmaxf(a, b);
}
inline double min(double a, double b)
{
    return fmin(a, b);
}
inline double max(double a, double b)
{
    return fmax(a, b);
}

#endif
