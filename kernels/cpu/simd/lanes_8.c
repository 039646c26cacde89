/* Products by 8 lanes: AVX2 and FMA. */
#define LANES 8
#define ROWS 6
#define NAME "AVX2"
#define TABLE reel_lanes_8
#include "lanes_kernel.h"
