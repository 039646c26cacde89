/* Products with 16 lanes, and bf16_dot: AVX-512 with BF16. */
#define LANES 16
#define ROWS 12
#define NAME "AVX-512 with BF16"
#define TABLE reel_simd_16_bf16
#define BF16_DOT(sum, x, y) (vector) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(x), (__m512bh)(y))
#include "simd_kernel.h"
