/* The forward pass, block by block. */
#include "dit.h"

#include <math.h>

/* One axis of the rotation: [positions][channels / 2][2], frequencies 10000^(-2p / channels) with the axis'
 * own denominator. Returns the end of the table. */
static float *rope_axis(float *table, int64_t positions, int64_t pairs)
{
    for (int64_t position = 0; position < positions; position++)
        for (int64_t p = 0; p < pairs; p++) {
            double angle = (double)position * pow(10000.0, -(double)p / (double)pairs);
            *table++ = (float)cos(angle);
            *table++ = (float)sin(angle);
        }
    return table;
}

static void rope_make(struct reel_dit *dit)
{
    const struct reel_workload *work = &dit->plan->work;
    int64_t pairs = reel_model_head_channels(&dit->plan->model) / 2, third = pairs / 3;
    float *frame = dit->arena->at[REEL_ROPE];
    float *row = rope_axis(frame, work->window_frames, pairs - 2 * third);
    float *column = rope_axis(row, work->H, third);
    rope_axis(column, work->W, third);
    dit->rope = (struct reel_rope){.frame = frame,
                                   .row = row,
                                   .column = column,
                                   .frame_pairs = pairs - 2 * third,
                                   .row_pairs = third,
                                   .column_pairs = third,
                                   .H = work->H,
                                   .W = work->W};
}

void reel_dit_open(struct reel_dit *dit, const struct reel_plan *plan, const struct reel_arena *arena,
                   const struct reel_weights *weights, const struct reel_embedding_table *embedding,
                   struct reel_axis *axis, struct reel_stream *stream)
{
    *dit = (struct reel_dit){.plan = plan,
                             .arena = arena,
                             .weights = weights,
                             .embedding = embedding,
                             .axis = axis,
                             .stream = stream};
    rope_make(dit);
}

/* This rank's tokens. */
static int64_t local(const struct reel_dit *dit)
{
    return reel_cut_count(&dit->tokens, dit->axis->rank);
}

static const float *weight(const struct reel_dit *dit, enum reel_tensor tensor, int64_t layer)
{
    return reel_weight(dit->weights, tensor, layer);
}

/* y = x W^T + b for this rank's tokens; the bias follows the weight in the list of tensors. */
static void linear(const struct reel_dit *dit, enum reel_tensor tensor, int64_t layer, int64_t in,
                   int64_t out, const float *x, enum reel_activation activation, float *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = local(dit),
                                              .in = in,
                                              .out = out,
                                              .x = x,
                                              .weight = weight(dit, tensor, layer),
                                              .bias = weight(dit, tensor + 1, layer),
                                              .activation = activation,
                                              .y = y});
}

/* normed = LN(x) (1 + scale) + shift, where m[which] and m[which + 1] are shift and scale of the token's
 * frame. */
static void modulate(const struct reel_dit *dit, int64_t layer, int64_t which)
{
    int64_t D = dit->plan->model.width;
    const float *own = weight(dit, REEL_MODULATION, layer);
    reel_modulate(dit->stream, (struct reel_modulate){.rows = local(dit),
                                                      .width = D,
                                                      .x = dit->arena->at[REEL_TOKENS_X],
                                                      .epsilon = dit->plan->model.epsilon,
                                                      .shift = own + which * D,
                                                      .scale = own + (which + 1) * D,
                                                      .embedding = dit->e0,
                                                      .shift_at = which * D,
                                                      .scale_at = (which + 1) * D,
                                                      .y = dit->arena->at[REEL_TOKENS_NORMED]});
}

/* x += projected * m[which]. */
static void add_gated(const struct reel_dit *dit, int64_t layer, int64_t which)
{
    int64_t D = dit->plan->model.width;
    reel_gated_add(dit->stream,
                   (struct reel_gated_add){.rows = local(dit),
                                           .width = D,
                                           .x = dit->arena->at[REEL_TOKENS_X],
                                           .y = dit->arena->at[REEL_TOKENS_PROJECTED],
                                           .gate = weight(dit, REEL_MODULATION, layer) + which * D,
                                           .embedding = dit->e0,
                                           .gate_at = which * D});
}

/* Tokens cut, all heads -> heads cut, all tokens: what has just been projected is normed, rotated, laid out
 * by heads and exchanged. out is [L, heads of this rank * C]. Collective over the sequence axis. */
static void tokens_to_heads(struct reel_dit *dit, const float *norm, int rotated, float *out)
{
    const struct reel_plan *plan = dit->plan;
    int64_t n = local(dit), C = reel_model_head_channels(&plan->model), me = dit->axis->rank,
            parts = dit->axis->size;
    float *by_part = parts > 1 ? dit->arena->at[REEL_TOKENS_BY_PART] : out;
    dit->rope.first_token = dit->tokens.first[me];
    reel_split_heads(dit->stream, (struct reel_split_heads){.rows = n,
                                                            .heads = plan->model.heads,
                                                            .channels = C,
                                                            .x = dit->arena->at[REEL_TOKENS_PROJECTED],
                                                            .norm = norm,
                                                            .epsilon = plan->model.epsilon,
                                                            .rope = rotated ? &dit->rope : NULL,
                                                            .parts = parts,
                                                            .first_head = plan->heads.first,
                                                            .y = by_part});
    if (parts == 1)
        return;
    int64_t send[REEL_PARTS_MAX], receive[REEL_PARTS_MAX];
    for (int64_t p = 0; p < parts; p++) {
        send[p] = n * reel_cut_count(&plan->heads, p) * C;
        receive[p] = reel_cut_count(&dit->tokens, p) * reel_cut_count(&plan->heads, me) * C;
    }
    reel_exchange(dit->axis, dit->stream, REEL_SENT_HEADS, by_part, send, out, receive);
}

/* The way back: HEADS_OUT, all tokens of this rank's heads -> NORMED, all heads of this rank's tokens. */
static void heads_to_tokens(struct reel_dit *dit)
{
    const struct reel_plan *plan = dit->plan;
    int64_t n = local(dit), C = reel_model_head_channels(&plan->model), me = dit->axis->rank,
            parts = dit->axis->size;
    const float *by_part = dit->arena->at[REEL_HEADS_OUT];
    if (parts > 1) {
        int64_t send[REEL_PARTS_MAX], receive[REEL_PARTS_MAX];
        for (int64_t p = 0; p < parts; p++) {
            send[p] = reel_cut_count(&dit->tokens, p) * reel_cut_count(&plan->heads, me) * C;
            receive[p] = n * reel_cut_count(&plan->heads, p) * C;
        }
        reel_exchange(dit->axis, dit->stream, REEL_SENT_TOKENS, by_part, send,
                      dit->arena->at[REEL_TOKENS_BY_PART], receive);
        by_part = dit->arena->at[REEL_TOKENS_BY_PART];
    }
    reel_merge_heads(dit->stream, (struct reel_merge_heads){.rows = n,
                                                            .heads = plan->model.heads,
                                                            .channels = C,
                                                            .parts = parts,
                                                            .first_head = plan->heads.first,
                                                            .x = by_part,
                                                            .y = dit->arena->at[REEL_TOKENS_NORMED]});
}

/* Attention of this rank's heads over the sequence. A causal block of frames sees itself and what lies before
 * it, so its keys are a range and nothing of size L x L exists. */
static void attend(struct reel_dit *dit)
{
    const struct reel_plan *plan = dit->plan;
    int64_t heads = reel_cut_count(&plan->heads, dit->axis->rank), C = reel_model_head_channels(&plan->model);
    int64_t L = reel_cut_total(&dit->tokens), frame = plan->work.H * plan->work.W;
    int64_t step = dit->causal_block > 0 ? dit->causal_block * frame : L, width = heads * C;
    const float *q = dit->arena->at[REEL_HEADS_Q];
    float *out = dit->arena->at[REEL_HEADS_OUT];
    for (int64_t first = 0; first < L; first += step)
        reel_attention(dit->stream, (struct reel_attention){.queries = step,
                                                            .keys = first + step,
                                                            .heads = heads,
                                                            .channels = C,
                                                            .scale = 1.0 / sqrt((double)C),
                                                            .q = q + first * width,
                                                            .q_stride = width,
                                                            .k = dit->arena->at[REEL_HEADS_K],
                                                            .v = dit->arena->at[REEL_HEADS_V],
                                                            .kv_stride = width,
                                                            .out = out + first * width,
                                                            .out_stride = width});
}

/* x += SA(LN(x) (1 + m1) + m0) m2. Collective over the sequence axis. */
static void self_attention(struct reel_dit *dit, int64_t layer)
{
    int64_t D = dit->plan->model.width;
    float *normed = dit->arena->at[REEL_TOKENS_NORMED], *projected = dit->arena->at[REEL_TOKENS_PROJECTED];
    modulate(dit, layer, 0);
    linear(dit, REEL_SELF_Q_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    tokens_to_heads(dit, weight(dit, REEL_SELF_NORM_Q, layer), 1, dit->arena->at[REEL_HEADS_Q]);
    linear(dit, REEL_SELF_K_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    tokens_to_heads(dit, weight(dit, REEL_SELF_NORM_K, layer), 1, dit->arena->at[REEL_HEADS_K]);
    linear(dit, REEL_SELF_V_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    tokens_to_heads(dit, NULL, 0, dit->arena->at[REEL_HEADS_V]);
    attend(dit);
    heads_to_tokens(dit);
    linear(dit, REEL_SELF_O_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    add_gated(dit, layer, 2);
}

/* Attention of all heads of this rank's tokens, in PROJECTED, to rows of context; into NORMED, added for the
 * image. */
static void attend_to(const struct reel_dit *dit, int64_t rows, const float *keys, int add)
{
    const struct reel_model *m = &dit->plan->model;
    reel_attention(dit->stream,
                   (struct reel_attention){.queries = local(dit),
                                           .keys = rows,
                                           .heads = m->heads,
                                           .channels = reel_model_head_channels(m),
                                           .scale = 1.0 / sqrt((double)reel_model_head_channels(m)),
                                           .q = dit->arena->at[REEL_TOKENS_PROJECTED],
                                           .q_stride = m->width,
                                           .k = keys,
                                           .v = keys + rows * m->width,
                                           .kv_stride = m->width,
                                           .out = dit->arena->at[REEL_TOKENS_NORMED],
                                           .out_stride = m->width,
                                           .add = add});
}

/* x += CA(LNaffine(x)): no gate, no modulation, no mask; padding of the text is attended. */
static void cross_attention(struct reel_dit *dit, int64_t layer, int64_t branch)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t D = m->width, first_head[] = {0, m->heads}, n = local(dit);
    float *x = dit->arena->at[REEL_TOKENS_X], *normed = dit->arena->at[REEL_TOKENS_NORMED];
    float *projected = dit->arena->at[REEL_TOKENS_PROJECTED];
    const float *text = dit->arena->at[REEL_CONTEXT_TEXT], *image = dit->arena->at[REEL_CONTEXT_IMAGE];
    reel_layer_norm(dit->stream,
                    (struct reel_layer_norm){.rows = n,
                                             .width = D,
                                             .x = x,
                                             .weight = weight(dit, REEL_CROSS_NORM_WEIGHT, layer),
                                             .bias = weight(dit, REEL_CROSS_NORM_BIAS, layer),
                                             .epsilon = m->epsilon,
                                             .y = normed});
    linear(dit, REEL_CROSS_Q_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    reel_split_heads(dit->stream, (struct reel_split_heads){.rows = n,
                                                            .heads = m->heads,
                                                            .channels = reel_model_head_channels(m),
                                                            .x = projected,
                                                            .norm = weight(dit, REEL_CROSS_NORM_Q, layer),
                                                            .epsilon = m->epsilon,
                                                            .parts = 1,
                                                            .first_head = first_head,
                                                            .y = projected});
    attend_to(dit, m->text_rows, text + (branch * m->layers + layer) * 2 * m->text_rows * D, 0);
    if (image)
        attend_to(dit, m->image_rows, image + layer * 2 * m->image_rows * D, 1);
    linear(dit, REEL_CROSS_O_WEIGHT, layer, D, D, normed, REEL_IDENTITY, projected);
    reel_gated_add(dit->stream, (struct reel_gated_add){.rows = n, .width = D, .x = x, .y = projected});
}

/* x += FFN(LN(x) (1 + m4) + m3) m5. */
static void feed_forward(struct reel_dit *dit, int64_t layer)
{
    int64_t D = dit->plan->model.width, ffn = dit->plan->model.ffn;
    float *normed = dit->arena->at[REEL_TOKENS_NORMED], *hidden = dit->arena->at[REEL_TOKENS_HIDDEN];
    modulate(dit, layer, 3);
    linear(dit, REEL_FFN_IN_WEIGHT, layer, D, ffn, normed, REEL_GELU_TANH, hidden);
    linear(dit, REEL_FFN_OUT_WEIGHT, layer, ffn, D, hidden, REEL_IDENTITY,
           dit->arena->at[REEL_TOKENS_PROJECTED]);
    add_gated(dit, layer, 5);
}

/* The tokens of this rank and the embedding row that each uses. */
static void begin(struct reel_dit *dit, const struct reel_forward *forward)
{
    const struct reel_embedding_table *embedding = dit->embedding;
    int64_t D = dit->plan->model.width, frame = dit->plan->work.H * dit->plan->work.W;
    int32_t *of_token = dit->arena->at[REEL_ROW_OF_TOKEN];
    dit->frames = forward->frames;
    dit->causal_block = forward->causal_block;
    dit->tokens = reel_plan_tokens(dit->plan, forward->frames);
    for (int64_t t = 0; t < local(dit); t++) {
        int64_t f = (dit->tokens.first[dit->axis->rank] + t) / frame;
        of_token[t] = embedding->row_of[forward->timesteps[f]];
    }
    dit->e = (struct reel_rows){.table = embedding->e, .stride = D, .of_token = of_token};
    dit->e0 = (struct reel_rows){.table = embedding->e0, .stride = 6 * D, .of_token = of_token};
}

/* x = the linear map of every 2x2 patch. */
static void patch_embedding(struct reel_dit *dit, const float *input)
{
    const struct reel_model *m = &dit->plan->model;
    float *columns = dit->arena->at[REEL_TOKENS_COLUMNS];
    reel_patchify(dit->stream, (struct reel_patchify){.tokens = local(dit),
                                                      .first_token = dit->tokens.first[dit->axis->rank],
                                                      .F = dit->frames,
                                                      .H = dit->plan->work.H,
                                                      .W = dit->plan->work.W,
                                                      .channels = m->in_channels,
                                                      .latents = input,
                                                      .columns = columns});
    linear(dit, REEL_PATCH_WEIGHT, 0, 4 * m->in_channels, m->width, columns, REEL_IDENTITY,
           dit->arena->at[REEL_TOKENS_X]);
}

/* velocity = Wh (LN(x) (1 + M1 + e) + M0 + e) + bh, of all ranks' tokens on every rank. Collective over the
 * sequence axis. */
static void head(struct reel_dit *dit, float *velocity)
{
    const struct reel_model *m = &dit->plan->model;
    const float *own = weight(dit, REEL_HEAD_MODULATION, 0);
    float *normed = dit->arena->at[REEL_TOKENS_NORMED], *out = dit->arena->at[REEL_TOKENS_OUT];
    float *all = dit->arena->at[REEL_OUTPUT_GATHERED];
    reel_modulate(dit->stream, (struct reel_modulate){.rows = local(dit),
                                                      .width = m->width,
                                                      .x = dit->arena->at[REEL_TOKENS_X],
                                                      .epsilon = m->epsilon,
                                                      .shift = own,
                                                      .scale = own + m->width,
                                                      .embedding = dit->e,
                                                      .y = normed});
    linear(dit, REEL_HEAD_WEIGHT, 0, m->width, 4 * m->out_channels, normed, REEL_IDENTITY, out);
    reel_gather(dit->axis, dit->stream, REEL_SENT_OUTPUT, &dit->tokens, 4 * m->out_channels, out, all);
    reel_unpatchify(dit->stream, (struct reel_unpatchify){.F = dit->frames,
                                                          .H = dit->plan->work.H,
                                                          .W = dit->plan->work.W,
                                                          .channels = m->out_channels,
                                                          .tokens = all,
                                                          .velocity = velocity});
}

static void watch(const struct reel_dit *dit, const char *what, int64_t layer)
{
    if (dit->watch.see)
        dit->watch.see(dit->watch.context, what, layer, dit->arena->at[REEL_TOKENS_X], local(dit),
                       dit->plan->model.width);
}

void reel_dit_forward(struct reel_dit *dit, const struct reel_forward *forward)
{
    begin(dit, forward);
    patch_embedding(dit, forward->input);
    watch(dit, "tokens", 0);
    for (int64_t layer = 0; layer < dit->plan->model.layers; layer++) {
        self_attention(dit, layer);
        cross_attention(dit, layer, forward->branch);
        feed_forward(dit, layer);
        watch(dit, "block", layer);
    }
    head(dit, forward->velocity);
}
