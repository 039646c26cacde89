/* Norms, modulation and gated sums on the host: one pass over a row computes its mean and variance, a
 * second one writes it. */
#include "cpu.h"
#include "elements.h"

enum { LANES = 8 };

/* mean and 1 / sqrt(variance + epsilon) of a row, in double; the order depends on the width alone. */
REEL_ELEMENT void moments_of(const void *x, enum reel_dtype x_dtype, int64_t width, double epsilon,
                             float *mean, float *inverse)
{
    double lane[LANES] = {0}, total = 0;
    int64_t whole = width - width % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += (double)reel_number(x, i + j, x_dtype);
    for (int64_t i = whole; i < width; i++)
        lane[i - whole] += (double)reel_number(x, i, x_dtype);
    for (int64_t j = 0; j < LANES; j++) {
        total += lane[j];
        lane[j] = 0;
    }
    double center = total / (double)width;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++) {
            double apart = (double)reel_number(x, i + j, x_dtype) - center;
            lane[j] += apart * apart;
        }
    for (int64_t i = whole; i < width; i++) {
        double apart = (double)reel_number(x, i, x_dtype) - center;
        lane[i - whole] += apart * apart;
    }
    total = 0;
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    *mean = (float)center;
    *inverse = reel_inverse_root(total, width, epsilon);
}

REEL_SIMD
static void moments(const void *x, enum reel_dtype x_dtype, int64_t width, double epsilon, float *mean,
                    float *inverse)
{
    if (x_dtype == REEL_BF16)
        moments_of(x, REEL_BF16, width, epsilon, mean, inverse);
    else
        moments_of(x, REEL_F32, width, epsilon, mean, inverse);
}

REEL_ELEMENT void affine(const struct reel_layer_norm *a, enum reel_dtype x_dtype, enum reel_dtype dtype,
                         const void *x, float mean, float inverse, void *y)
{
    for (int64_t i = 0; i < a->width; i++)
        reel_set_number(y, i, dtype,
                        reel_affine((reel_number(x, i, x_dtype) - mean) * inverse,
                                    reel_number(a->weight, i, dtype), reel_number(a->bias, i, dtype)));
}

REEL_SIMD
static void affine_row(const struct reel_layer_norm *a, const void *x, float mean, float inverse, void *y)
{
    if (a->x_dtype == REEL_BF16 && a->dtype == REEL_BF16)
        affine(a, REEL_BF16, REEL_BF16, x, mean, inverse, y);
    else if (a->x_dtype == REEL_BF16)
        affine(a, REEL_BF16, REEL_F32, x, mean, inverse, y);
    else if (a->dtype == REEL_BF16)
        affine(a, REEL_F32, REEL_BF16, x, mean, inverse, y);
    else
        affine(a, REEL_F32, REEL_F32, x, mean, inverse, y);
}

void reel_layer_norm_cpu(struct reel_stream *stream, const struct reel_layer_norm *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const void *x = reel_at(a->x, r * a->width, a->x_dtype);
        float mean, inverse;
        moments(x, a->x_dtype, a->width, a->epsilon, &mean, &inverse);
        affine_row(a, x, mean, inverse, reel_at(a->y, r * a->width, a->dtype));
    }
}

REEL_ELEMENT void modulated(const struct reel_modulate *a, enum reel_dtype dtype, const float *x, float mean,
                            float inverse, const float *row, void *y)
{
    const float *shift = row + a->shift_at, *scale = row + a->scale_at;
    for (int64_t i = 0; i < a->width; i++)
        reel_set_number(y, i, dtype,
                        reel_modulated((x[i] - mean) * inverse, reel_number(a->scale, i, dtype), scale[i],
                                       reel_number(a->shift, i, dtype), shift[i]));
}

REEL_SIMD
static void modulated_row(const struct reel_modulate *a, const float *x, float mean, float inverse,
                          const float *row, void *y)
{
    if (a->dtype == REEL_BF16)
        modulated(a, REEL_BF16, x, mean, inverse, row, y);
    else
        modulated(a, REEL_F32, x, mean, inverse, row, y);
}

void reel_modulate_cpu(struct reel_stream *stream, const struct reel_modulate *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * a->width, *row = reel_row_of(&a->embedding, r);
        float mean, inverse;
        moments(x, REEL_F32, a->width, a->epsilon, &mean, &inverse);
        modulated_row(a, x, mean, inverse, row, reel_at(a->y, r * a->width, a->dtype));
    }
}

REEL_ELEMENT void gated(float *x, const void *y, const void *gate, enum reel_dtype dtype, const float *row,
                        int64_t width)
{
    if (gate)
        for (int64_t i = 0; i < width; i++)
            x[i] = reel_gated(x[i], reel_number(y, i, dtype), reel_number(gate, i, dtype), row[i]);
    else
        for (int64_t i = 0; i < width; i++)
            x[i] += reel_number(y, i, dtype);
}

REEL_SIMD
static void gated_row(float *x, const void *y, const void *gate, enum reel_dtype dtype, const float *row,
                      int64_t width)
{
    if (dtype == REEL_BF16)
        gated(x, y, gate, REEL_BF16, row, width);
    else
        gated(x, y, gate, REEL_F32, row, width);
}

void reel_gated_add_cpu(struct reel_stream *stream, const struct reel_gated_add *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const float *row = 0;
        if (a->gate)
            row = reel_row_of(&a->embedding, r) + a->gate_at;
        gated_row(a->x + r * a->width, reel_at(a->y, r * a->width, a->dtype), a->gate, a->dtype, row,
                  a->width);
    }
}
