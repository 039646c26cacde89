/* The kernels of simd_amx.c in instructions of 8 lanes, with arrays for tiles. Tiles have the shapes that the
 * kernel configures, so that wrong shapes give wrong products. */
#include "float_convert.h"

#include <string.h>

enum { SIDE = 16 };

static _Thread_local struct {
    uint8_t shapes[64];
    uint32_t rows[8][SIDE][SIDE];
} tiles;

static void begin(const void *shapes)
{
    memcpy(tiles.shapes, shapes, sizeof tiles.shapes);
    memset(tiles.rows, 0, sizeof tiles.rows);
}

static void end(void)
{
    memset(&tiles, 0xff, sizeof tiles);
}

/* As in Intel's manual: palette 1 in byte 0, bytes per row from byte 16 on, rows from byte 48 on. */
static size_t row_bytes(int t)
{
    return tiles.shapes[0] == 1 ? (size_t)(tiles.shapes[16 + 2 * t] + (tiles.shapes[17 + 2 * t] << 8)) : 0;
}

static void zero(int t)
{
    memset(tiles.rows[t], 0, sizeof tiles.rows[t]);
}

static void load_tile(int t, const void *from, int64_t stride)
{
    zero(t);
    for (int r = 0; r < tiles.shapes[48 + t]; r++)
        memcpy(tiles.rows[t][r], (const char *)from + r * stride, row_bytes(t));
}

static void store_tile(int t, void *to, int64_t stride)
{
    for (int r = 0; r < tiles.shapes[48 + t]; r++)
        memcpy((char *)to + r * stride, tiles.rows[t][r], row_bytes(t));
}

static float first(uint32_t pair)
{
    return reel_widen_bf16((uint16_t)pair);
}

static float second(uint32_t pair)
{
    return reel_widen_bf16((uint16_t)(pair >> 16));
}

/* Sums the products of first elements and of second elements separately, then adds both to the sum tile. */
static void add_product_of_tiles(int sum, int a, int b)
{
    for (int r = 0; r < SIDE; r++)
        for (int c = 0; c < SIDE; c++) {
            float of_first = 0, of_second = 0, number;
            for (int k = 0; k < SIDE; k++) {
                of_first += first(tiles.rows[a][r][k]) * first(tiles.rows[b][k][c]);
                of_second += second(tiles.rows[a][r][k]) * second(tiles.rows[b][k][c]);
            }
            memcpy(&number, &tiles.rows[sum][r][c], sizeof number);
            number += of_first + of_second;
            memcpy(&tiles.rows[sum][r][c], &number, sizeof number);
        }
}

#define LANES 16
#define ROWS 12
#define NAME "AMX by 8 lanes"
#define TABLE lanes_amx_by_8
#define TILES_BEGIN begin
#define TILES_END end
#define TILE_ZERO zero
#define TILE_LOAD load_tile
#define TILE_STORE store_tile
#define TILE_MULTIPLY add_product_of_tiles
#include "simd_kernel.h"
