/* The time embedding, computed by operations on the device, REEL_EMBEDDING_BATCH rows at a time. */
#include "time_embedding.h"

#include "time_formula.h"

struct device {
    const struct reel_weights *weights;
    struct reel_stream *stream;
};

static enum reel_status linear_layer(void *context, const struct reel_time_layer *layer, int64_t rows,
                                     const void *x, void *y)
{
    const struct device *device = context;
    reel_gemm(device->stream, (struct reel_gemm){.rows = rows,
                                                 .in = layer->in,
                                                 .out = layer->out,
                                                 .x = x,
                                                 .weight = reel_weight(device->weights, layer->weight),
                                                 .bias = reel_weight(device->weights, layer->bias),
                                                 .activation = layer->silu ? REEL_SILU : REEL_IDENTITY,
                                                 .y = y});
    return REEL_OK; /* the stream remembers what failed */
}

static enum reel_status silu(void *context, int64_t count, const void *x, void *y)
{
    const struct device *device = context;
    reel_silu(device->stream, (struct reel_silu){.count = count, .x = x, .y = y});
    return REEL_OK;
}

static void add_fps(const struct reel_time_arithmetic *arithmetic, const struct reel_model *model,
                    int64_t fps, float *work, struct reel_time_embedding *embedding)
{
    const struct device *device = arithmetic->context;
    int64_t D = model->width;
    const float *rows = reel_weight(device->weights, REEL_FPS_ROWS);
    float *hidden = work, *g = work + D;
    reel_fps_formula(arithmetic, model, rows + reel_fps_row(fps) * D, hidden, g);
    reel_add_row(
        device->stream,
        (struct reel_add_row){.rows = embedding->table->rows, .width = 6 * D, .row = g, .y = embedding->e0});
}

void reel_time_embedding_make(const struct reel_timestep_table *table, const struct reel_model *model,
                              const struct reel_weights *weights, int64_t fps, const struct reel_arena *arena,
                              struct reel_stream *stream, struct reel_time_embedding *embedding)
{
    struct device device = {weights, stream};
    const struct reel_time_arithmetic arithmetic = {linear_layer, silu, &device};
    int64_t D = model->width, Q = model->frequencies;
    float *made = arena->at[REEL_HOST_WORK], *s = arena->at[REEL_EMBEDDING_WORK],
          *hidden = s + REEL_EMBEDDING_BATCH * Q;
    *embedding = (struct reel_time_embedding){
        .table = table, .width = D, .e = arena->at[REEL_EMBEDDING_E], .e0 = arena->at[REEL_EMBEDDING_E0]};
    for (int64_t first = 0; first < table->rows; first += REEL_EMBEDDING_BATCH) {
        int64_t left = table->rows - first, rows = left < REEL_EMBEDDING_BATCH ? left : REEL_EMBEDDING_BATCH;
        for (int64_t i = 0; i < rows * Q; i++)
            made[i] = (float)reel_sinusoid(table->timestep[first + i / Q], Q, i % Q);
        reel_upload(stream, s, made, rows * Q * (int64_t)sizeof *made);
        reel_time_formula(&arithmetic, model, rows, s, hidden, embedding->e + first * D,
                          embedding->e0 + first * 6 * D);
    }
    if (model->has_fps)
        add_fps(&arithmetic, model, fps, s, embedding);
}
