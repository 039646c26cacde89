/* Products with 4 lanes, for every processor of the architecture. */
#define LANES 4
#define ROWS 4
#define NAME "baseline"
#define TABLE reel_simd_4
#include "simd_kernel.h"
