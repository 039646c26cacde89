/* The kernels by 16 lanes in instructions of 8, to test them on processors without AVX-512. */
#define LANES 16
#define ROWS 12
#define NAME "16 lanes by 8"
#define TABLE lanes_16_by_8
#include "simd_kernel.h"
