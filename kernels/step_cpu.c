/* What happens to latents and rows between two forwards, on the host. */
#include "cpu.h"
#include "elements.h"

void reel_guide_cpu(struct reel_stream *stream, const struct reel_guide *a)
{
    (void)stream;
    float scale = (float)a->scale;
    for (int64_t i = 0; i < a->count; i++)
        a->out[i] = a->unconditional[i] + scale * (a->conditional[i] - a->unconditional[i]);
}

/* In double: the coefficients of neighbouring terms nearly cancel at the start of a schedule. */
static void solve_element(const struct reel_solve *a, int64_t i, double v)
{
    double x = (double)a->x[i], m0 = (double)a->m0[i], m1 = (double)a->m1[i];
    double estimate = x - a->sigma * v;
    if (a->corrects)
        x = a->correct_last * (double)a->last[i] + a->correct_0 * m0 + a->correct_1 * m1 +
            a->correct_estimate * estimate;
    a->m1[i] = a->m0[i];
    a->m0[i] = (float)estimate;
    a->x[i] = (float)(a->predict_x * x + a->predict_0 * estimate + a->predict_1 * m0 + a->predict_v * v);
    a->last[i] = a->last_is_result ? a->x[i] : (float)x;
}

void reel_solve_cpu(struct reel_stream *stream, const struct reel_solve *a)
{
    (void)stream;
    for (int64_t c = 0; c < a->channels; c++)
        for (int64_t i = 0; i < a->plane; i++)
            solve_element(a, (c * a->frames + a->frame) * a->plane + i,
                          (double)a->v[(c * a->v_frames + a->v_frame) * a->plane + i]);
}

void reel_silu_cpu(struct reel_stream *stream, const struct reel_silu *a)
{
    (void)stream;
    for (int64_t i = 0; i < a->count; i++)
        a->y[i] = reel_silu_of(a->x[i]);
}

void reel_sum_parts_cpu(struct reel_stream *stream, const struct reel_sum_parts *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * a->width;
        float *y = a->y + r * a->width;
        for (int64_t i = 0; i < a->width; i++) {
            float sum = x[i];
            for (int64_t p = 1; p < a->parts; p++)
                sum += x[p * a->part_stride + i];
            y[i] = sum + a->row[i];
        }
    }
}

void reel_add_row_cpu(struct reel_stream *stream, const struct reel_add_row *a)
{
    (void)stream;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->width; i++)
            a->y[r * a->width + i] += a->row[i];
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
            *x = rest * *x + share * a->z[r * a->width + i];
        }
}
