/* The operations of TeaCache on tokens, on the host: expansion, distances, residuals. */
#include "cpu.h"
#include "elements.h"

#include <string.h>

enum { LANES = 8 };

void reel_expand_cpu(struct reel_stream *stream, const struct reel_expand *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        memcpy(a->y + r * a->width, reel_row_of(&a->embedding, r), (size_t)a->width * sizeof *a->y);
}

static double sum_lanes(const double lane[LANES])
{
    double total = 0;
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    return total;
}

REEL_SIMD
static void distance_row(const float *x, float *previous, int64_t width, double *difference,
                         double *magnitude)
{
    double apart[LANES] = {0}, size[LANES] = {0};
    int64_t whole = width - width % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++) {
            double then = (double)previous[i + j];
            apart[j] += fabs((double)x[i + j] - then);
            size[j] += fabs(then);
            previous[i + j] = x[i + j];
        }
    for (int64_t i = whole; i < width; i++) {
        double then = (double)previous[i];
        apart[i - whole] += fabs((double)x[i] - then);
        size[i - whole] += fabs(then);
        previous[i] = x[i];
    }
    *difference = sum_lanes(apart);
    *magnitude = sum_lanes(size);
}

void reel_distances_cpu(struct reel_stream *stream, const struct reel_distances *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        distance_row(a->x + r * a->width, a->previous + r * a->width, a->width, a->difference + r * a->stride,
                     a->magnitude + r * a->stride);
}

void reel_keep_residual_cpu(struct reel_stream *stream, const struct reel_keep_residual *a)
{
    enum reel_dtype kept = a->dtype;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t i = 0; i < a->count; i++)
        if (kept == REEL_BF16)
            reel_keep_element(a, i, REEL_BF16);
        else
            reel_keep_element(a, i, REEL_F32);
}

void reel_add_residual_cpu(struct reel_stream *stream, const struct reel_add_residual *a)
{
    enum reel_dtype kept = a->dtype;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t i = 0; i < a->count; i++)
        if (kept == REEL_BF16)
            reel_add_kept_element(a, i, REEL_BF16);
        else
            reel_add_kept_element(a, i, REEL_F32);
}
