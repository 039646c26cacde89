/* GEMM on the host: oneDNN's sgemm on tiles of a fixed number of rows.
 *
 * oneDNN picks kernels and blocking by the shape of a call, and a row's sum may then be ordered differently:
 * with 32 rows other bits than with 96. So every call has the same number of rows, the last tile is filled up
 * in scratch, and the tile is one of which it was checked, when the stream was opened, that a row's result
 * does not depend on its place in the tile. Threads take whole tiles; oneDNN runs serially inside a parallel
 * region. */
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
static void finish(float *y, int64_t columns, const float *bias, enum reel_activation activation)
{
    if (bias)
        for (int64_t c = 0; c < columns; c++)
            y[c] += bias[c];
    if (activation == REEL_GELU_TANH)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_gelu_tanh(y[c]);
    if (activation == REEL_SILU)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_silu_of(y[c]);
    if (activation == REEL_GELU_ERF)
        for (int64_t c = 0; c < columns; c++)
            y[c] = reel_gelu_erf(y[c]);
}

/* The tile of rows from first_row and columns from first_column. */
static dnnl_status_t tile(const struct reel_stream *stream, const struct reel_gemm *a, int64_t first_row,
                          int64_t first_column)
{
    int64_t size = stream->tile_rows;
    int64_t rows = a->rows - first_row < size ? a->rows - first_row : size;
    int64_t columns = a->out - first_column < REEL_PANEL ? a->out - first_column : REEL_PANEL;
    const float *x = a->x + first_row * a->in, *weight = a->weight + first_column * a->in;
    float *y = a->y + first_row * a->out + first_column;
    dnnl_status_t done;
    if (rows == size) {
        done = multiply(size, columns, a->in, x, weight, y, a->out);
    } else {
        float *padded = reel_cpu_scratch(stream), *result = padded + size * a->in;
        memcpy(padded, x, (size_t)(rows * a->in) * sizeof *x);
        memset(padded + rows * a->in, 0, (size_t)((size - rows) * a->in) * sizeof *x);
        done = multiply(size, columns, a->in, padded, weight, result, columns);
        for (int64_t r = 0; r < rows; r++)
            memcpy(y + r * a->out, result + r * columns, (size_t)columns * sizeof *y);
    }
    reel_pulse();
    for (int64_t r = 0; r < rows; r++)
        finish(y + r * a->out, columns, a->bias ? a->bias + first_column : NULL, a->activation);
    return done;
}

void reel_gemm_cpu(struct reel_stream *stream, const struct reel_gemm *a)
{
    int64_t row_tiles = (a->rows + stream->tile_rows - 1) / stream->tile_rows;
    int64_t panels = (a->out + REEL_PANEL - 1) / REEL_PANEL;
    int failed = 0;
#pragma omp parallel reduction(| : failed) num_threads((int)stream->threads)
    {
        omp_set_num_threads(
            1); /* also where the team has shrunk to one thread, which is no parallel region to oneDNN */
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t panel = 0; panel < panels; panel++)
            for (int64_t t = 0; t < row_tiles; t++)
                failed |= tile(stream, a, t * stream->tile_rows, panel * REEL_PANEL) != dnnl_success;
    }
    if (failed)
        reel_stream_fail(stream, REEL_BAD_DEVICE, "oneDNN refused a GEMM of %lld rows, %lld in, %lld out",
                         (long long)a->rows, (long long)a->in, (long long)a->out);
}
