/* The kernels of simd_16_bf16.c in instructions of 8 lanes; bf16_dot multiplies and adds floats. */
#define LANES 16
#define ROWS 12
#define NAME "16 lanes with BF16 by 8"
#define TABLE lanes_16_bf16_by_8
#define FIRST(x) (vector)((bits)(x) << 16)
#define SECOND(x) (vector)((bits)(x)&0xffff0000u)
#define BF16_DOT(sum, x, y) ((sum) + SECOND(x) * SECOND(y) + FIRST(x) * FIRST(y))
#include "simd_kernel.h"
