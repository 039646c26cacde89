/* Products with 16 lanes: AVX-512. */
#define LANES 16
#define ROWS 12
#define NAME "AVX-512"
#define TABLE reel_simd_16
#include "simd_kernel.h"
