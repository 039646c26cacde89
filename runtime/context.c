/* What cross attention attends to: prompts and images, embedded once, with keys and values of every block. */
#include "dit.h"

#include <string.h>

/* Where keys (0) or values (1) of a block lie. */
static float *text_at(const struct reel_dit *dit, int64_t branch, int64_t layer, int64_t which)
{
    const struct reel_model *m = &dit->plan->model;
    float *all = dit->arena->at[REEL_CONTEXT_TEXT];
    return all + ((branch * m->layers + layer) * 2 + which) * m->text_rows * m->width;
}

static float *image_at(const struct reel_dit *dit, int64_t layer, int64_t which)
{
    const struct reel_model *m = &dit->plan->model;
    float *all = dit->arena->at[REEL_CONTEXT_IMAGE];
    return all + (layer * 2 + which) * m->image_rows * m->width;
}

static void linear(const struct reel_dit *dit, enum reel_tensor weight, int64_t layer, int64_t rows,
                   int64_t in, int64_t out, const float *x, enum reel_activation activation, float *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = rows,
                                              .in = in,
                                              .out = out,
                                              .x = x,
                                              .weight = reel_weight(dit->weights, weight, layer),
                                              .bias = reel_weight(dit->weights, weight + 1, layer),
                                              .activation = activation,
                                              .y = y});
}

/* The tensors that make keys and values of one kind of context. */
struct projection {
    enum reel_tensor key, value, norm;
};

/* Keys and values of one block from context [rows, D]; work is [rows, D]. */
static void keys_and_values(const struct reel_dit *dit, struct projection by, int64_t layer, int64_t rows,
                            const float *context, float *work, float *keys, float *values)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t first_head[] = {0, m->heads}, D = m->width;
    linear(dit, by.key, layer, rows, D, D, context, REEL_IDENTITY, work);
    reel_split_heads(dit->stream, (struct reel_split_heads){.rows = rows,
                                                            .heads = m->heads,
                                                            .channels = reel_model_head_channels(m),
                                                            .x = work,
                                                            .norm = reel_weight(dit->weights, by.norm, layer),
                                                            .epsilon = m->epsilon,
                                                            .parts = 1,
                                                            .first_head = first_head,
                                                            .y = keys});
    linear(dit, by.value, layer, rows, D, D, context, REEL_IDENTITY, values);
}

void reel_dit_prompt(struct reel_dit *dit, int64_t branch, const float *embeds)
{
    static const struct projection by = {REEL_CROSS_K_WEIGHT, REEL_CROSS_V_WEIGHT, REEL_CROSS_NORM_K};
    const struct reel_model *m = &dit->plan->model;
    int64_t S = m->text_rows, D = m->width;
    float *input = dit->arena->at[REEL_CONTEXT_WORK], *hidden = input + S * m->text_width,
          *context = hidden + S * D;
    memcpy(input, embeds, (size_t)(S * m->text_width) * sizeof *input);
    linear(dit, REEL_TEXT_IN_WEIGHT, 0, S, m->text_width, D, input, REEL_GELU_TANH, hidden);
    linear(dit, REEL_TEXT_OUT_WEIGHT, 0, S, D, D, hidden, REEL_IDENTITY, context);
    if (dit->watch.see)
        dit->watch.see(dit->watch.context, "context", branch, context, S, D);
    for (int64_t layer = 0; layer < m->layers; layer++)
        keys_and_values(dit, by, layer, S, context, hidden, text_at(dit, branch, layer, 0),
                        text_at(dit, branch, layer, 1));
}

void reel_dit_image(struct reel_dit *dit, const float *features)
{
    static const struct projection by = {REEL_CROSS_K_IMAGE_WEIGHT, REEL_CROSS_V_IMAGE_WEIGHT,
                                         REEL_CROSS_NORM_K_IMAGE};
    const struct reel_model *m = &dit->plan->model;
    int64_t rows = m->image_rows, width = m->image_width, D = m->width;
    const double epsilon = 1e-5; /* of the image branch's two norms */
    float *input = dit->arena->at[REEL_CONTEXT_WORK], *hidden = input + rows * width;
    float *out = hidden + rows * width, *context = out + rows * D;
    memcpy(input, features, (size_t)(rows * width) * sizeof *input);
    if (reel_tensor_exists(m, REEL_IMAGE_POSITIONS))
        reel_add_row(dit->stream,
                     (struct reel_add_row){.rows = 1,
                                           .width = rows * width,
                                           .row = reel_weight(dit->weights, REEL_IMAGE_POSITIONS, 0),
                                           .y = input});
    reel_layer_norm(dit->stream, (struct reel_layer_norm){
                                     .rows = rows,
                                     .width = width,
                                     .x = input,
                                     .weight = reel_weight(dit->weights, REEL_IMAGE_NORM_IN_WEIGHT, 0),
                                     .bias = reel_weight(dit->weights, REEL_IMAGE_NORM_IN_BIAS, 0),
                                     .epsilon = epsilon,
                                     .y = input});
    linear(dit, REEL_IMAGE_IN_WEIGHT, 0, rows, width, width, input, REEL_GELU_ERF, hidden);
    linear(dit, REEL_IMAGE_OUT_WEIGHT, 0, rows, width, D, hidden, REEL_IDENTITY, out);
    reel_layer_norm(dit->stream, (struct reel_layer_norm){
                                     .rows = rows,
                                     .width = D,
                                     .x = out,
                                     .weight = reel_weight(dit->weights, REEL_IMAGE_NORM_OUT_WEIGHT, 0),
                                     .bias = reel_weight(dit->weights, REEL_IMAGE_NORM_OUT_BIAS, 0),
                                     .epsilon = epsilon,
                                     .y = context});
    for (int64_t layer = 0; layer < m->layers; layer++)
        keys_and_values(dit, by, layer, rows, context, out, image_at(dit, layer, 0), image_at(dit, layer, 1));
}
