/* RMS norm, rotation and the layout by heads, on the host. */
#include "cpu.h"
#include "elements.h"

#include <string.h>

enum { LANES = 8 };

REEL_SIMD
static double sum_of_squares(const float *x, int64_t width)
{
    double lane[LANES] = {0}, total = 0;
    int64_t whole = width - width % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    for (int64_t i = whole; i < width; i++)
        lane[i - whole] += (double)x[i] * (double)x[i];
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    return total;
}

void reel_squares_cpu(struct reel_stream *stream, const struct reel_squares *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        a->sums[r] = sum_of_squares(a->x + r * a->width, a->width);
}

/* 1 / sqrt(mean(x^2) + epsilon) over row r of all heads of the model. */
static float inverse_rms(const struct reel_split_heads *a, int64_t r)
{
    int64_t width = a->heads * a->channels;
    double total = 0;
    if (a->squares) {
        width = a->norm_width;
        for (int64_t p = 0; p < a->square_parts; p++)
            total += a->squares[p * a->rows + r];
    } else {
        total = sum_of_squares(a->x + r * width, width);
    }
    return (float)(1.0 / sqrt(total / (double)width + a->epsilon));
}

REEL_SIMD
static void scaled(const float *x, float inverse, const float *norm, int64_t count, float *y)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * inverse * norm[i];
}

/* Turns pairs (2p, 2p + 1) of y by table[p] = (cosine, sine). Not compiled for newer instruction sets: there GCC fuses
 * the products and the sums (vfmaddsub) in spite of -ffp-contract=off, and every machine would turn otherwise. */
static void turn(float *y, const float *table, int64_t pairs)
{
    for (int64_t p = 0; p < pairs; p++) {
        float a = y[2 * p], b = y[2 * p + 1], cosine = table[2 * p], sine = table[2 * p + 1];
        y[2 * p] = a * cosine - b * sine;
        y[2 * p + 1] = a * sine + b * cosine;
    }
}

static void rotate(const struct reel_rope *rope, int64_t token, float *y)
{
    int64_t column = token % rope->W, row = token / rope->W % rope->H, frame = token / (rope->W * rope->H);
    turn(y, rope->frame + frame * rope->frame_pairs * 2, rope->frame_pairs);
    y += 2 * rope->frame_pairs;
    turn(y, rope->row + row * rope->row_pairs * 2, rope->row_pairs);
    y += 2 * rope->row_pairs;
    turn(y, rope->column + column * rope->column_pairs * 2, rope->column_pairs);
}

static void split_row(const struct reel_split_heads *a, int64_t r)
{
    int64_t C = a->channels;
    const float *x = a->x + r * a->heads * C;
    float inverse = a->norm ? inverse_rms(a, r) : 1.0f;
    for (int64_t p = 0; p < a->parts; p++) {
        int64_t first = a->first_head[p], heads = a->first_head[p + 1] - first;
        float *y = a->y + (a->rows * first + r * heads) * C;
        if (a->norm)
            scaled(x + first * C, inverse, a->norm + first * C, heads * C, y);
        else if (y != x)
            memcpy(y, x + first * C, (size_t)(heads * C) * sizeof *y);
        if (a->rope)
            for (int64_t n = 0; n < heads; n++)
                rotate(a->rope, a->rope->first_token + r, y + n * C);
    }
}

void reel_split_heads_cpu(struct reel_stream *stream, const struct reel_split_heads *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        split_row(a, r);
}

void reel_merge_heads_cpu(struct reel_stream *stream, const struct reel_merge_heads *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t p = 0; p < a->parts; p++) {
            int64_t first = a->first_head[p], heads = a->first_head[p + 1] - first;
            memcpy(a->y + (r * a->heads + first) * a->channels,
                   a->x + (a->rows * first + r * heads) * a->channels,
                   (size_t)(heads * a->channels) * sizeof *a->y);
        }
}
