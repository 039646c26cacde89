/* RMS norm, RoPE and the layout by heads, on the host. */
#include "cpu.h"
#include "elements.h"

#include <string.h>

enum { LANES = 8 };

REEL_ELEMENT double squares_of(const void *x, enum reel_dtype dtype, int64_t width)
{
    double lane[LANES] = {0}, total = 0;
    int64_t whole = width - width % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++) {
            double number = (double)reel_number(x, i + j, dtype);
            lane[j] += number * number;
        }
    for (int64_t i = whole; i < width; i++) {
        double number = (double)reel_number(x, i, dtype);
        lane[i - whole] += number * number;
    }
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    return total;
}

REEL_SIMD
static double sum_of_squares(const void *x, enum reel_dtype dtype, int64_t width)
{
    return dtype == REEL_BF16 ? squares_of(x, REEL_BF16, width) : squares_of(x, REEL_F32, width);
}

void reel_rms_squares_cpu(struct reel_stream *stream, const struct reel_rms_squares *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        a->sums[r] = sum_of_squares(reel_at(a->x, r * a->width, a->dtype), a->dtype, a->width);
}

/* 1 / sqrt(mean(x^2) + epsilon), with the mean over all heads of the model in row r. */
static float inverse_rms(const struct reel_split_heads *a, int64_t r)
{
    int64_t width = a->heads * a->channels;
    double total = 0;
    if (a->squares) {
        width = a->norm_width;
        for (int64_t p = 0; p < a->square_parts; p++)
            total += a->squares[p * a->rows + r];
    } else {
        total = sum_of_squares(reel_at(a->x, r * width, a->dtype), a->dtype, width);
    }
    return reel_inverse_root(total, width, a->epsilon);
}

REEL_ELEMENT void scale_values(const void *x, const void *norm, enum reel_dtype dtype, float inverse,
                               int64_t count, float *y)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = reel_rms_normed(reel_number(x, i, dtype), inverse, reel_number(norm, i, dtype));
}

REEL_SIMD
static void scaled(const void *x, const void *norm, enum reel_dtype dtype, float inverse, int64_t count,
                   float *y)
{
    if (dtype == REEL_BF16)
        scale_values(x, norm, REEL_BF16, inverse, count, y);
    else
        scale_values(x, norm, REEL_F32, inverse, count, y);
}

/* Rotates the pairs (2p, 2p + 1) of y. Not compiled for newer instruction sets (REEL_SIMD): for them GCC
 * fuses the products and the sums (vfmaddsub) in spite of -ffp-contract=off, and the bits would depend on the
 * machine. */
static void rotate_pairs(float *y, const float *table, int64_t pairs)
{
    for (int64_t p = 0; p < pairs; p++)
        reel_turn(&y[2 * p], &y[2 * p + 1], &table[2 * p]);
}

static void rotate_head(const struct reel_rope *rope, struct reel_token_position position, float *y)
{
    int64_t row = rope->frame_pairs, column = row + rope->row_pairs;
    rotate_pairs(y, reel_rotation(rope, position, 0), rope->frame_pairs);
    rotate_pairs(y + 2 * row, reel_rotation(rope, position, row), rope->row_pairs);
    rotate_pairs(y + 2 * column, reel_rotation(rope, position, column), rope->column_pairs);
}

/* Computes head n of row r as floats, directly in y or in `room`, which has space for one head. */
static void split_head(const struct reel_split_heads *a, int64_t r, int64_t n, float inverse, float *room)
{
    int64_t C = a->channels;
    const void *x = reel_at(a->x, (r * a->heads + n) * C, a->dtype);
    void *y = reel_at(a->y, reel_head_at(a->first_head, a->rows, C, r, n), a->dtype);
    float *head = a->dtype == REEL_F32 ? y : room;
    if (a->norm)
        scaled(x, reel_at(a->norm, n * C, a->dtype), a->dtype, inverse, C, head);
    else if (head != x)
        reel_widen_cpu(x, C, a->dtype, head);
    if (a->rope)
        rotate_head(a->rope, reel_token_position_of(a->rope->first_token + r, a->rope->H, a->rope->W), head);
    if (head != y)
        reel_narrow_cpu(head, C, a->dtype, y);
}

void reel_split_heads_cpu(struct reel_stream *stream, const struct reel_split_heads *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++) {
        float inverse = a->norm ? inverse_rms(a, r) : 1.0f;
        for (int64_t n = 0; n < a->heads; n++)
            split_head(a, r, n, inverse, reel_cpu_scratch(stream));
    }
}

void reel_merge_heads_cpu(struct reel_stream *stream, const struct reel_merge_heads *a)
{
    int64_t C = a->channels;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t n = 0; n < a->heads; n++)
            memcpy(reel_at(a->y, (r * a->heads + n) * C, a->dtype),
                   reel_at(a->x, reel_head_at(a->first_head, a->rows, C, r, n), a->dtype),
                   (size_t)(C * reel_dtype_bytes(a->dtype)));
}
