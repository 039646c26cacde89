/* Element-wise operations on latents and rows, on the host. */
#include "cpu.h"
#include "elements.h"

void reel_guide_cpu(struct reel_stream *stream, const struct reel_guide *a)
{
    (void)stream;
    float scale = (float)a->scale;
    for (int64_t i = 0; i < a->count; i++)
        a->out[i] = reel_guided(a->conditional[i], a->unconditional[i], scale);
}

void reel_solve_cpu(struct reel_stream *stream, const struct reel_solve *a)
{
    (void)stream;
    for (int64_t c = 0; c < a->channels; c++)
        for (int64_t i = 0; i < a->plane; i++)
            reel_solve_element(a, c, i);
}

void reel_silu_cpu(struct reel_stream *stream, const struct reel_silu *a)
{
    (void)stream;
    for (int64_t i = 0; i < a->count; i++)
        a->y[i] = reel_silu_of(a->x[i]);
}

REEL_ELEMENT void sum_row(const struct reel_sum_parts *a, int64_t r, enum reel_dtype dtype)
{
    for (int64_t i = 0; i < a->width; i++)
        reel_set_number(a->y, r * a->width + i, dtype, reel_sum_of_parts(a, r, i, dtype));
}

void reel_sum_parts_cpu(struct reel_stream *stream, const struct reel_sum_parts *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        if (a->dtype == REEL_BF16)
            sum_row(a, r, REEL_BF16);
        else
            sum_row(a, r, REEL_F32);
}

REEL_ELEMENT void add_rows(const struct reel_add_row *a, enum reel_dtype dtype)
{
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->width; i++) {
            float sum = reel_number(a->y, r * a->width + i, dtype) + reel_number(a->row, i, dtype);
            reel_set_number(a->y, r * a->width + i, dtype, sum);
        }
}

void reel_add_row_cpu(struct reel_stream *stream, const struct reel_add_row *a)
{
    (void)stream;
    if (a->dtype == REEL_BF16)
        add_rows(a, REEL_BF16);
    else
        add_rows(a, REEL_F32);
}

int64_t reel_first_nonfinite_cpu(struct reel_stream *stream, const float *x, int64_t count)
{
    (void)stream;
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return i;
    return -1;
}

void reel_copy_cpu(struct reel_stream *stream, const struct reel_copy *a)
{
    (void)stream;
    for (int64_t r = 0; r < a->rows; r++)
        memcpy((char *)a->to + r * a->to_stride, (const char *)a->from + r * a->from_stride,
               (size_t)a->row_bytes);
}

void reel_clear_cpu(struct reel_stream *stream, const struct reel_clear *a)
{
    (void)stream;
    memset(a->to, 0, (size_t)a->bytes);
}

void reel_blend_cpu(struct reel_stream *stream, const struct reel_blend *a)
{
    float share = (float)a->share, rest = 1.0f - share;
    (void)stream;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->width; i++) {
            float *x = &a->x[r * a->x_stride + i];
            *x = reel_blended(*x, a->z[r * a->width + i], share, rest);
        }
}
