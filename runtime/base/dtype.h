/* The element types of files and of memory, and their conversion to float.
 *
 * Not collective, no errors: every function here is pure. */
#ifndef REEL_DTYPE_H
#define REEL_DTYPE_H

#include <stdint.h>

/* REEL_F32 is 0: a struct that names no dtype means float. Operations compute with REEL_F32 and REEL_BF16;
 * the weights of a GEMM may also be REEL_F8_E4M3. Files may hold all of them. */
enum reel_dtype {
    REEL_F32,
    REEL_F64,
    REEL_F16,
    REEL_BF16,
    REEL_F8_E4M3,
    REEL_F8_E5M2,
    REEL_I64,
    REEL_I32,
    REEL_I16,
    REEL_I8,
    REEL_U8,
    REEL_BOOL,
    REEL_DTYPES
};

/* Bytes of one element. */
int64_t reel_dtype_bytes(enum reel_dtype dtype);

/* 1 for F8_E4M3 and F8_E5M2, else 0. */
int reel_dtype_is_fp8(enum reel_dtype dtype);

/* The dtype's name in safetensors files: "F32", "BF16", ... */
const char *reel_dtype_name(enum reel_dtype dtype);

/* The dtype of that name; REEL_DTYPES when there is none. */
enum reel_dtype reel_dtype_named(const char *name);

/* Rounds to the nearest bfloat16, ties to even; NaN stays NaN. The other two are exact. */
uint16_t reel_bf16_from_float(float value);
float reel_float_from_bf16(uint16_t bits);
float reel_float_from_f16(uint16_t bits);

/* Both are exact. F8_E4M3 is e4m3fn: 3 bits of fraction, bias 7, max 448, no infinities, NaN at 0x7f and
 * 0xff. F8_E5M2 is the upper half of an F16: 2 bits of fraction, bias 15, max 57344, infinities and NaN. */
float reel_float_from_f8_e4m3(uint8_t bits);
float reel_float_from_f8_e5m2(uint8_t bits);

/* Rounds to the nearest F8_E4M3, ties to even. Magnitudes above 448, infinities included, become 448 with
 * their sign. NaN stays NaN. */
uint8_t reel_f8_e4m3_from_float(float value);

/* Converts count elements at from, which may be unaligned, to floats at to [count]: narrower dtypes are
 * widened, F64 is rounded. Returns 1, or 0 when dtype is not F64, F32, F16, BF16, F8_E4M3 or F8_E5M2. */
int reel_floats_from(enum reel_dtype dtype, const void *from, int64_t count, float *to);

#endif
