/* Products by 4 lanes: what every processor of the family has. */
#define LANES 4
#define ROWS 4
#define NAME "baseline"
#define TABLE reel_simd_4
#include "simd_kernel.h"
