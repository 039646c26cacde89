/* What cross attention attends to: prompts and images, embedded once, with keys and values of every block. */
#include "dit.h"

static float *text_at(const struct reel_dit *dit, int64_t branch, int64_t layer)
{
    const struct reel_model *m = &dit->plan->model;
    float *all = dit->arena->at[REEL_CONTEXT_TEXT];
    return all + (branch * m->layers + layer) * 2 * m->text_rows * dit->columns;
}

static float *image_at(const struct reel_dit *dit, int64_t layer)
{
    float *all = dit->arena->at[REEL_CONTEXT_IMAGE];
    return all + layer * 2 * dit->plan->model.image_rows * dit->columns;
}

static void linear(const struct reel_dit *dit, const float *weight, const float *bias, int64_t rows,
                   int64_t in, int64_t out, const float *x, enum reel_activation activation, float *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = rows,
                                              .in = in,
                                              .out = out,
                                              .x = x,
                                              .weight = weight,
                                              .bias = bias,
                                              .activation = activation,
                                              .y = y});
}

/* A layer that every rank has whole; the bias follows the weight in the list of tensors. */
static void whole(const struct reel_dit *dit, enum reel_tensor tensor, int64_t rows, int64_t in, int64_t out,
                  const float *x, enum reel_activation activation, float *y)
{
    linear(dit, reel_weight(dit->weights, tensor), reel_weight(dit->weights, tensor + 1), rows, in, out, x,
           activation, y);
}

/* The tensors that make keys and values of one kind of context. */
struct projection {
    enum reel_tensor key, value, norm;
};

/* Keys and values of the block at hand from context [rows, D]: [2, rows, columns]. Collective over the tensor axis. */
static void keys_and_values(struct reel_dit *dit, struct projection by, int64_t rows, const float *context,
                            float *keys)
{
    const struct reel_model *m = &dit->plan->model;
    const struct reel_blocks *blocks = &dit->blocks;
    int64_t D = m->width, columns = dit->columns, C = reel_model_head_channels(m);
    int64_t first_head[] = {0, columns / C};
    linear(dit, reel_block_weight(blocks, by.key), reel_block_weight(blocks, by.key + 1), rows, D, columns,
           context, REEL_IDENTITY, keys);
    reel_split_heads(dit->stream, (struct reel_split_heads){
                                      .rows = rows,
                                      .heads = columns / C,
                                      .channels = C,
                                      .x = keys,
                                      .norm = reel_block_weight(blocks, by.norm),
                                      .epsilon = m->epsilon,
                                      .squares = reel_linear_squares(&dit->linear, keys, rows, columns),
                                      .square_parts = dit->comm->tensor.size,
                                      .norm_width = D,
                                      .parts = 1,
                                      .first_head = first_head,
                                      .y = keys});
    linear(dit, reel_block_weight(blocks, by.value), reel_block_weight(blocks, by.value + 1), rows, D,
           columns, context, REEL_IDENTITY, keys + rows * columns);
}

/* The rows that all blocks attend to, of one prompt: [S, D]. */
static const float *embed(struct reel_dit *dit, int64_t branch, const float *embeds)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t S = m->text_rows, D = m->width;
    float *input = dit->arena->at[REEL_CONTEXT_WORK], *hidden = input + S * m->text_width;
    float *context = (float *)dit->arena->at[REEL_CONTEXT_PROMPTS] + branch * S * D;
    reel_upload(dit->stream, input, embeds, S * m->text_width * (int64_t)sizeof *input);
    whole(dit, REEL_TEXT_IN_WEIGHT, S, m->text_width, D, input, REEL_GELU_TANH, hidden);
    whole(dit, REEL_TEXT_OUT_WEIGHT, S, D, D, hidden, REEL_IDENTITY, context);
    if (dit->watch.see)
        dit->watch.see(dit->watch.context, "context", branch, context, S, D);
    return context;
}

void reel_dit_prompts(struct reel_dit *dit, int64_t count, const int64_t *slots, const float *const *embeds)
{
    static const struct projection by = {REEL_CROSS_K_WEIGHT, REEL_CROSS_V_WEIGHT, REEL_CROSS_NORM_K};
    const struct reel_model *m = &dit->plan->model;
    const float *contexts[2] = {NULL, NULL};
    reel_blocks_begin(&dit->blocks, reel_context_elements(&dit->weights->layout, 0));
    for (int64_t i = 0; i < count; i++)
        contexts[i] = embed(dit, slots[i], embeds[i]);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        reel_blocks_use(&dit->blocks, layer);
        for (int64_t i = 0; i < count; i++)
            keys_and_values(dit, by, m->text_rows, contexts[i], text_at(dit, slots[i], layer));
    }
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
    reel_upload(dit->stream, input, features, rows * width * (int64_t)sizeof *input);
    if (reel_tensor_exists(m, REEL_IMAGE_POSITIONS))
        reel_add_row(dit->stream,
                     (struct reel_add_row){.rows = 1,
                                           .width = rows * width,
                                           .row = reel_weight(dit->weights, REEL_IMAGE_POSITIONS),
                                           .y = input});
    reel_layer_norm(dit->stream,
                    (struct reel_layer_norm){.rows = rows,
                                             .width = width,
                                             .x = input,
                                             .weight = reel_weight(dit->weights, REEL_IMAGE_NORM_IN_WEIGHT),
                                             .bias = reel_weight(dit->weights, REEL_IMAGE_NORM_IN_BIAS),
                                             .epsilon = epsilon,
                                             .y = input});
    whole(dit, REEL_IMAGE_IN_WEIGHT, rows, width, width, input, REEL_GELU_ERF, hidden);
    whole(dit, REEL_IMAGE_OUT_WEIGHT, rows, width, D, hidden, REEL_IDENTITY, out);
    reel_layer_norm(dit->stream,
                    (struct reel_layer_norm){.rows = rows,
                                             .width = D,
                                             .x = out,
                                             .weight = reel_weight(dit->weights, REEL_IMAGE_NORM_OUT_WEIGHT),
                                             .bias = reel_weight(dit->weights, REEL_IMAGE_NORM_OUT_BIAS),
                                             .epsilon = epsilon,
                                             .y = context});
    reel_blocks_begin(&dit->blocks, reel_context_elements(&dit->weights->layout, 1));
    for (int64_t layer = 0; layer < m->layers; layer++) {
        reel_blocks_use(&dit->blocks, layer);
        keys_and_values(dit, by, rows, context, image_at(dit, layer));
    }
}
