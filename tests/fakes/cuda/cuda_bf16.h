/* __nv_bfloat16 and its pair: rounded to nearest, ties to even; a NaN becomes 0x7fff. */
#ifndef REEL_FAKE_CUDA_BF16_H
#define REEL_FAKE_CUDA_BF16_H

#include "cuda_runtime.h"

struct __nv_bfloat16_raw {
    unsigned short x;
};

inline unsigned short reel_fake_bfloat16(float x)
{
    uint32_t bits = reel_fake_bits<uint32_t>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fff;
    return static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* From a double, rounded once: the intermediate float is rounded to odd, so that rounding it again loses
 * nothing. */
inline unsigned short reel_fake_bfloat16(double x)
{
    float near = static_cast<float>(x);
    if (static_cast<double>(near) == x || isnan(x) || isinf(near))
        return reel_fake_bfloat16(near);
    uint32_t bits = reel_fake_bits<uint32_t>(near);
    if (fabs(static_cast<double>(near)) > fabs(x))
        bits--;
    return reel_fake_bfloat16(reel_fake_bits<float>(bits | 1u));
}

struct __nv_bfloat16 {
    unsigned short __x;

    __nv_bfloat16() = default;
    __nv_bfloat16(__nv_bfloat16_raw raw) : __x(raw.x)
    {
    }
    __nv_bfloat16(float x) : __x(reel_fake_bfloat16(x))
    {
    }
    __nv_bfloat16(double x) : __x(reel_fake_bfloat16(x))
    {
    }
    __nv_bfloat16(int x) : __x(reel_fake_bfloat16(static_cast<double>(x)))
    {
    }
    operator float() const
    {
        return reel_fake_bits<float>(static_cast<uint32_t>(__x) << 16);
    }
    operator __nv_bfloat16_raw() const
    {
        return {__x};
    }
};
typedef __nv_bfloat16 nv_bfloat16;

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;

    __nv_bfloat162() = default;
    __nv_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high) : x(low), y(high)
    {
    }
};
typedef __nv_bfloat162 nv_bfloat162;

inline __nv_bfloat16 __float2bfloat16(float x)
{
    return __nv_bfloat16(x);
}
inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    return __nv_bfloat16(x);
}
inline __nv_bfloat16 __double2bfloat16(double x)
{
    return __nv_bfloat16(x);
}
inline float __bfloat162float(__nv_bfloat16 x)
{
    return static_cast<float>(x);
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high)
{
    return __nv_bfloat162(__nv_bfloat16(low), __nv_bfloat16(high));
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 x)
{
    return __floats2bfloat162_rn(x.x, x.y);
}
inline __nv_bfloat162 __float2bfloat162_rn(float x)
{
    return __floats2bfloat162_rn(x, x);
}
inline float2 __bfloat1622float2(__nv_bfloat162 x)
{
    return make_float2(static_cast<float>(x.x), static_cast<float>(x.y));
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high)
{
    return __nv_bfloat162(low, high);
}
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 low, __nv_bfloat16 high)
{
    return __nv_bfloat162(low, high);
}
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 x)
{
    return x.x;
}
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 x)
{
    return x.y;
}
inline float __low2float(__nv_bfloat162 x)
{
    return static_cast<float>(x.x);
}
inline float __high2float(__nv_bfloat162 x)
{
    return static_cast<float>(x.y);
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x)
{
    return x.__x;
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x)
{
    return __nv_bfloat16(__nv_bfloat16_raw{x});
}

#endif
