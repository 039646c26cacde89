/* Products with 16 lanes, and bf16_dot by tiles: AMX. */
#define LANES 16
#define ROWS 12
#define NAME "AMX"
#define TABLE reel_simd_amx
#define TILES_BEGIN _tile_loadconfig
#define TILES_END _tile_release
#define TILE_ZERO _tile_zero
#define TILE_LOAD _tile_loadd
#define TILE_STORE _tile_stored
#define TILE_MULTIPLY _tile_dpbf16ps
#include "simd_kernel.h"
