/* F8_E4M3 and float. */
#include "cuda_fp8.h"
#include "internal.h"

__nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t saturation,
                                         __nv_fp8_interpretation_t interpretation)
{
    if (interpretation != __NV_E4M3)
        reel_fake_fail("F8_E5M2 is not known here");
    unsigned sign = __float_as_uint(x) >> 24 & 0x80u;
    float magnitude = fabsf(x);
    if (isnan(x))
        return static_cast<__nv_fp8_storage_t>(0x7fu | sign);
    if (magnitude > 448.0f) /* 464 is halfway to 480, which would be NaN, and rounds to the even 448 */
        return static_cast<__nv_fp8_storage_t>(
            (saturation == __NV_SATFINITE || magnitude <= 464.0f ? 0x7eu : 0x7fu) | sign);
    int exponent = 0;
    frexpf(magnitude, &exponent);                                       /* magnitude = [0.5, 1) 2^exponent */
    int place = magnitude == 0.0f || exponent < -5 ? -9 : exponent - 4; /* of the last bit of the mantissa */
    unsigned steps = static_cast<unsigned>(rintf(ldexpf(magnitude, -place)));
    unsigned bits = place == -9 ? steps : steps + (static_cast<unsigned>(place + 9) << 3);
    return static_cast<__nv_fp8_storage_t>(bits | sign);
}

float reel_fake_from_fp8(__nv_fp8_storage_t x)
{
    int exponent = x >> 3 & 15, mantissa = x & 7;
    float magnitude = exponent == 0 ? ldexpf(static_cast<float>(mantissa), -9)
                                    : ldexpf(static_cast<float>(8 + mantissa), exponent - 10);
    if ((x & 0x7f) == 0x7f)
        magnitude = NAN;
    return x & 0x80 ? -magnitude : magnitude;
}
