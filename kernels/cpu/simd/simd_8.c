/* Products with 8 lanes: AVX2 and FMA. */
#define LANES 8
#define ROWS 6
#define NAME "AVX2"
#define TABLE reel_simd_8
#include "simd_kernel.h"
