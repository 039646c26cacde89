/* GEMM on the host. It is cut into tiles of rows and columns, which the threads take one by one.
 *
 * For each piece of k (the inner dimension), a tile packs its rows of x as A panels; then, for each B panel
 * of its columns, it packs the weights, whatever their dtype, and multiplies. Where the processor multiplies
 * pairs of bfloat16, each pair is packed as one element of 32 bits, so a row has half as many elements. The
 * sums stay in the thread's scratch memory until they are complete; bias, activation and rounding are applied
 * on the way to y. */
#include "cpu.h"
#include "elements.h"
#include "simd.h"
#include "heartbeat.h"

/* All tiles have nearly the same size, which is small enough that every thread gets several. */
enum { TILES_OF_A_THREAD = 16, COLUMNS_MIN = 128 };

REEL_ELEMENT void finish_values(const float *sums, int64_t columns, float scale, const float *bias,
                                enum reel_activation activation, enum reel_dtype y_dtype, void *y)
{
    for (int64_t c = 0; c < columns; c++)
        reel_set_number(y, c, y_dtype, reel_activated(sums[c] * scale + bias[c], activation));
}

/* y = activation(sums * scale + bias), for one row of a tile. */
REEL_SIMD
static void finish_row(const float *sums, int64_t columns, const float *bias, const struct reel_gemm *a,
                       void *y)
{
    float scale = a->weight_dtype == REEL_F8_E4M3 ? (float)a->weight_scale : 1.0f;
    int is_wide = a->y_dtype == REEL_F32;
    if (a->activation == REEL_GELU_TANH && is_wide)
        finish_values(sums, columns, scale, bias, REEL_GELU_TANH, REEL_F32, y);
    else if (a->activation == REEL_GELU_TANH)
        finish_values(sums, columns, scale, bias, REEL_GELU_TANH, REEL_BF16, y);
    else if (a->activation == REEL_SILU && is_wide)
        finish_values(sums, columns, scale, bias, REEL_SILU, REEL_F32, y);
    else if (a->activation == REEL_SILU)
        finish_values(sums, columns, scale, bias, REEL_SILU, REEL_BF16, y);
    else if (a->activation == REEL_GELU_ERF && is_wide)
        finish_values(sums, columns, scale, bias, REEL_GELU_ERF, REEL_F32, y);
    else if (a->activation == REEL_GELU_ERF)
        finish_values(sums, columns, scale, bias, REEL_GELU_ERF, REEL_BF16, y);
    else if (is_wide)
        finish_values(sums, columns, scale, bias, REEL_IDENTITY, REEL_F32, y);
    else
        finish_values(sums, columns, scale, bias, REEL_IDENTITY, REEL_BF16, y);
}

/* How a GEMM is cut into tiles. */
struct tiling {
    const struct reel_simd_gemm *product;
    int64_t b_panel_columns;
    int64_t in;                      /* elements of a row, as they are packed */
    enum reel_dtype x_as, weight_as; /* the dtypes they are packed from */
    int64_t rows, row_tiles;         /* rows of a tile, in whole A panels; how many tiles */
    int64_t columns, column_tiles;   /* columns of a tile, in whole B panels; how many tiles */
};

/* Where a thread has the packed operands and the sums of a tile: a_panels [rows, piece],
 * b_panel [piece, b_panel_columns], sums [rows, columns]. */
struct room {
    float *a_panels, *b_panel, *sums;
    float *bias; /* [columns] */
};

int64_t reel_gemm_scratch_floats(void)
{
    return REEL_TILE_ROWS * REEL_TILE_PIECE + REEL_PACK_SLACK + REEL_TILE_PIECE * REEL_B_PANEL_COLUMNS_MAX +
           (REEL_TILE_ROWS + 1) * REEL_TILE_COLUMNS;
}

/* Whether the rows of x and weight consist of whole pairs of bfloat16 that are aligned to 32 bits. Every
 * subset of the rows then has the same property, so cutting the rows over ranks changes no bit. */
static int is_whole_bf16_pairs(const struct reel_gemm *a)
{
    return a->dtype == REEL_BF16 && a->weight_dtype == REEL_BF16 && a->in % 2 == 0 &&
           ((uintptr_t)a->x | (uintptr_t)a->weight) % sizeof(float) == 0;
}

static struct tiling tiling_of(const struct reel_stream *stream, const struct reel_gemm *a)
{
    const struct reel_simd *simd = stream->simd;
    struct tiling t = {.product = &simd->floats,
                       .b_panel_columns = simd->b_panel_columns,
                       .in = a->in,
                       .x_as = a->dtype,
                       .weight_as = a->weight_dtype};
    if (simd->bf16_dot.multiply && is_whole_bf16_pairs(a)) {
        t.product = &simd->bf16_dot;
        t.in = a->in / 2;
        t.x_as = t.weight_as = REEL_F32;
    }
    int64_t tiles = (a->rows + REEL_TILE_ROWS - 1) / REEL_TILE_ROWS;
    t.rows = reel_rounded_up((a->rows + tiles - 1) / tiles, t.product->a_panel_rows);
    t.row_tiles = (a->rows + t.rows - 1) / t.rows;
    int64_t max = a->out / COLUMNS_MIN + 1, min = (a->out + REEL_TILE_COLUMNS - 1) / REEL_TILE_COLUMNS;
    tiles = (stream->threads * TILES_OF_A_THREAD + t.row_tiles - 1) / t.row_tiles;
    tiles = stream->threads == 1 || tiles < min ? min : tiles < max ? tiles : max;
    t.columns = reel_rounded_up((a->out + tiles - 1) / tiles, t.b_panel_columns);
    t.column_tiles = (a->out + t.columns - 1) / t.columns;
    return t;
}

static struct room room_in(float *scratch)
{
    struct room room = {.b_panel = scratch};
    room.sums = room.b_panel + REEL_TILE_PIECE * REEL_B_PANEL_COLUMNS_MAX;
    room.bias = room.sums + REEL_TILE_ROWS * REEL_TILE_COLUMNS;
    room.a_panels = room.bias + REEL_TILE_COLUMNS;
    return room;
}

/* The piece of k that begins at first_k, of the rows [row, row + rows) of a matrix. */
static struct reel_operand piece_of(const void *matrix, int64_t in, int64_t row, int64_t rows,
                                    int64_t first_k, enum reel_dtype dtype)
{
    return (struct reel_operand){.data = reel_at(matrix, row * in + first_k, dtype),
                                 .stride = in,
                                 .rows = rows,
                                 .dtype = dtype,
                                 .scale = 1};
}

/* What to prefetch: part `part` of `parts` of the next piece of k of x, of which `behind` elements remain. */
static struct reel_prefetch next_piece(const struct reel_operand *x, int64_t number_bytes, int64_t behind,
                                       int64_t part, int64_t parts)
{
    int64_t first = x->rows * part / parts, end = x->rows * (part + 1) / parts;
    int64_t count = behind < REEL_TILE_PIECE ? behind : REEL_TILE_PIECE;
    const char *next = (const char *)x->data + REEL_TILE_PIECE * number_bytes;
    return (struct reel_prefetch){.rows = next + first * x->stride * number_bytes,
                                  .stride = x->stride * number_bytes,
                                  .bytes = count * number_bytes,
                                  .count = count > 0 ? end - first : 0};
}

/* Adds the piece of k that begins at first_k to the sums of a tile: rows [row, row_end), columns
 * [column, end). */
static void add_piece(const struct tiling *t, const struct room *room, const struct reel_gemm *a, int64_t row,
                      int64_t row_end, int64_t column, int64_t end, int64_t first_k)
{
    int64_t b_panel = t->b_panel_columns, b_panels = (end - column + b_panel - 1) / b_panel;
    int64_t left = t->in - first_k, count = left < REEL_TILE_PIECE ? left : REEL_TILE_PIECE;
    int64_t x_bytes = reel_dtype_bytes(t->x_as), weight_bytes = reel_dtype_bytes(t->weight_as);
    int64_t a_panels = (row_end - row + t->product->a_panel_rows - 1) / t->product->a_panel_rows;
    struct reel_operand x = piece_of(a->x, t->in, row, row_end - row, first_k, t->x_as);
    x.rounds_to_fp8 = a->weight_dtype == REEL_F8_E4M3;
    t->product->pack_a(&x, count, room->a_panels);
    for (int64_t s = 0; s < b_panels; s++) {
        int64_t c = column + s * b_panel, next = end - c - b_panel;
        struct reel_operand weight =
            piece_of(a->weight, t->in, c, end - c < b_panel ? end - c : b_panel, first_k, t->weight_as);
        struct reel_prefetch prefetch[] = {
            {.rows = reel_at(weight.data, b_panel * t->in, t->weight_as),
             .stride = t->in * weight_bytes,
             .bytes = count * weight_bytes,
             .count = next < 0         ? 0
                      : next < b_panel ? next
                                       : b_panel},
            next_piece(&x, x_bytes, left - count, s, b_panels),
        };
        t->product->pack_b(&weight, count, room->b_panel);
        t->product->multiply(a_panels, count, room->a_panels, room->b_panel, room->sums + s * b_panel,
                             t->columns, first_k > 0, prefetch);
    }
}

static void compute_tile(const struct tiling *t, const struct room *room, const struct reel_gemm *a,
                         int64_t row, int64_t column)
{
    int64_t rows = a->rows - row < t->rows ? a->rows - row : t->rows;
    int64_t columns = a->out - column < t->columns ? a->out - column : t->columns;
    for (int64_t k = 0; k < t->in; k += REEL_TILE_PIECE)
        add_piece(t, room, a, row, row + rows, column, column + columns, k);
    reel_heartbeat();
    if (a->bias)
        reel_widen_cpu(reel_at(a->bias, column, a->dtype), columns, a->dtype, room->bias);
    for (int64_t c = 0; c < columns && !a->bias; c++)
        room->bias[c] = -0.0f; /* x + -0 is x, even where x is -0 */
    for (int64_t r = 0; r < rows; r++)
        finish_row(room->sums + r * t->columns, columns, room->bias, a,
                   reel_at(a->y, (row + r) * a->out + column, a->y_dtype));
}

void reel_gemm_cpu(struct reel_stream *stream, const struct reel_gemm *a)
{
    struct tiling t = tiling_of(stream, a);
#pragma omp parallel num_threads((int)stream->threads)
    {
        struct room room = room_in(reel_cpu_scratch(stream));
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t row = 0; row < t.row_tiles; row++)
            for (int64_t column = 0; column < t.column_tiles; column++)
                compute_tile(&t, &room, a, row * t.rows, column * t.columns);
    }
}
