/* GEMM on the host: oneDNN's sgemm on tiles of a fixed number of rows.
 *
 * oneDNN picks kernels and blocking by the shape of a call, and a row's sum may then be ordered differently:
 * with 32 rows other bits than with 96. So every call has the same number of rows, the last tile is filled up
 * in scratch, and the tile is one of which it was checked, when the stream was opened, that a row's result
 * does not depend on its place in the tile. Threads take whole tiles; oneDNN runs serially inside a parallel
 * region. Numbers of 16 and 8 bits are widened in scratch, to be multiplied by the same calls. */
#include "cpu.h"
#include "elements.h"
#include "pulse.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* y[rows, out] = x[rows, in] weight[out, in]^T, one thread. */
static dnnl_status_t multiply(int64_t rows, int64_t out, int64_t in, const float *x, const float *weight,
                              float *y, int64_t y_stride)
{
    return dnnl_sgemm('N', 'T', rows, out, in, 1.0f, x, in, weight, in, 0.0f, y, y_stride);
}

/* Whether every place in a tile gives the same bits for the same row, with both transpositions in use. */
static int places_agree(int64_t rows)
{
    enum { in = 203, out = 130 };
    float *x = malloc((size_t)rows * in * sizeof *x), *weight = malloc(in * out * sizeof *weight);
    float *y = calloc((size_t)rows * out, sizeof *y);
    int agree = x && weight && y;
    uint32_t state = 1;
    for (int64_t i = 0; agree && i < in * out; i++) {
        state = state * 1664525u + 1013904223u;
        weight[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    for (int64_t i = 0; agree && i < rows * in; i++)
        x[i] = i < in ? weight[i * 7 + 3] : x[i - in];
    for (int transposed = 0; agree && transposed < 2; transposed++) {
        dnnl_status_t done =
            transposed ? multiply(rows, out, in, x, weight, y, out)
                       : dnnl_sgemm('N', 'N', rows, out, in, 1.0f, x, in, weight, out, 1.0f, y, out);
        agree = done == dnnl_success;
        for (int64_t i = out; agree && i < rows * out; i++)
            agree = memcmp(&y[i], &y[i - out], sizeof *y) == 0;
    }
    free(x);
    free(weight);
    free(y);
    return agree;
}

void reel_gemm_cpu_open(struct reel_stream *stream)
{
    static const int64_t tiles[] = {REEL_TILE_ROWS, 48, 24, 16, 8, 4, 1};
    int choice = 0;
    /* One thread, as in a parallel region. */
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    while (tiles[choice] > 1 && !places_agree(tiles[choice]))
        choice++;
    omp_set_num_threads(threads);
    stream->tile_rows = tiles[choice];
}

REEL_SIMD
static void add_bias(float *y, int64_t columns, const void *bias, enum reel_precision numbers)
{
    if (numbers == REEL_BFLOAT16)
        for (int64_t c = 0; c < columns; c++)
            y[c] += reel_number(bias, c, REEL_BFLOAT16);
    else
        for (int64_t c = 0; c < columns; c++)
            y[c] += reel_number(bias, c, REEL_FP32);
}

REEL_SIMD
static void activate(float *y, int64_t columns, enum reel_activation activation)
{
    if (activation == REEL_GELU_TANH)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_activated(y[c], REEL_GELU_TANH);
    if (activation == REEL_SILU)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_activated(y[c], REEL_SILU);
    if (activation == REEL_GELU_ERF)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_activated(y[c], REEL_GELU_ERF);
}

REEL_SIMD
static void round_to_fp8(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = reel_widen_e4m3(reel_round_e4m3(x[i]));
}

/* A part of the product's columns, and a thread's room for what of it is not in the caller's arrays as
 * floats. */
struct panel {
    int64_t first, columns, most; /* columns, of `most` but for the last panel */
    int64_t widened;              /* the panel whose weights are in the room; -1: none */
    const float *weight;          /* [columns, in] */
    float *x_room;                /* [tile rows, in] */
    float *y_room;                /* [tile rows, columns] */
    float *weight_room;           /* [columns, in] */
};

/* Columns of a panel: of weights that have to be widened so many as there is room for. */
static int64_t panel_columns(const struct reel_gemm *a)
{
    int64_t fitting = REEL_WIDENED / a->in / REEL_PANEL_LEAST * REEL_PANEL_LEAST;
    if (a->weights == REEL_FP32 || fitting > REEL_PANEL)
        return REEL_PANEL;
    return fitting < REEL_PANEL_LEAST ? REEL_PANEL_LEAST : fitting;
}

static void panel_open(struct panel *p, const struct reel_stream *stream, const struct reel_gemm *a)
{
    p->most = panel_columns(a);
    p->widened = -1;
    p->x_room = reel_cpu_scratch(stream);
    p->y_room = p->x_room + stream->tile_rows * a->in;
    p->weight_room = p->y_room + stream->tile_rows * REEL_PANEL;
}

/* Goes to a panel. A thread meets the tiles of one after another, and widens its weights once. */
static void panel_enter(struct panel *p, const struct reel_gemm *a, int64_t index)
{
    p->first = index * p->most;
    p->columns = a->out - p->first < p->most ? a->out - p->first : p->most;
    const void *weight = reel_at(a->weight, p->first * a->in, a->weights);
    p->weight = a->weights == REEL_FP32 ? weight : p->weight_room;
    if (a->weights != REEL_FP32 && p->widened != index)
        reel_widen_cpu(weight, p->columns * a->in, a->weights, p->weight_room);
    p->widened = index;
}

/* The rows of x from first_row, of which there are `rows`, as a whole tile of floats. */
static const float *tile_of_x(const struct panel *p, const struct reel_gemm *a, int64_t first_row,
                              int64_t rows, int64_t size)
{
    const void *x = reel_at(a->x, first_row * a->in, a->numbers);
    if (rows == size && a->numbers == REEL_FP32 && a->weights == REEL_FP32)
        return x;
    reel_widen_cpu(x, rows * a->in, a->numbers, p->x_room);
    if (a->weights == REEL_FP8)
        round_to_fp8(p->x_room, rows * a->in);
    memset(p->x_room + rows * a->in, 0, (size_t)((size - rows) * a->in) * sizeof *p->x_room);
    return p->x_room;
}

/* The tile of rows from first_row and the columns of the panel. */
static dnnl_status_t tile(const struct panel *p, const struct reel_gemm *a, int64_t first_row, int64_t size)
{
    int64_t rows = a->rows - first_row < size ? a->rows - first_row : size;
    int there = rows == size && a->result == REEL_FP32; /* the result is written where it belongs at once */
    int64_t stride = there ? a->out : p->columns;
    float *y = there ? (float *)a->y + first_row * a->out + p->first : p->y_room;
    const float *x = tile_of_x(p, a, first_row, rows, size);
    dnnl_status_t done = multiply(size, p->columns, a->in, x, p->weight, y, stride);
    reel_pulse();
    for (int64_t r = 0; r < rows; r++) {
        float *row = y + r * stride;
        if (a->weights == REEL_FP8)
            for (int64_t c = 0; c < p->columns; c++)
                row[c] *= (float)a->weight_scale;
        if (a->bias)
            add_bias(row, p->columns, reel_at(a->bias, p->first, a->numbers), a->numbers);
        activate(row, p->columns, a->activation);
        if (!there)
            reel_narrow_cpu(row, p->columns, a->result,
                            reel_at(a->y, (first_row + r) * a->out + p->first, a->result));
    }
    return done;
}

void reel_gemm_cpu(struct reel_stream *stream, const struct reel_gemm *a)
{
    int64_t size = stream->tile_rows, row_tiles = (a->rows + size - 1) / size;
    int64_t panels = (a->out + panel_columns(a) - 1) / panel_columns(a);
    int failed = 0;
#pragma omp parallel reduction(| : failed) num_threads((int)stream->threads)
    {
        omp_set_num_threads(
            1); /* also where the team has shrunk to one thread, which is no parallel region to oneDNN */
        struct panel panel;
        panel_open(&panel, stream, a);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t index = 0; index < panels; index++)
            for (int64_t t = 0; t < row_tiles; t++) {
                panel_enter(&panel, a, index);
                failed |= tile(&panel, a, t * size, size) != dnnl_success;
            }
    }
    if (failed)
        reel_stream_fail(stream, REEL_BAD_DEVICE, "oneDNN refused a GEMM of %lld rows, %lld in, %lld out",
                         (long long)a->rows, (long long)a->in, (long long)a->out);
}
