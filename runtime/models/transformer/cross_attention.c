/* The context of cross attention: prompts and the image are embedded once, and keys and values of every block
 * are kept. */
#include "dit.h"

/* The bytes of `rows` rows of this rank's columns. */
static int64_t bytes_of(const struct reel_dit *dit, int64_t rows)
{
    return rows * dit->columns * reel_dtype_bytes(dit->dtype);
}

static char *text_at(const struct reel_dit *dit, int64_t branch, int64_t layer)
{
    const struct reel_model *m = &dit->plan->model;
    char *all = dit->arena->at[REEL_CONTEXT_TEXT];
    return all + bytes_of(dit, (branch * m->layers + layer) * 2 * m->text_rows);
}

static char *image_at(const struct reel_dit *dit, int64_t layer)
{
    char *all = dit->arena->at[REEL_CONTEXT_IMAGE];
    return all + bytes_of(dit, layer * 2 * dit->plan->model.image_rows);
}

const void *reel_dit_text(const struct reel_dit *dit, int64_t branch, int64_t layer)
{
    return text_at(dit, branch, layer);
}

const void *reel_dit_image_keys(const struct reel_dit *dit, int64_t layer)
{
    return image_at(dit, layer);
}

const void *reel_dit_values(const struct reel_dit *dit, const void *keys, int64_t rows)
{
    return (const char *)keys + bytes_of(dit, rows);
}

/* A linear layer whose weight every rank holds whole. */
static void whole_layer(const struct reel_dit *dit, enum reel_tensor tensor, int64_t rows, int64_t in,
                        int64_t out, const void *x, enum reel_activation activation, void *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = rows,
                                              .in = in,
                                              .out = out,
                                              .dtype = dit->dtype,
                                              .weight_dtype = dit->dtype,
                                              .y_dtype = dit->dtype,
                                              .x = x,
                                              .weight = reel_weight(dit->weights, tensor),
                                              .bias = reel_bias(dit->weights, tensor),
                                              .activation = activation,
                                              .y = y});
}

/* Keys or values of the current block: this rank's columns of a linear layer. */
static void project_context(const struct reel_dit *dit, enum reel_tensor tensor, int64_t rows,
                            const void *context, void *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = rows,
                                              .in = dit->plan->model.width,
                                              .out = dit->columns,
                                              .dtype = dit->dtype,
                                              .weight_dtype = dit->plan->work.matrix_dtype,
                                              .y_dtype = dit->dtype,
                                              .x = context,
                                              .weight = reel_block_weight(&dit->block_weights, tensor),
                                              .weight_scale = reel_block_scale(&dit->block_weights, tensor),
                                              .bias = reel_block_bias(&dit->block_weights, tensor),
                                              .y = y});
}

/* The tensors that make keys and values of one kind of context, text or image. */
struct projection {
    enum reel_tensor key, value, norm;
};

/* Collective over the tensor axis. Keys and values [2, rows, columns] of the current block, from context
 * [rows, D]. */
static void keys_and_values(struct reel_dit *dit, struct projection by, int64_t rows, const void *context,
                            char *keys)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t D = m->width, columns = dit->columns, C = reel_model_head_channels(m);
    int64_t first_head[] = {0, columns / C};
    project_context(dit, by.key, rows, context, keys);
    reel_split_heads(dit->stream,
                     (struct reel_split_heads){
                         .rows = rows,
                         .heads = columns / C,
                         .channels = C,
                         .dtype = dit->dtype,
                         .x = keys,
                         .norm = reel_block_weight(&dit->block_weights, by.norm),
                         .epsilon = m->epsilon,
                         .squares = reel_tensor_parallel_squares(&dit->tensor_parallel, keys, rows, columns),
                         .square_parts = dit->comm->tensor.size,
                         .norm_width = D,
                         .parts = 1,
                         .first_head = first_head,
                         .y = keys});
    project_context(dit, by.value, rows, context, keys + bytes_of(dit, rows));
}

/* Uploads float values from the host and converts them to the plan's dtype. When that is not float, floats
 * has room for the unconverted values. */
static void upload_values(struct reel_dit *dit, const float *values, int64_t count, float *floats,
                          void *converted)
{
    int64_t bytes = count * (int64_t)sizeof *values;
    if (dit->dtype == REEL_F32) {
        reel_upload(dit->stream, converted, values, bytes);
        return;
    }
    reel_upload(dit->stream, floats, values, bytes);
    reel_convert(dit->stream,
                 (struct reel_convert){.count = count, .dtype = dit->dtype, .x = floats, .y = converted});
}

/* Embeds one prompt: the context [S, D] that all blocks attend to. */
static const void *embed_prompt(struct reel_dit *dit, int64_t branch, const float *embeds)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t S = m->text_rows, D = m->width, b = reel_dtype_bytes(dit->dtype);
    char *input = dit->arena->at[REEL_CONTEXT_WORK], *hidden = input + S * m->text_width * b;
    char *context = (char *)dit->arena->at[REEL_CONTEXT_PROMPTS] + branch * S * D * b;
    upload_values(dit, embeds, S * m->text_width, dit->arena->at[REEL_CONTEXT_FLOATS], input);
    whole_layer(dit, REEL_TEXT_IN_WEIGHT, S, m->text_width, D, input, REEL_GELU_TANH, hidden);
    whole_layer(dit, REEL_TEXT_OUT_WEIGHT, S, D, D, hidden, REEL_IDENTITY, context);
    if (dit->hook.see)
        dit->hook.see(dit->hook.context, "context", branch, context, S, D);
    return context;
}

void reel_dit_prompts(struct reel_dit *dit, int64_t count, const int64_t *slots, const float *const *embeds)
{
    static const struct projection by = {REEL_CROSS_K_WEIGHT, REEL_CROSS_V_WEIGHT, REEL_CROSS_NORM_K};
    const struct reel_model *m = &dit->plan->model;
    const void *contexts[2] = {NULL, NULL};
    reel_block_weights_begin(&dit->block_weights, dit->weights->layout.context[REEL_CONTEXT_OF_TEXT]);
    for (int64_t i = 0; i < count; i++)
        contexts[i] = embed_prompt(dit, slots[i], embeds[i]);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        reel_block_weights_use(&dit->block_weights, layer);
        for (int64_t i = 0; i < count; i++)
            keys_and_values(dit, by, m->text_rows, contexts[i], text_at(dit, slots[i], layer));
    }
}

/* One of the two layer norms of the image embedding. */
static void image_norm(const struct reel_dit *dit, enum reel_tensor tensor, int64_t rows, int64_t width,
                       const void *x, void *y)
{
    reel_layer_norm(dit->stream, (struct reel_layer_norm){.rows = rows,
                                                          .width = width,
                                                          .x_dtype = dit->dtype,
                                                          .dtype = dit->dtype,
                                                          .x = x,
                                                          .weight = reel_weight(dit->weights, tensor),
                                                          .bias = reel_bias(dit->weights, tensor),
                                                          .epsilon = 1e-5,
                                                          .y = y});
}

void reel_dit_image(struct reel_dit *dit, const float *features)
{
    static const struct projection by = {REEL_CROSS_K_IMAGE_WEIGHT, REEL_CROSS_V_IMAGE_WEIGHT,
                                         REEL_CROSS_NORM_K_IMAGE};
    const struct reel_model *m = &dit->plan->model;
    int64_t rows = m->image_rows, width = m->image_width, D = m->width, b = reel_dtype_bytes(dit->dtype);
    char *input = dit->arena->at[REEL_CONTEXT_WORK], *hidden = input + rows * width * b;
    char *out = hidden + rows * width * b, *context = out + rows * D * b;
    upload_values(dit, features, rows * width, dit->arena->at[REEL_CONTEXT_FLOATS], input);
    if (reel_tensor_exists(dit->weights->network, REEL_IMAGE_POSITIONS))
        reel_add_row(dit->stream,
                     (struct reel_add_row){.rows = 1,
                                           .width = rows * width,
                                           .dtype = dit->dtype,
                                           .row = reel_weight(dit->weights, REEL_IMAGE_POSITIONS),
                                           .y = input});
    image_norm(dit, REEL_IMAGE_NORM_IN_WEIGHT, rows, width, input, input);
    whole_layer(dit, REEL_IMAGE_IN_WEIGHT, rows, width, width, input, REEL_GELU_ERF, hidden);
    whole_layer(dit, REEL_IMAGE_OUT_WEIGHT, rows, width, D, hidden, REEL_IDENTITY, out);
    image_norm(dit, REEL_IMAGE_NORM_OUT_WEIGHT, rows, D, out, context);
    reel_block_weights_begin(&dit->block_weights, dit->weights->layout.context[REEL_CONTEXT_OF_IMAGE]);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        reel_block_weights_use(&dit->block_weights, layer);
        keys_and_values(dit, by, rows, context, image_at(dit, layer));
    }
}
