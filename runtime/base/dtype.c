/* Element types: sizes, names, conversion to float. */
#include "dtype.h"

#include "float_convert.h"

#include <string.h>

static const struct {
    const char *name;
    int64_t bytes;
} dtypes[REEL_DTYPES] = {
    [REEL_F64] = {"F64", 8},   [REEL_F32] = {"F32", 4},         [REEL_F16] = {"F16", 2},
    [REEL_BF16] = {"BF16", 2}, [REEL_F8_E4M3] = {"F8_E4M3", 1}, [REEL_F8_E5M2] = {"F8_E5M2", 1},
    [REEL_I64] = {"I64", 8},   [REEL_I32] = {"I32", 4},         [REEL_I16] = {"I16", 2},
    [REEL_I8] = {"I8", 1},     [REEL_U8] = {"U8", 1},           [REEL_BOOL] = {"BOOL", 1},
};

int64_t reel_dtype_bytes(enum reel_dtype dtype)
{
    return dtypes[dtype].bytes;
}

int reel_dtype_is_fp8(enum reel_dtype dtype)
{
    return dtype == REEL_F8_E4M3 || dtype == REEL_F8_E5M2;
}

const char *reel_dtype_name(enum reel_dtype dtype)
{
    return dtypes[dtype].name;
}

enum reel_dtype reel_dtype_named(const char *name)
{
    int dtype = 0;
    while (dtype < REEL_DTYPES && strcmp(dtypes[dtype].name, name) != 0)
        dtype++;
    return (enum reel_dtype)dtype;
}

uint16_t reel_bf16_from_float(float value)
{
    return reel_round_bf16(value);
}

float reel_float_from_bf16(uint16_t bits)
{
    return reel_widen_bf16(bits);
}

float reel_float_from_f16(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 0x1fu;
    uint32_t fraction = bits & 0x3ffu;
    if (exponent == 0x1f)
        return reel_float_of(sign | 0x7f800000u | (fraction << 13));
    if (exponent != 0)
        return reel_float_of(sign | ((exponent + 112u) << 23) | (fraction << 13));
    float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
}

uint8_t reel_f8_e4m3_from_float(float value)
{
    return reel_round_e4m3(value);
}

float reel_float_from_f8_e4m3(uint8_t bits)
{
    return reel_widen_e4m3(bits);
}

float reel_float_from_f8_e5m2(uint8_t bits)
{
    return reel_float_from_f16((uint16_t)(bits << 8));
}

int reel_floats_from(enum reel_dtype dtype, const void *from, int64_t count, float *to)
{
    const unsigned char *bytes = from;
    switch ((int)dtype) {
    case REEL_F32:
        memcpy(to, from, (size_t)count * sizeof *to);
        return 1;
    case REEL_F64:
        for (int64_t i = 0; i < count; i++) {
            double value;
            memcpy(&value, bytes + 8 * i, 8);
            to[i] = (float)value;
        }
        return 1;
    case REEL_F16:
    case REEL_BF16:
        for (int64_t i = 0; i < count; i++) {
            uint16_t bits;
            memcpy(&bits, bytes + 2 * i, 2);
            to[i] = dtype == REEL_F16 ? reel_float_from_f16(bits) : reel_float_from_bf16(bits);
        }
        return 1;
    case REEL_F8_E4M3:
        for (int64_t i = 0; i < count; i++)
            to[i] = reel_float_from_f8_e4m3(bytes[i]);
        return 1;
    case REEL_F8_E5M2:
        for (int64_t i = 0; i < count; i++)
            to[i] = reel_float_from_f8_e5m2(bytes[i]);
        return 1;
    default:
        return 0;
    }
}
