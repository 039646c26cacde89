/* Operations that are bound by memory. */
#include "cases.h"

#include <stdio.h>

#define ISSUE(operation)                                                                                     \
    static void issue_##operation(struct reel_stream *stream, const void *arguments)                         \
    {                                                                                                        \
        reel_##operation(stream, *(const struct reel_##operation *)arguments);                               \
    }
ISSUE(layer_norm)
ISSUE(modulate)
ISSUE(gated_add)
ISSUE(rms_squares)
ISSUE(split_heads)
ISSUE(merge_heads)
ISSUE(patchify)
ISSUE(unpatchify)
ISSUE(guide)
ISSUE(solve)
ISSUE(silu)
ISSUE(sum_parts)
ISSUE(expand)
ISSUE(distances)
ISSUE(keep_residual)
ISSUE(add_residual)
ISSUE(add_row)
ISSUE(convert)
ISSUE(clear)
ISSUE(blend)
#undef ISSUE

enum { ROWS = 21, CHANNELS = 16 }; /* rows of the embedding's table; channels of the latents */

/* The work of moving `bytes` bytes for each of `count` elements. */
static struct measure_work moves(int64_t count, int64_t bytes)
{
    return (struct measure_work){.bytes = (double)(count * bytes)};
}

/* Rows of a table with `width` columns; the tokens of a frame use one row, frame after frame. */
static struct reel_rows rows_of(struct measure *measure, const struct cases_size *size, int64_t width)
{
    int64_t frame = size->H * size->W, bytes = size->tokens * (int64_t)sizeof(int32_t);
    int32_t *host = reel_allocate_host(measure->ops, bytes);
    void *of_token = measure_array(measure, REEL_F32, size->tokens);
    for (int64_t t = 0; t < size->tokens; t++)
        host[t] = (int32_t)(t / frame % ROWS);
    reel_upload(&measure->stream, of_token, host, bytes);
    reel_release_host(measure->ops, host, bytes);
    return (struct reel_rows){
        .table = measure_array(measure, REEL_F32, ROWS * width), .stride = width, .of_token = of_token};
}

static void norms(struct measure *m, const struct cases_size *s)
{
    const enum reel_dtype dtype = s->dtype;
    const int64_t b = reel_dtype_bytes(dtype);
    int64_t n = s->tokens, D = s->width;
    char name[80];
    if (cases_begin(m, s, "pass.layer-norm", name)) {
        struct reel_layer_norm a = {.rows = n,
                                    .width = D,
                                    .dtype = dtype,
                                    .x = measure_array(m, REEL_F32, n * D),
                                    .weight = measure_array(m, dtype, D),
                                    .bias = measure_array(m, dtype, D),
                                    .epsilon = 1e-6,
                                    .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_layer_norm, &a, moves(n * D, 4 + b));
    }
    if (cases_begin(m, s, "pass.modulate", name)) {
        struct reel_modulate a = {.rows = n,
                                  .width = D,
                                  .dtype = dtype,
                                  .x = measure_array(m, REEL_F32, n * D),
                                  .epsilon = 1e-6,
                                  .shift = measure_array(m, dtype, D),
                                  .scale = measure_array(m, dtype, D),
                                  .embedding = rows_of(m, s, 6 * D),
                                  .scale_at = D,
                                  .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_modulate, &a, moves(n * D, 4 + b));
    }
    if (cases_begin(m, s, "pass.gated-add", name)) {
        struct reel_gated_add a = {.rows = n,
                                   .width = D,
                                   .dtype = dtype,
                                   .x = measure_array(m, REEL_F32, n * D),
                                   .y = measure_array(m, dtype, n * D),
                                   .gate = measure_array(m, dtype, D),
                                   .embedding = rows_of(m, s, 6 * D),
                                   .gate_at = 2 * D};
        measure_operation(m, name, issue_gated_add, &a, moves(n * D, 4 + 4 + b));
    }
}

static struct reel_rope rope_of(struct measure *m, const struct cases_size *s)
{
    int64_t pairs = s->channels / 2, third = pairs / 3;
    return (struct reel_rope){.frame = measure_array(m, REEL_F32, s->F * (pairs - 2 * third) * 2),
                              .row = measure_array(m, REEL_F32, s->H * third * 2),
                              .column = measure_array(m, REEL_F32, s->W * third * 2),
                              .frame_pairs = pairs - 2 * third,
                              .row_pairs = third,
                              .column_pairs = third,
                              .H = s->H,
                              .W = s->W};
}

static void heads(struct measure *m, const struct cases_size *s)
{
    const enum reel_dtype dtype = s->dtype;
    const int64_t b = reel_dtype_bytes(dtype);
    const int64_t one[] = {0, s->heads},
                  four[] = {0, s->heads / 4, s->heads / 2, s->heads / 2 + s->heads / 4, s->heads};
    int64_t n = s->tokens, D = s->width;
    char name[80];
    if (cases_begin(m, s, "pass.rms-squares", name)) {
        struct reel_rms_squares a = {.rows = n,
                                     .width = D,
                                     .dtype = dtype,
                                     .x = measure_array(m, dtype, n * D),
                                     .sums = measure_array(m, REEL_F32, 2 * n)};
        measure_operation(m, name, issue_rms_squares, &a, moves(n * D, b));
    }
    for (int parts = 1; parts <= 4; parts += 3) {
        if (!cases_begin(m, s, parts == 1 ? "pass.norm-rope" : "pass.norm-rope-ulysses-4", name))
            continue;
        struct reel_rope rope = rope_of(m, s);
        void *x = measure_array(m, dtype, n * D);
        struct reel_split_heads a = {.rows = n,
                                     .heads = s->heads,
                                     .channels = s->channels,
                                     .dtype = dtype,
                                     .x = x,
                                     .norm = measure_array(m, dtype, D),
                                     .epsilon = 1e-6,
                                     .rope = &rope,
                                     .parts = parts,
                                     .first_head = parts == 1 ? one : four,
                                     .y = parts == 1 ? x : measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_split_heads, &a, moves(n * D, b + b));
    }
    if (cases_begin(m, s, "pass.merge-heads-ulysses-4", name)) {
        struct reel_merge_heads a = {.rows = n,
                                     .heads = s->heads,
                                     .channels = s->channels,
                                     .dtype = dtype,
                                     .parts = 4,
                                     .first_head = four,
                                     .x = measure_array(m, dtype, n * D),
                                     .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_merge_heads, &a, moves(n * D, b + b));
    }
}

/* What ranks of the tensor axis and skipped iterations do to tokens. */
static void sums(struct measure *m, const struct cases_size *s)
{
    const enum reel_dtype dtype = s->dtype;
    const int64_t b = reel_dtype_bytes(dtype);
    int64_t n = s->tokens, D = s->width;
    char name[80];
    if (cases_begin(m, s, "pass.sum-parts-2", name)) {
        struct reel_sum_parts a = {.rows = n,
                                   .width = D,
                                   .parts = 2,
                                   .part_stride = n * D,
                                   .dtype = dtype,
                                   .x = measure_array(m, dtype, 2 * n * D),
                                   .row = measure_array(m, dtype, D),
                                   .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_sum_parts, &a, moves(n * D, 3 * b));
    }
    if (cases_begin(m, s, "pass.add-row", name)) {
        struct reel_add_row a = {.rows = n,
                                 .width = D,
                                 .dtype = dtype,
                                 .row = measure_array(m, dtype, D),
                                 .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_add_row, &a, moves(n * D, b + b));
    }
    if (cases_begin(m, s, "pass.keep-residual", name)) {
        struct reel_keep_residual a = {.count = n * D,
                                       .dtype = dtype,
                                       .after = measure_array(m, REEL_F32, n * D),
                                       .before = measure_array(m, REEL_F32, n * D),
                                       .residual = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_keep_residual, &a, moves(n * D, 4 + 4 + b));
    }
    if (cases_begin(m, s, "pass.add-residual", name)) {
        struct reel_add_residual a = {.count = n * D,
                                      .dtype = dtype,
                                      .residual = measure_array(m, dtype, n * D),
                                      .x = measure_array(m, REEL_F32, n * D)};
        measure_operation(m, name, issue_add_residual, &a, moves(n * D, b + 4 + 4));
    }
    if (cases_begin(m, s, "pass.convert", name)) {
        struct reel_convert a = {.count = n * D,
                                 .dtype = dtype,
                                 .x = measure_array(m, REEL_F32, n * D),
                                 .y = measure_array(m, dtype, n * D)};
        measure_operation(m, name, issue_convert, &a, moves(n * D, 4 + b));
    }
    if (cases_begin(m, s, "pass.clear", name)) {
        struct reel_clear a = {.bytes = 4 * n * D, .to = measure_array(m, REEL_F32, n * D)};
        measure_operation(m, name, issue_clear, &a, moves(n * D, 4));
    }
}

/* The timestep embedding of every token. */
static void embeddings(struct measure *m, const struct cases_size *s)
{
    int64_t n = s->tokens, D = s->width;
    char name[80];
    if (cases_begin(m, s, "pass.expand-e0", name)) {
        struct reel_expand a = {.rows = n,
                                .width = 6 * D,
                                .embedding = rows_of(m, s, 6 * D),
                                .y = measure_array(m, REEL_F32, 6 * n * D)};
        measure_operation(m, name, issue_expand, &a, moves(n * 6 * D, 4));
    }
    if (cases_begin(m, s, "pass.distances-e", name)) {
        double *found = measure_array(m, REEL_F32, 4 * n);
        struct reel_distances a = {.rows = n,
                                   .width = D,
                                   .x = measure_array(m, REEL_F32, n * D),
                                   .previous = measure_array(m, REEL_F32, n * D),
                                   .difference = found,
                                   .magnitude = found + 1,
                                   .stride = 2};
        measure_operation(m, name, issue_distances, &a, moves(n * D, 4 + 4 + 4));
    }
    if (cases_begin(m, s, "pass.silu", name)) {
        struct reel_silu a = {
            .count = n * D, .x = measure_array(m, REEL_F32, n * D), .y = measure_array(m, REEL_F32, n * D)};
        measure_operation(m, name, issue_silu, &a, moves(n * D, 4 + 4));
    }
}

/* Latents of the whole window. Every rank has them; they are small, so they may lie in a cache. */
static void patches(struct measure *m, const struct cases_size *s)
{
    int64_t n = s->tokens, count = s->F * s->H * s->W * 4 * CHANNELS;
    char name[80];
    if (cases_begin(m, s, "latents.patchify", name)) {
        struct reel_patchify a = {.tokens = n,
                                  .F = s->F,
                                  .H = s->H,
                                  .W = s->W,
                                  .channels = CHANNELS,
                                  .patch = 2,
                                  .dtype = s->dtype,
                                  .latents = measure_array(m, REEL_F32, count),
                                  .columns = measure_array(m, s->dtype, n * 4 * CHANNELS)};
        measure_operation(m, name, issue_patchify, &a,
                          moves(n * 4 * CHANNELS, 4 + reel_dtype_bytes(s->dtype)));
    }
    if (cases_begin(m, s, "latents.unpatchify", name)) {
        struct reel_unpatchify a = {.F = s->F,
                                    .H = s->H,
                                    .W = s->W,
                                    .channels = CHANNELS,
                                    .patch = 2,
                                    .tokens = measure_array(m, REEL_F32, count),
                                    .velocity = measure_array(m, REEL_F32, count)};
        measure_operation(m, name, issue_unpatchify, &a, moves(count, 4 + 4));
    }
}

static void latents(struct measure *m, const struct cases_size *s)
{
    int64_t count = s->F * s->H * s->W * 4 * CHANNELS, plane = s->H * s->W * 4;
    char name[80];
    if (cases_begin(m, s, "latents.guide", name)) {
        struct reel_guide a = {.count = count,
                               .conditional = measure_array(m, REEL_F32, count),
                               .unconditional = measure_array(m, REEL_F32, count),
                               .scale = 6,
                               .out = measure_array(m, REEL_F32, count)};
        measure_operation(m, name, issue_guide, &a, moves(count, 4 + 4 + 4));
    }
    if (cases_begin(m, s, "latents.solve", name)) {
        struct reel_solve a = {.channels = CHANNELS,
                               .frames = s->F,
                               .plane = plane,
                               .v_frames = s->F,
                               .sigma = 0.5,
                               .corrects = 1,
                               .correct_last = 0.5,
                               .correct_0 = 0.25,
                               .correct_estimate = 0.25,
                               .predict_x = 0.5,
                               .predict_0 = 0.25,
                               .v = measure_array(m, REEL_F32, count),
                               .x = measure_array(m, REEL_F32, count),
                               .m0 = measure_array(m, REEL_F32, count),
                               .m1 = measure_array(m, REEL_F32, count),
                               .last = measure_array(m, REEL_F32, count)};
        measure_operation(m, name, issue_solve, &a, moves(CHANNELS * plane, 9 * 4));
    }
    if (cases_begin(m, s, "latents.blend", name)) {
        struct reel_blend a = {.rows = CHANNELS,
                               .width = plane,
                               .share = 0.02,
                               .x = measure_array(m, REEL_F32, count),
                               .x_stride = s->F * plane,
                               .z = measure_array(m, REEL_F32, CHANNELS * plane)};
        measure_operation(m, name, issue_blend, &a, moves(CHANNELS * plane, 4 + 4 + 4));
    }
}

/* Finds the first value that is not finite; the host waits for each result. */
static void issue_look(struct reel_stream *stream, const void *arguments)
{
    const struct reel_clear *array = arguments;
    reel_first_nonfinite(stream, array->to, array->bytes / (int64_t)sizeof(float));
}

static void look(struct measure *m, const struct cases_size *s)
{
    int64_t count = s->F * s->H * s->W * 4 * CHANNELS;
    char name[80];
    if (!cases_begin(m, s, "latents.first-nonfinite", name))
        return;
    struct reel_clear array = {.bytes = count * (int64_t)sizeof(float),
                               .to = measure_array(m, REEL_F32, count)};
    measure_operation(m, name, issue_look, &array, moves(count, 4));
}

void cases_passes(struct measure *measure, const struct cases_size *size)
{
    norms(measure, size);
    heads(measure, size);
    patches(measure, size);
}

void cases_passes_others(struct measure *measure, const struct cases_size *size)
{
    sums(measure, size);
    embeddings(measure, size);
    latents(measure, size);
    look(measure, size);
}
