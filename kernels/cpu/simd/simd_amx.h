/* Products of pairs of bfloat16 by AMX tiles, which are registers of 16 rows of 64 bytes. simd_kernel.h
 * includes this file where the including file has defined the macros below: AMX's instructions, or what tests
 * use in their place.
 *
 *     TILES_BEGIN(shapes), TILES_END()        give the tiles their shapes and clear them; release the tiles
 *     TILE_ZERO(t)
 *     TILE_LOAD(t, from, stride_bytes), TILE_STORE(t, to, stride_bytes)
 *     TILE_MULTIPLY(sum, a, b)                sum [16, 16] += a [16, 16 pairs] b [16 pairs, 16 columns]
 *
 * An A panel has 32 rows and is cut into pieces of 16 pairs: [pieces][32 rows][16 pairs]. A B panel has 32
 * columns and the layout of the float product, [pairs][32 columns]: two tiles side by side. Four tiles hold
 * sums, two hold the A panel and two the B panel, so that each loaded tile is used twice. Missing pairs of
 * the last piece are zero in both operands, because a NaN left in one of them would remain NaN when
 * multiplied by zero. */

#include <string.h>

enum { TILE_SIDE = 16, TILE_BYTES = 64, TILE_A_PANEL_ROWS = 2 * TILE_SIDE };

_Static_assert((int)COLUMNS == 2 * TILE_SIDE && (int)REEL_BF16_DOT_PAIRS == (int)TILE_SIDE,
               "a B panel is two tiles wide");
_Static_assert((int)REEL_TILE_ROWS % TILE_A_PANEL_ROWS == 0 && (int)REEL_TILE_PIECE % TILE_SIDE == 0,
               "a tile of a GEMM has room for whole A panels and pieces");

/* The tile configuration, as the instruction reads it. */
struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

_Static_assert(sizeof(struct tile_shapes) == 64, "the instruction reads 64 bytes");

/* Constant, because GCC 12 does not know that the instruction reads all of it. */
static const struct tile_shapes tile_shapes __attribute__((aligned(64))) = {
    .palette = 1,
    .row_bytes = {TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES,
                  TILE_BYTES},
    .rows = {TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE, TILE_SIDE}};

static int64_t pieces_of(int64_t bf16_dot)
{
    return (bf16_dot + TILE_SIDE - 1) / TILE_SIDE;
}

static void pack_a_tiles(const struct reel_operand *a, int64_t count, float *a_panels)
{
    int64_t pieces = pieces_of(count),
            rows = (a->rows + TILE_A_PANEL_ROWS - 1) / TILE_A_PANEL_ROWS * TILE_A_PANEL_ROWS;
    for (int64_t r = 0; r < rows; r++) {
        const float *from = (const float *)a->data + r * a->stride;
        float *to = a_panels +
                    (r / TILE_A_PANEL_ROWS * pieces * TILE_A_PANEL_ROWS + r % TILE_A_PANEL_ROWS) * TILE_SIDE;
        for (int64_t k = 0; k < count; k += TILE_SIDE, to += TILE_A_PANEL_ROWS * TILE_SIDE) {
            int64_t some = r >= a->rows ? 0 : count - k < TILE_SIDE ? count - k : TILE_SIDE;
            if (some == TILE_SIDE) {
                memcpy(to, from + k, TILE_BYTES);
                continue;
            }
            memset(to, 0, TILE_BYTES);
            for (int64_t i = 0; i < some; i++)
                to[i] = from[k + i];
        }
    }
}

static void pack_b_tiles(const struct reel_operand *b, int64_t count, float *b_panel)
{
    pack_b(b, count, b_panel);
    memset(b_panel + count * COLUMNS, 0,
           (size_t)((pieces_of(count) * TILE_SIDE - count) * COLUMNS) * sizeof *b_panel);
}

/* Tiles 0 to 3 hold the sums, 4 and 5 the A panel, 6 and 7 the B panel. */
INLINE void multiply_tile_panels(int64_t pieces, const float *a_panel, const float *b_panel, float *y,
                                 int64_t stride, int adds)
{
    int64_t y_bytes = stride * (int64_t)sizeof *y, b_panel_bytes = COLUMNS * (int64_t)sizeof *b_panel;
    float *below = y + TILE_SIDE * stride;
    if (adds) {
        TILE_LOAD(0, y, y_bytes);
        TILE_LOAD(1, y + TILE_SIDE, y_bytes);
        TILE_LOAD(2, below, y_bytes);
        TILE_LOAD(3, below + TILE_SIDE, y_bytes);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (int64_t p = 0; p < pieces; p++) {
        const float *a = a_panel + p * TILE_A_PANEL_ROWS * TILE_SIDE, *b = b_panel + p * TILE_SIDE * COLUMNS;
        TILE_LOAD(4, a, TILE_BYTES);
        TILE_LOAD(6, b, b_panel_bytes);
        TILE_LOAD(7, b + TILE_SIDE, b_panel_bytes);
        TILE_MULTIPLY(0, 4, 6);
        TILE_LOAD(5, a + TILE_SIDE * TILE_SIDE, TILE_BYTES);
        TILE_MULTIPLY(1, 4, 7);
        TILE_MULTIPLY(2, 5, 6);
        TILE_MULTIPLY(3, 5, 7);
    }
    TILE_STORE(0, y, y_bytes);
    TILE_STORE(1, y + TILE_SIDE, y_bytes);
    TILE_STORE(2, below, y_bytes);
    TILE_STORE(3, below + TILE_SIDE, y_bytes);
}

static void multiply_tiles(int64_t a_panel_count, int64_t count, const float *a_panels, const float *b_panel,
                           float *y, int64_t y_stride, int adds, const struct reel_prefetch prefetch[2])
{
    static const struct reel_prefetch nothing[2];
    if (!prefetch)
        prefetch = nothing;
    struct prefetching first = prefetching_of(&prefetch[0], a_panel_count),
                       second = prefetching_of(&prefetch[1], a_panel_count);
    int64_t pieces = pieces_of(count), a_panel = pieces * TILE_SIDE * TILE_A_PANEL_ROWS;
    __asm__ volatile("" ::: "memory"); /* nor does GCC 12 know that tiles are loaded from memory */
    TILES_BEGIN(&tile_shapes);
    for (int64_t b = 0; b < a_panel_count; b++) {
        prefetch_some(&first);
        prefetch_some(&second);
        multiply_tile_panels(pieces, a_panels + b * a_panel, b_panel, y + b * TILE_A_PANEL_ROWS * y_stride,
                             y_stride, adds);
    }
    TILES_END();
}
