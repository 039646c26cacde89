/* F8_E4M3: 1 sign bit, 4 bits of exponent with bias 7, 3 of mantissa. The largest value is 448; there is no
 * infinity; 0x7f is NaN. */
#ifndef REEL_FAKE_CUDA_FP8_H
#define REEL_FAKE_CUDA_FP8_H

#include "cuda_runtime.h"

typedef unsigned char __nv_fp8_storage_t;
typedef unsigned short __nv_fp8x2_storage_t;
typedef unsigned __nv_fp8x4_storage_t;
typedef enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE } __nv_saturation_t;
typedef enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 } __nv_fp8_interpretation_t;

/* Rounds to nearest, ties to even. Values beyond 448 become 448 with saturation; without it, those up to 464
 * become 448, and others NaN. */
__nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t saturation,
                                         __nv_fp8_interpretation_t interpretation);
float reel_fake_from_fp8(__nv_fp8_storage_t x);

inline __nv_fp8x2_storage_t __nv_cvt_float2_to_fp8x2(float2 x, __nv_saturation_t saturation,
                                                     __nv_fp8_interpretation_t interpretation)
{
    return static_cast<__nv_fp8x2_storage_t>(__nv_cvt_float_to_fp8(x.y, saturation, interpretation) << 8 |
                                             __nv_cvt_float_to_fp8(x.x, saturation, interpretation));
}

struct __nv_fp8_e4m3 {
    __nv_fp8_storage_t __x;

    __nv_fp8_e4m3() = default;
    explicit __nv_fp8_e4m3(float x) : __x(__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3))
    {
    }
    explicit operator float() const
    {
        return reel_fake_from_fp8(__x);
    }
};

struct __nv_fp8x2_e4m3 {
    __nv_fp8x2_storage_t __x;

    __nv_fp8x2_e4m3() = default;
    explicit __nv_fp8x2_e4m3(float2 x) : __x(__nv_cvt_float2_to_fp8x2(x, __NV_SATFINITE, __NV_E4M3))
    {
    }
};

struct __nv_fp8x4_e4m3 {
    __nv_fp8x4_storage_t __x;

    __nv_fp8x4_e4m3() = default;
    explicit __nv_fp8x4_e4m3(float4 x)
        : __x(static_cast<unsigned>(
                  __nv_cvt_float2_to_fp8x2(make_float2(x.z, x.w), __NV_SATFINITE, __NV_E4M3))
                  << 16 |
              __nv_cvt_float2_to_fp8x2(make_float2(x.x, x.y), __NV_SATFINITE, __NV_E4M3))
    {
    }
};

#endif
