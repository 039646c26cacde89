/* Norms, modulation and gated sums on the host: one pass over a row for its moments, one to write it. */
#include "cpu.h"
#include "elements.h"

enum { LANES = 8 };

/* mean and 1 / sqrt(variance + epsilon) of a row, in double and in an order that depends on the width alone.
 */
REEL_SIMD
static void moments(const float *x, int64_t width, double epsilon, float *mean, float *inverse)
{
    double lane[LANES] = {0}, total = 0;
    int64_t whole = width - width % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j];
    for (int64_t i = whole; i < width; i++)
        lane[i - whole] += (double)x[i];
    for (int64_t j = 0; j < LANES; j++) {
        total += lane[j];
        lane[j] = 0;
    }
    double center = total / (double)width;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += ((double)x[i + j] - center) * ((double)x[i + j] - center);
    for (int64_t i = whole; i < width; i++)
        lane[i - whole] += ((double)x[i] - center) * ((double)x[i] - center);
    total = 0;
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    *mean = (float)center;
    *inverse = (float)(1.0 / sqrt(total / (double)width + epsilon));
}

REEL_SIMD
static void affine_row(const struct reel_layer_norm *a, const float *x, float mean, float inverse, float *y)
{
    for (int64_t i = 0; i < a->width; i++)
        y[i] = (x[i] - mean) * inverse * a->weight[i] + a->bias[i];
}

void reel_layer_norm_cpu(struct reel_stream *stream, const struct reel_layer_norm *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        float mean, inverse;
        moments(a->x + r * a->width, a->width, a->epsilon, &mean, &inverse);
        affine_row(a, a->x + r * a->width, mean, inverse, a->y + r * a->width);
    }
}

REEL_SIMD
static void modulated_row(const struct reel_modulate *a, const float *x, float mean, float inverse,
                          const float *row, float *y)
{
    const float *shift = row + a->shift_at, *scale = row + a->scale_at;
    for (int64_t i = 0; i < a->width; i++)
        y[i] = (x[i] - mean) * inverse * (1.0f + (a->scale[i] + scale[i])) + (a->shift[i] + shift[i]);
}

void reel_modulate_cpu(struct reel_stream *stream, const struct reel_modulate *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const float *row = reel_row_of(&a->embedding, r);
        float mean, inverse;
        moments(a->x + r * a->width, a->width, a->epsilon, &mean, &inverse);
        modulated_row(a, a->x + r * a->width, mean, inverse, row, a->y + r * a->width);
    }
}

REEL_SIMD
static void gated_row(float *x, const float *y, const float *gate, const float *row, int64_t width)
{
    if (gate)
        for (int64_t i = 0; i < width; i++)
            x[i] += y[i] * (gate[i] + row[i]);
    else
        for (int64_t i = 0; i < width; i++)
            x[i] += y[i];
}

void reel_gated_add_cpu(struct reel_stream *stream, const struct reel_gated_add *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const float *row = 0;
        if (a->gate)
            row = reel_row_of(&a->embedding, r) + a->gate_at;
        gated_row(a->x + r * a->width, a->y + r * a->width, a->gate, row, a->width);
    }
}
