/* The forward pass, block by block. */
#include "dit.h"

#include "span.h"

#include <math.h>
#include <string.h>

/* Fills the RoPE table of one axis: [positions][pairs][2], cosine and sine of angles
 * position 10000^(-p / pairs). Returns the end of the table. */
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
    float *made = dit->arena->at[REEL_HOST_WORK], *frame = dit->arena->at[REEL_ROPE];
    float *rows = rope_axis(made, work->window_frames, pairs - 2 * third);
    float *columns = rope_axis(rows, work->H, third), *end = rope_axis(columns, work->W, third);
    reel_upload(dit->stream, frame, made, (end - made) * (int64_t)sizeof *made);
    dit->rope = (struct reel_rope){.frame = frame,
                                   .row = frame + (rows - made),
                                   .column = frame + (columns - made),
                                   .frame_pairs = pairs - 2 * third,
                                   .row_pairs = third,
                                   .column_pairs = third,
                                   .H = work->H,
                                   .W = work->W};
}

void reel_dit_open(struct reel_dit *dit, const struct reel_plan *plan, const struct reel_arena *arena,
                   const struct reel_weights *weights, const struct reel_time_embedding *embedding,
                   struct reel_comm *comm, struct reel_stream *stream)
{
    struct reel_cut inner = reel_plan_inner(plan);
    *dit = (struct reel_dit){.columns = reel_plan_tensor_heads(plan, comm->coords).count *
                                        reel_model_head_channels(&plan->model),
                             .inner = reel_cut_count(&inner, comm->tensor.rank),
                             .plan = plan,
                             .arena = arena,
                             .weights = weights,
                             .embedding = embedding,
                             .comm = comm,
                             .stream = stream,
                             .dtype = plan->work.dtype};
    reel_block_weights_open(&dit->block_weights, plan, weights, arena->at[REEL_WEIGHTS_BLOCKS], &comm->blocks,
                            stream);
    reel_tensor_parallel_open(&dit->tensor_parallel, plan, arena->at[REEL_EXCHANGE_TENSOR],
                              arena->at[REEL_EXCHANGE_SQUARES], &comm->tensor, stream);
    reel_sequence_parallel_open(&dit->sequence, plan, arena, comm, stream);
    rope_make(dit);
}

void reel_dit_close(struct reel_dit *dit)
{
    reel_sequence_parallel_close(&dit->sequence);
    reel_tensor_parallel_close(&dit->tensor_parallel);
    reel_block_weights_close(&dit->block_weights);
    memset(dit, 0, sizeof *dit);
}

/* The number of this rank's tokens. */
static int64_t local_tokens(const struct reel_dit *dit)
{
    return dit->sequence.own.count;
}

static const void *weight(const struct reel_dit *dit, enum reel_tensor tensor)
{
    return reel_block_weight(&dit->block_weights, tensor);
}

/* This rank's columns of a column parallel layer. */
static struct reel_column_layer columns_of(const struct reel_dit *dit, enum reel_tensor tensor, int64_t out,
                                           void *y)
{
    return (struct reel_column_layer){.weight = weight(dit, tensor),
                                      .bias = reel_block_bias(&dit->block_weights, tensor),
                                      .weight_scale = reel_block_scale(&dit->block_weights, tensor),
                                      .out = out,
                                      .y = y};
}

/* NORMED = x W^T + b, row parallel over the tensor axis; x [g, in] has this rank's inputs. */
static void rows_of(struct reel_dit *dit, enum reel_tensor tensor, int64_t in, const void *x)
{
    struct reel_row_layer layer = {.weight = weight(dit, tensor),
                                   .bias = reel_block_bias(&dit->block_weights, tensor),
                                   .weight_scale = reel_block_scale(&dit->block_weights, tensor),
                                   .in = in};
    reel_row_parallel(&dit->tensor_parallel, &layer, x, dit->arena->at[REEL_TOKENS_NORMED]);
}

/* A linear layer whose weight every rank holds whole, for this rank's tokens; the output is float. */
static void whole_layer(const struct reel_dit *dit, enum reel_tensor tensor, int64_t in, int64_t out,
                        const void *x, float *y)
{
    reel_gemm(dit->stream, (struct reel_gemm){.rows = local_tokens(dit),
                                              .in = in,
                                              .out = out,
                                              .dtype = dit->dtype,
                                              .weight_dtype = dit->dtype,
                                              .y_dtype = REEL_F32,
                                              .x = x,
                                              .weight = reel_weight(dit->weights, tensor),
                                              .bias = reel_bias(dit->weights, tensor),
                                              .y = y});
}

/* Row `which` of a table [rows, D] of the plan's dtype. */
static const void *row_at(const struct reel_dit *dit, const void *table, int64_t which)
{
    return (const char *)table + which * dit->plan->model.width * reel_dtype_bytes(dit->dtype);
}

/* NORMED = LN(x) (1 + scale) + shift, where shift and scale are rows m[which] and m[which + 1] of the
 * modulation of the token's frame: the block's own rows plus e0. */
static void modulate_tokens(const struct reel_dit *dit, const float *x, int64_t which)
{
    int64_t D = dit->plan->model.width;
    const void *own = weight(dit, REEL_MODULATION);
    reel_modulate(dit->stream, (struct reel_modulate){.rows = local_tokens(dit),
                                                      .width = D,
                                                      .dtype = dit->dtype,
                                                      .x = x,
                                                      .epsilon = dit->plan->model.epsilon,
                                                      .shift = row_at(dit, own, which),
                                                      .scale = row_at(dit, own, which + 1),
                                                      .embedding = dit->e0,
                                                      .shift_at = which * D,
                                                      .scale_at = (which + 1) * D,
                                                      .y = dit->arena->at[REEL_TOKENS_NORMED]});
}

/* x += NORMED m[which]. */
static void add_gated(const struct reel_dit *dit, float *x, int64_t which)
{
    int64_t D = dit->plan->model.width;
    reel_gated_add(dit->stream,
                   (struct reel_gated_add){.rows = local_tokens(dit),
                                           .width = D,
                                           .dtype = dit->dtype,
                                           .x = x,
                                           .y = dit->arena->at[REEL_TOKENS_NORMED],
                                           .gate = row_at(dit, weight(dit, REEL_MODULATION), which),
                                           .embedding = dit->e0,
                                           .gate_at = which * D});
}

/* x += SA(LN(x) (1 + m1) + m0) m2. */
static void self_attention(struct reel_dit *dit, float *x)
{
    int64_t columns = dit->columns, group = dit->sequence.group.count;
    void *q = dit->arena->at[REEL_HEADS_Q], *k = dit->arena->at[REEL_HEADS_K],
         *v = dit->arena->at[REEL_HEADS_V];
    const struct reel_column_layer layers[] = {columns_of(dit, REEL_SELF_Q_WEIGHT, columns, q),
                                               columns_of(dit, REEL_SELF_K_WEIGHT, columns, k),
                                               columns_of(dit, REEL_SELF_V_WEIGHT, columns, v)};
    const enum reel_tensor norms[] = {REEL_SELF_NORM_Q, REEL_SELF_NORM_K};
    /* On a tensor axis of several ranks, tokens are gathered once for all three layers. */
    int64_t together = dit->comm->tensor.size > 1 ? 3 : 1;
    modulate_tokens(dit, x, 0);
    for (int i = 0; i < 3; i++) { /* the alltoall of one overlaps with the next projection */
        void *y = layers[i].y;
        if (i % together == 0)
            reel_column_parallel(&dit->tensor_parallel, dit->arena->at[REEL_TOKENS_NORMED], &layers[i],
                                 together);
        if (i < 2)
            reel_sequence_parallel_to_heads(
                &dit->sequence, y, weight(dit, norms[i]),
                reel_tensor_parallel_squares(&dit->tensor_parallel, y, group, columns), &dit->rope);
        else
            reel_sequence_parallel_to_heads(&dit->sequence, y, NULL, NULL, NULL);
    }
    reel_sequence_parallel_attend(&dit->sequence);
    rows_of(dit, REEL_SELF_O_WEIGHT, columns, reel_sequence_parallel_to_tokens(&dit->sequence));
    add_gated(dit, x, 2);
}

/* Attention of HEADS_Q, the group's tokens with the heads of this part of the tensor axis, to `rows` keys of
 * context. The result goes to HEADS_OUT; it is added there if add is 1, as for the image. */
static void attend_context(const struct reel_dit *dit, int64_t rows, const void *keys, int add)
{
    int64_t C = reel_model_head_channels(&dit->plan->model), columns = dit->columns;
    reel_attention(dit->stream, (struct reel_attention){.queries = dit->sequence.group.count,
                                                        .keys = rows,
                                                        .heads = columns / C,
                                                        .channels = C,
                                                        .scale = 1.0 / sqrt((double)C),
                                                        .dtype = dit->dtype,
                                                        .q = dit->arena->at[REEL_HEADS_Q],
                                                        .q_stride = columns,
                                                        .k = keys,
                                                        .v = reel_dit_values(dit, keys, rows),
                                                        .kv_stride = columns,
                                                        .out = dit->arena->at[REEL_HEADS_OUT],
                                                        .out_stride = columns,
                                                        .add = add});
}

/* x += CA(LNaffine(x)), without gate, modulation or mask: padding of the text is attended to. */
static void cross_attention(struct reel_dit *dit, float *x, int64_t layer, int64_t branch)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t columns = dit->columns, group = dit->sequence.group.count, C = reel_model_head_channels(m);
    int64_t first_head[] = {0, columns / C};
    void *normed = dit->arena->at[REEL_TOKENS_NORMED], *q = dit->arena->at[REEL_HEADS_Q];
    const struct reel_column_layer query = columns_of(dit, REEL_CROSS_Q_WEIGHT, columns, q);
    reel_layer_norm(dit->stream, (struct reel_layer_norm){.rows = local_tokens(dit),
                                                          .width = m->width,
                                                          .dtype = dit->dtype,
                                                          .x = x,
                                                          .weight = weight(dit, REEL_CROSS_NORM_WEIGHT),
                                                          .bias = weight(dit, REEL_CROSS_NORM_BIAS),
                                                          .epsilon = m->epsilon,
                                                          .y = normed});
    reel_column_parallel(&dit->tensor_parallel, normed, &query, 1);
    reel_split_heads(dit->stream, (struct reel_split_heads){.rows = group,
                                                            .heads = columns / C,
                                                            .channels = C,
                                                            .dtype = dit->dtype,
                                                            .x = q,
                                                            .norm = weight(dit, REEL_CROSS_NORM_Q),
                                                            .epsilon = m->epsilon,
                                                            .squares = reel_tensor_parallel_squares(
                                                                &dit->tensor_parallel, q, group, columns),
                                                            .square_parts = dit->comm->tensor.size,
                                                            .norm_width = m->width,
                                                            .parts = 1,
                                                            .first_head = first_head,
                                                            .y = q});
    attend_context(dit, m->text_rows, reel_dit_text(dit, branch, layer), 0);
    if (dit->arena->at[REEL_CONTEXT_IMAGE])
        attend_context(dit, m->image_rows, reel_dit_image_keys(dit, layer), 1);
    rows_of(dit, REEL_CROSS_O_WEIGHT, columns, dit->arena->at[REEL_HEADS_OUT]);
    reel_gated_add(
        dit->stream,
        (struct reel_gated_add){
            .rows = local_tokens(dit), .width = m->width, .dtype = dit->dtype, .x = x, .y = normed});
}

/* x += FFN(LN(x) (1 + m4) + m3) m5. */
static void feed_forward(struct reel_dit *dit, float *x)
{
    void *hidden = dit->arena->at[REEL_TOKENS_HIDDEN];
    struct reel_column_layer in = columns_of(dit, REEL_FFN_IN_WEIGHT, dit->inner, hidden);
    in.activation = REEL_GELU_TANH;
    modulate_tokens(dit, x, 3);
    reel_column_parallel(&dit->tensor_parallel, dit->arena->at[REEL_TOKENS_NORMED], &in, 1);
    rows_of(dit, REEL_FFN_OUT_WEIGHT, dit->inner, hidden);
    add_gated(dit, x, 5);
}

/* The rows of a table for this rank's tokens: by index, or expanded into y, a row a token, unless y is
 * NULL. */
static struct reel_rows rows_for_tokens(const struct reel_dit *dit, const float *table, int64_t width,
                                        float *y)
{
    struct reel_rows rows = {.table = table, .stride = width, .of_token = dit->arena->at[REEL_ROW_OF_TOKEN]};
    if (!y)
        return rows;
    reel_expand(dit->stream,
                (struct reel_expand){.rows = local_tokens(dit), .width = width, .embedding = rows, .y = y});
    return (struct reel_rows){.table = y, .stride = width};
}

void reel_dit_begin(struct reel_dit *dit, const struct reel_dit_inputs *inputs)
{
    const struct reel_time_embedding *embedding = dit->embedding;
    int64_t D = dit->plan->model.width, frame = inputs->per_token ? 1 : dit->plan->work.H * dit->plan->work.W;
    int32_t *of_token = dit->arena->at[REEL_HOST_WORK];
    dit->inputs = *inputs;
    reel_sequence_parallel_frames(&dit->sequence, inputs->frames);
    reel_tensor_parallel_tokens(&dit->tensor_parallel, dit->plan, &dit->sequence.tokens, dit->comm->coords);
    for (int64_t t = 0; t < local_tokens(dit); t++)
        of_token[t] = embedding->table->row_of[inputs->timesteps[(dit->sequence.own.first + t) / frame]];
    reel_upload(dit->stream, dit->arena->at[REEL_ROW_OF_TOKEN], of_token,
                local_tokens(dit) * (int64_t)sizeof *of_token);
    dit->e = rows_for_tokens(dit, embedding->e, D, dit->arena->at[REEL_EXPANDED_E]);
    dit->e0 = rows_for_tokens(dit, embedding->e0, 6 * D, dit->arena->at[REEL_EXPANDED_E0]);
}

void reel_dit_measure(struct reel_dit *dit)
{
    double *all = dit->arena->at[REEL_EXCHANGE_DISTANCES], *mine = all + 2 * dit->sequence.own.first;
    int64_t rows = dit->plan->work.signal_rows;
    reel_distances(dit->stream, (struct reel_distances){.rows = local_tokens(dit),
                                                        .width = rows * dit->plan->model.width,
                                                        .x = rows == 1 ? dit->e.table : dit->e0.table,
                                                        .previous = dit->arena->at[REEL_TEACACHE_PREVIOUS],
                                                        .difference = mine,
                                                        .magnitude = mine + 1,
                                                        .stride = 2});
    reel_allgather(&dit->comm->sequence, dit->stream, REEL_TRAFFIC_DISTANCES, &dit->sequence.tokens,
                   2 * (int64_t)sizeof *mine, mine, all);
}

double reel_dit_distance(struct reel_dit *dit, const uint8_t *counts)
{
    int64_t frame = dit->plan->work.H * dit->plan->work.W, tokens = dit->inputs.frames * frame;
    double difference = 0, magnitude = 0, *found = dit->arena->at[REEL_HOST_WORK];
    reel_download(dit->stream, found, dit->arena->at[REEL_EXCHANGE_DISTANCES],
                  2 * tokens * (int64_t)sizeof *found);
    for (int64_t t = 0; t < tokens; t++)
        if (!counts || counts[t / frame]) {
            difference += found[2 * t];
            magnitude += found[2 * t + 1];
        }
    return difference / magnitude;
}

/* x = the linear map of every patch of the input. */
static void patch_embedding(struct reel_dit *dit, float *x)
{
    const struct reel_model *m = &dit->plan->model;
    void *columns = dit->arena->at[REEL_TOKENS_COLUMNS];
    struct reel_span part = reel_part_begin(dit->stream, "patch embedding");
    reel_patchify(dit->stream, (struct reel_patchify){.tokens = local_tokens(dit),
                                                      .first_token = dit->sequence.own.first,
                                                      .F = dit->inputs.frames,
                                                      .H = dit->plan->work.H,
                                                      .W = dit->plan->work.W,
                                                      .channels = m->in_channels,
                                                      .patch = m->patch,
                                                      .dtype = dit->dtype,
                                                      .latents = dit->inputs.input,
                                                      .columns = columns});
    whole_layer(dit, REEL_PATCH_WEIGHT, reel_model_patch_latents(m) * m->in_channels, m->width, columns, x);
    reel_part_end(dit->stream, part);
}

/* velocity = Wh (LN(x) (1 + M1 + e) + M0 + e) + bh, gathered from all ranks, whole on every rank. */
static void head(struct reel_dit *dit, const float *x, float *velocity)
{
    const struct reel_model *m = &dit->plan->model;
    int64_t width = reel_model_patch_latents(m) * m->out_channels;
    const void *own = reel_weight(dit->weights, REEL_HEAD_MODULATION);
    void *normed = dit->arena->at[REEL_TOKENS_NORMED];
    float *out = dit->arena->at[REEL_TOKENS_OUT], *all = dit->arena->at[REEL_EXCHANGE_OUTPUT];
    struct reel_span part = reel_part_begin(dit->stream, "head");
    reel_modulate(dit->stream, (struct reel_modulate){.rows = local_tokens(dit),
                                                      .width = m->width,
                                                      .dtype = dit->dtype,
                                                      .x = x,
                                                      .epsilon = m->epsilon,
                                                      .shift = own,
                                                      .scale = row_at(dit, own, 1),
                                                      .embedding = dit->e,
                                                      .y = normed});
    whole_layer(dit, REEL_HEAD_WEIGHT, m->width, width, normed, out);
    reel_allgather(&dit->comm->sequence, dit->stream, REEL_TRAFFIC_OUTPUT, &dit->sequence.tokens,
                   width * (int64_t)sizeof *out, out, all);
    reel_unpatchify(dit->stream, (struct reel_unpatchify){.F = dit->inputs.frames,
                                                          .H = dit->plan->work.H,
                                                          .W = dit->plan->work.W,
                                                          .channels = m->out_channels,
                                                          .patch = m->patch,
                                                          .tokens = all,
                                                          .velocity = velocity});
    reel_part_end(dit->stream, part);
}

static void call_hook(const struct reel_dit *dit, const char *what, int64_t layer, const float *x)
{
    if (dit->hook.see)
        dit->hook.see(dit->hook.context, what, layer, x, local_tokens(dit), dit->plan->model.width);
}

/* The residual stream x of one of the calls that pass through a block together. */
static float *stream_of(const struct reel_dit *dit, int64_t call)
{
    return (float *)dit->arena->at[REEL_TOKENS_X] + call * local_tokens(dit) * dit->plan->model.width;
}

/* The residual of a branch: what the blocks added to its tokens in the last call that ran them. */
static void *residual_of(const struct reel_dit *dit, int64_t branch)
{
    char *all = dit->arena->at[REEL_TEACACHE_RESIDUAL];
    return all + branch * local_tokens(dit) * dit->plan->model.width *
                     reel_dtype_bytes(dit->plan->work.residual_dtype);
}

/* x += the residual of the branch, in place of the blocks. */
static void skip_blocks(const struct reel_dit *dit, int64_t branch, float *x)
{
    struct reel_span part = reel_part_begin(dit->stream, "teacache skip");
    reel_add_residual(dit->stream,
                      (struct reel_add_residual){.count = local_tokens(dit) * dit->plan->model.width,
                                                 .dtype = dit->plan->work.residual_dtype,
                                                 .residual = residual_of(dit, branch),
                                                 .x = x});
    reel_part_end(dit->stream, part);
}

/* Keeps the residual: what the blocks have added to x. The tokens before the blocks are computed again, in
 * the buffer of the feed-forward, which is free now. That costs less than keeping them. */
static void keep_residual(struct reel_dit *dit, int64_t branch, const float *x)
{
    float *before = dit->arena->at[REEL_TOKENS_HIDDEN];
    struct reel_span part = reel_part_begin(dit->stream, "keep residual");
    patch_embedding(dit, before);
    reel_keep_residual(dit->stream,
                       (struct reel_keep_residual){.count = local_tokens(dit) * dit->plan->model.width,
                                                   .dtype = dit->plan->work.residual_dtype,
                                                   .after = x,
                                                   .before = before,
                                                   .residual = residual_of(dit, branch)});
    reel_part_end(dit->stream, part);
}

/* Called before a block: 1 to end the iteration here, at the same block on all ranks. */
static int check_cancelled(struct reel_dit *dit)
{
    int64_t done = dit->blocks_done++;
    const struct reel_cancel *cancel = &dit->inputs.cancel;
    dit->cancelled = cancel->requested && cancel->requested(cancel->context, done, dit->blocks_all);
    return dit->cancelled;
}

/* Runs the current block for one call. */
static void pass_block(struct reel_dit *dit, float *x, int64_t layer, int64_t branch)
{
    struct reel_span part = reel_part_begin(dit->stream, "self attention");
    self_attention(dit, x);
    reel_part_end(dit->stream, part);
    part = reel_part_begin(dit->stream, "cross attention");
    cross_attention(dit, x, layer, branch);
    reel_part_end(dit->stream, part);
    part = reel_part_begin(dit->stream, "feed forward");
    feed_forward(dit, x);
    reel_part_end(dit->stream, part);
    call_hook(dit, "block", layer, x);
}

/* Runs all blocks for calls that pass through each block together. */
static void run_blocks(struct reel_dit *dit, const struct reel_forward *forwards, int64_t count)
{
    struct reel_range all = {0, dit->weights->layout.block_bytes};
    reel_block_weights_begin(&dit->block_weights, all);
    for (int64_t layer = 0; layer < dit->plan->model.layers; layer++) {
        if (check_cancelled(dit)) {
            reel_block_weights_leave(&dit->block_weights);
            return;
        }
        reel_throttle(dit->stream);
        reel_block_weights_use(&dit->block_weights, layer);
        struct reel_span part = reel_part_begin(dit->stream, "block %lld", (long long)layer);
        for (int64_t i = 0; i < count; i++)
            pass_block(dit, stream_of(dit, i), layer, forwards[i].branch);
        reel_part_end(dit->stream, part);
    }
    for (int64_t i = 0; i < count && dit->plan->work.signal_rows > 0; i++)
        keep_residual(dit, forwards[i].branch, stream_of(dit, i));
}

/* Runs calls that pass through the blocks together. TeaCache skips all calls of an iteration or none. */
static void pass_calls(struct reel_dit *dit, const struct reel_forward *forwards, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        patch_embedding(dit, stream_of(dit, i));
        call_hook(dit, "tokens", 0, stream_of(dit, i));
    }
    if (!forwards[0].skipped)
        run_blocks(dit, forwards, count);
    for (int64_t i = 0; i < count && !dit->cancelled; i++) {
        if (forwards[i].skipped)
            skip_blocks(dit, forwards[i].branch, stream_of(dit, i));
        head(dit, stream_of(dit, i), forwards[i].velocity);
    }
}

int reel_dit_forward(struct reel_dit *dit, const struct reel_forward *forwards, int64_t count)
{
    int64_t together = reel_plan_together(dit->plan);
    dit->cancelled = 0;
    dit->blocks_done = 0;
    dit->blocks_all = (count + together - 1) / together * dit->plan->model.layers;
    for (int64_t first = 0; first < count && !dit->cancelled; first += together)
        pass_calls(dit, forwards + first, count - first < together ? count - first : together);
    return !dit->cancelled;
}
