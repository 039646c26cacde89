/* The table of timestep rows. */
#include "embedding.h"

#include <math.h>
#include <string.h>

void reel_embedding_clear(struct reel_embedding_table *embedding)
{
    memset(embedding, 0, sizeof *embedding);
    for (int64_t t = 0; t <= REEL_TIMESTEP_MAX; t++)
        embedding->row_of[t] = -1;
}

void reel_embedding_add(struct reel_embedding_table *embedding, const int64_t *timesteps, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        embedding->row_of[timesteps[i]] = 0;
    embedding->rows = 0;
    for (int64_t t = 0; t <= REEL_TIMESTEP_MAX; t++)
        if (embedding->row_of[t] >= 0) {
            embedding->row_of[t] = (int32_t)embedding->rows;
            embedding->timestep[embedding->rows++] = t;
        }
}

static void sinusoid(int64_t timestep, int64_t frequencies, float *row)
{
    int64_t half = frequencies / 2;
    for (int64_t k = 0; k < half; k++) {
        double angle = (double)timestep * pow(10000.0, -(double)k / (double)half);
        row[k] = (float)cos(angle);
        row[half + k] = (float)sin(angle);
    }
}

/* g = W2 silu(W0 row + b0) + b2, added to e0 of every row: constant over a run. Row 0 is 16 fps, row 1 any
 * other. */
static void add_fps(struct reel_embedding_table *embedding, const struct reel_weights *weights, int64_t fps,
                    float *work, struct reel_stream *stream)
{
    int64_t D = embedding->width;
    float *hidden = work, *g = work + D;
    reel_gemm(stream, (struct reel_gemm){.rows = 1,
                                         .in = D,
                                         .out = D,
                                         .x = (const float *)reel_weight(weights, REEL_FPS_ROWS) +
                                              (fps == 16 ? 0 : D),
                                         .weight = reel_weight(weights, REEL_FPS_IN_WEIGHT),
                                         .bias = reel_weight(weights, REEL_FPS_IN_BIAS),
                                         .activation = REEL_SILU,
                                         .y = hidden});
    reel_gemm(stream, (struct reel_gemm){.rows = 1,
                                         .in = D,
                                         .out = 6 * D,
                                         .x = hidden,
                                         .weight = reel_weight(weights, REEL_FPS_OUT_WEIGHT),
                                         .bias = reel_weight(weights, REEL_FPS_OUT_BIAS),
                                         .y = g});
    reel_add_row(
        stream, (struct reel_add_row){.rows = embedding->rows, .width = 6 * D, .row = g, .y = embedding->e0});
}

void reel_embedding_make(struct reel_embedding_table *embedding, const struct reel_model *model,
                         const struct reel_weights *weights, int64_t fps, const struct reel_arena *arena,
                         float *work, struct reel_stream *stream)
{
    int64_t D = embedding->width = model->width, Q = model->frequencies;
    embedding->e = arena->at[REEL_EMBEDDING_E];
    embedding->e0 = arena->at[REEL_EMBEDDING_E0];
    float *made = arena->at[REEL_HOST_WORK], *s = work, *hidden = s + REEL_EMBEDDING_BATCH * Q;
    for (int64_t first = 0; first < embedding->rows; first += REEL_EMBEDDING_BATCH) {
        int64_t left = embedding->rows - first,
                rows = left < REEL_EMBEDDING_BATCH ? left : REEL_EMBEDDING_BATCH;
        float *e = embedding->e + first * D;
        for (int64_t r = 0; r < rows; r++)
            sinusoid(embedding->timestep[first + r], Q, made + r * Q);
        reel_upload(stream, s, made, rows * Q * (int64_t)sizeof *made);
        reel_gemm(stream, (struct reel_gemm){.rows = rows,
                                             .in = Q,
                                             .out = D,
                                             .x = s,
                                             .weight = reel_weight(weights, REEL_TIME_IN_WEIGHT),
                                             .bias = reel_weight(weights, REEL_TIME_IN_BIAS),
                                             .activation = REEL_SILU,
                                             .y = hidden});
        reel_gemm(stream, (struct reel_gemm){.rows = rows,
                                             .in = D,
                                             .out = D,
                                             .x = hidden,
                                             .weight = reel_weight(weights, REEL_TIME_OUT_WEIGHT),
                                             .bias = reel_weight(weights, REEL_TIME_OUT_BIAS),
                                             .y = e});
        reel_silu(stream, (struct reel_silu){.count = rows * D, .x = e, .y = hidden});
        reel_gemm(stream, (struct reel_gemm){.rows = rows,
                                             .in = D,
                                             .out = 6 * D,
                                             .x = hidden,
                                             .weight = reel_weight(weights, REEL_TIME_PROJECTION_WEIGHT),
                                             .bias = reel_weight(weights, REEL_TIME_PROJECTION_BIAS),
                                             .y = embedding->e0 + first * 6 * D});
    }
    if (model->has_fps)
        add_fps(embedding, weights, fps, s, stream);
}
