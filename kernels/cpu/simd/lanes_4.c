/* Products by 4 lanes: what every processor of the family has. */
#define LANES 4
#define ROWS 4
#define NAME "baseline"
#define TABLE reel_lanes_4
#include "lanes_kernel.h"
