/* Every operation on the shadow backend has the CPU's result, bit for bit. It writes its outputs wholly, and
 * stays within its arrays, each of which is a region of its own here. It refuses every input whose first or
 * last byte nobody wrote. */
#include "shadow.h"

#include "arrays.h"
#include "child.h"
#include "test.h"

#include <string.h>

enum { ROWS = 7, D = 12, OUT = 9, HEADS = 3, C = 8, WIDTH = HEADS * C, STRIDE = WIDTH + 5 };
enum { F = 2, H = 2, W = 3, L = F * H * W };

static const struct reel_scratch max = {.in = 32, .channels = C, .threads = 1, .weight_dtype = REEL_F8_E4M3};

static enum reel_dtype dtype; /* the dtype of arrays that may have either */

/* Room for results in that dtype. */
static void *numbers_out(int64_t width)
{
    return room(width * reel_dtype_bytes(dtype));
}

static void *floats_out(int64_t width)
{
    return room(width * (int64_t)sizeof(float));
}

/* A table whose rows are two parts of D values. Indexed, it has three rows, of which every token uses one;
 * else a row per token. */
static struct reel_rows table_in(int indexed)
{
    static const int32_t of_token[ROWS] = {2, 0, 0, 1, 2, 2, 0};
    struct reel_rows rows = {.stride = 2 * D + 1};
    rows.table = strided_in(indexed ? 3 : ROWS, 2 * D, rows.stride, REEL_F32);
    if (indexed)
        rows.of_token = bytes_in(of_token, 1, sizeof of_token, 0);
    return rows;
}

static void gemm(void)
{
    void *y = numbers_out(ROWS * OUT);
    reel_gemm(&stream, (struct reel_gemm){.rows = ROWS,
                                          .in = D,
                                          .out = OUT,
                                          .dtype = dtype,
                                          .weight_dtype = dtype,
                                          .y_dtype = dtype,
                                          .x = numbers_in(ROWS * D, dtype),
                                          .weight = numbers_in(OUT * D, dtype),
                                          .bias = numbers_in(OUT, dtype),
                                          .y = y,
                                          .activation = REEL_GELU_TANH});
    result(y);
}

/* Without a bias, and with a result of floats. */
static void gemm_of_narrow_weights(void)
{
    unsigned char weight[OUT * D];
    void *y = floats_out(ROWS * OUT);
    for (int i = 0; i < OUT * D; i++)
        weight[i] = (unsigned char)(i % 64);
    reel_gemm(&stream, (struct reel_gemm){.rows = ROWS,
                                          .in = D,
                                          .out = OUT,
                                          .dtype = dtype,
                                          .weight_dtype = REEL_F8_E4M3,
                                          .weight_scale = 0.5,
                                          .x = numbers_in(ROWS * D, dtype),
                                          .weight = bytes_in(weight, 1, sizeof weight, 0),
                                          .y = y});
    result(y);
}

static void layer_norm(void)
{
    void *x = floats_in(ROWS * D), *y = numbers_out(ROWS * D);
    struct reel_layer_norm a = {.rows = ROWS,
                                .width = D,
                                .dtype = dtype,
                                .x = x,
                                .weight = numbers_in(D, dtype),
                                .bias = numbers_in(D, dtype),
                                .epsilon = 1e-6,
                                .y = y};
    reel_layer_norm(&stream, a);
    result(y);
    a.x_dtype = dtype; /* of y, in place */
    a.x = y;
    reel_layer_norm(&stream, a);
    result(y);
}

static void modulate(void)
{
    for (int indexed = 0; indexed < 2; indexed++) {
        void *x = floats_in(ROWS * D), *y = dtype == REEL_F32 && indexed ? x : numbers_out(ROWS * D);
        reel_modulate(&stream, (struct reel_modulate){.rows = ROWS,
                                                      .width = D,
                                                      .dtype = dtype,
                                                      .x = x,
                                                      .epsilon = 1e-6,
                                                      .shift = numbers_in(D, dtype),
                                                      .scale = numbers_in(D, dtype),
                                                      .embedding = table_in(indexed),
                                                      .scale_at = D,
                                                      .y = y});
        result(y);
    }
}

/* The second part of every row of the table is the gate. The first part is never read, and so is not
 * written. */
static void gated_add(void)
{
    struct reel_rows table = {.stride = 2 * D + 1};
    float *gates = room((2 * table.stride + 2 * D) * (int64_t)sizeof *gates);
    float *written = strided_in(3, D, D, REEL_F32);
    const int32_t of_token[ROWS] = {2, 0, 0, 1, 2, 2, 0};
    reel_copy(&stream, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                          .rows = 3,
                                          .row_bytes = D * 4,
                                          .from = written,
                                          .from_stride = D * 4,
                                          .to = gates + D,
                                          .to_stride = table.stride * 4});
    table.table = gates;
    table.of_token = bytes_in(of_token, 1, sizeof of_token, 0);
    struct reel_gated_add a = {.rows = ROWS,
                               .width = D,
                               .dtype = dtype,
                               .x = floats_in(ROWS * D),
                               .y = numbers_in(ROWS * D, dtype),
                               .gate = numbers_in(D, dtype),
                               .embedding = table,
                               .gate_at = D};
    reel_gated_add(&stream, a);
    result(a.x);
    a.gate = NULL;
    reel_gated_add(&stream, a);
    result(a.x);
}

static void squares(void)
{
    void *sums = room(ROWS * (int64_t)sizeof(double));
    reel_rms_squares(
        &stream,
        (struct reel_rms_squares){
            .rows = ROWS, .width = D, .dtype = dtype, .x = numbers_in(ROWS * D, dtype), .sums = sums});
    result(sums);
}

static void split_and_merge_heads(void)
{
    static const int64_t first_head[] = {0, 2, 2, HEADS}, all_heads[] = {0, HEADS};
    struct reel_rope rope = {.frame = floats_in(F * 2 * 2),
                             .row = floats_in(H * 2),
                             .column = floats_in(W * 2),
                             .frame_pairs = 2,
                             .row_pairs = 1,
                             .column_pairs = 1,
                             .H = H,
                             .W = W,
                             .first_token = 1};
    void *y = numbers_out(ROWS * WIDTH), *merged = numbers_out(ROWS * WIDTH);
    struct reel_split_heads a = {.rows = ROWS,
                                 .heads = HEADS,
                                 .channels = C,
                                 .dtype = dtype,
                                 .x = numbers_in(ROWS * WIDTH, dtype),
                                 .norm = numbers_in(WIDTH, dtype),
                                 .squares = doubles_in(2 * ROWS),
                                 .square_parts = 2,
                                 .norm_width = 2 * WIDTH,
                                 .epsilon = 1e-6,
                                 .rope = &rope,
                                 .parts = 3,
                                 .first_head = first_head,
                                 .y = y};
    reel_split_heads(&stream, a);
    result(y);
    reel_merge_heads(&stream, (struct reel_merge_heads){.rows = ROWS,
                                                        .heads = HEADS,
                                                        .channels = C,
                                                        .dtype = dtype,
                                                        .parts = 3,
                                                        .first_head = first_head,
                                                        .x = y,
                                                        .y = merged});
    result(merged);
    a.x = a.y = merged;
    a.parts = 1;
    a.first_head = all_heads;
    a.squares = NULL;
    a.rope = NULL;
    reel_split_heads(&stream, a);
    result(merged);
}

/* Rows with gaps between them: first alone, then merged with a result over other keys, then added to it. */
static void attention(void)
{
    enum { KEYS = 5 };
    int64_t each = reel_dtype_bytes(dtype);
    struct reel_attention a = {.queries = ROWS,
                               .keys = KEYS,
                               .heads = HEADS,
                               .channels = C,
                               .scale = 0.3,
                               .dtype = dtype,
                               .q = strided_in(ROWS, WIDTH, STRIDE, dtype),
                               .q_stride = STRIDE,
                               .k = strided_in(KEYS, WIDTH, STRIDE, dtype),
                               .v = strided_in(KEYS, WIDTH, STRIDE, dtype),
                               .kv_stride = STRIDE,
                               .out = numbers_out((ROWS - 1) * (STRIDE + 2) + WIDTH),
                               .out_stride = STRIDE + 2,
                               .lse = floats_out(ROWS * HEADS)};
    for (int turn = 0; turn < 3; turn++) {
        a.merge = turn == 1;
        a.add = turn == 2;
        reel_attention(&stream, a);
        result_rows(a.out, ROWS, WIDTH * each, a.out_stride * each);
        result(a.lse);
    }
}

static void patchify(void)
{
    enum { CHANNELS = 3 };
    struct reel_patchify a = {.tokens = L,
                              .F = F,
                              .H = H,
                              .W = W,
                              .channels = CHANNELS,
                              .patch = 2,
                              .dtype = dtype,
                              .latents = floats_in(CHANNELS * 4 * L),
                              .columns = numbers_out(L * 4 * CHANNELS)};
    void *velocity = floats_out(CHANNELS * 4 * L);
    reel_patchify(&stream, a);
    result(a.columns);
    a.first_token = 4;
    a.tokens = 5;
    a.columns = numbers_out(5 * 4 * CHANNELS);
    reel_patchify(&stream, a);
    result(a.columns);
    reel_unpatchify(&stream, (struct reel_unpatchify){.F = F,
                                                      .H = H,
                                                      .W = W,
                                                      .channels = CHANNELS,
                                                      .patch = 2,
                                                      .tokens = floats_in(CHANNELS * 4 * L),
                                                      .velocity = velocity});
    result(velocity);
}

static void guide(void)
{
    struct reel_guide a = {.count = D,
                           .conditional = floats_in(D),
                           .unconditional = floats_in(D),
                           .scale = 5,
                           .out = floats_out(D)};
    reel_guide(&stream, a);
    result(a.out);
    float *conditional = floats_in(D), *unconditional = floats_in(D);
    a.conditional = a.out = conditional;
    reel_guide(&stream, a);
    result(a.out);
    a.unconditional = a.out = unconditional;
    reel_guide(&stream, a);
    result(a.out);
}

/* The second of three frames, with v in a window of two. The first step writes the history, and the next one
 * reads it. */
static void solve(void)
{
    enum { CHANNELS = 2, FRAMES = 3, PLANE = 5, STRIDE_BYTES = FRAMES * PLANE * 4 };
    int64_t history = ((CHANNELS - 1) * FRAMES + 2) * PLANE;
    float *x = strided_in(CHANNELS, PLANE, FRAMES * PLANE, REEL_F32),
          *m0 = strided_in(CHANNELS, PLANE, FRAMES * PLANE, REEL_F32);
    struct reel_solve a = {.channels = CHANNELS,
                           .frames = FRAMES,
                           .plane = PLANE,
                           .frame = 1,
                           .v_frames = 2,
                           .sigma = 0.7,
                           .last_is_result = 1,
                           .correct_last = 0.5,
                           .correct_0 = 0.25,
                           .correct_1 = 0.125,
                           .correct_estimate = 2,
                           .predict_x = 0.75,
                           .predict_0 = 0.5,
                           .predict_1 = 0.3,
                           .predict_v = 0.1,
                           .v = strided_in(CHANNELS, PLANE, 2 * PLANE, REEL_F32),
                           .x = x - PLANE,
                           .m0 = m0 - PLANE,
                           .m1 = floats_out(history),
                           .last = floats_out(history)};
    for (a.corrects = 0; a.corrects < 2; a.corrects++) {
        reel_solve(&stream, a);
        result_rows(x, CHANNELS, PLANE * 4, STRIDE_BYTES);
        result_rows(m0, CHANNELS, PLANE * 4, STRIDE_BYTES);
        result_rows(a.m1 + PLANE, CHANNELS, PLANE * 4, STRIDE_BYTES);
        result_rows(a.last + PLANE, CHANNELS, PLANE * 4, STRIDE_BYTES);
    }
}

static void silu(void)
{
    struct reel_silu a = {.count = D, .x = floats_in(D), .y = floats_out(D)};
    reel_silu(&stream, a);
    a.x = a.y;
    reel_silu(&stream, a);
    result(a.y);
}

static void sum_parts(void)
{
    enum { PARTS = 3 };
    void *y = numbers_out(ROWS * D);
    reel_sum_parts(&stream, (struct reel_sum_parts){.rows = ROWS,
                                                    .width = D,
                                                    .parts = PARTS,
                                                    .part_stride = ROWS * D + 4,
                                                    .dtype = dtype,
                                                    .x = strided_in(PARTS, ROWS * D, ROWS * D + 4, dtype),
                                                    .row = numbers_in(D, dtype),
                                                    .y = y});
    result(y);
}

static void expand(void)
{
    for (int indexed = 0; indexed < 2; indexed++) {
        float *y = floats_out(ROWS * 2 * D);
        reel_expand(&stream, (struct reel_expand){
                                 .rows = ROWS, .width = 2 * D, .embedding = table_in(indexed), .y = y});
        result(y);
    }
}

static void distances(void)
{
    float *previous = floats_in(ROWS * D);
    double *sums = room(2 * ROWS * (int64_t)sizeof *sums);
    reel_distances(&stream, (struct reel_distances){.rows = ROWS,
                                                    .width = D,
                                                    .x = floats_in(ROWS * D),
                                                    .previous = previous,
                                                    .difference = sums,
                                                    .magnitude = sums + 1,
                                                    .stride = 2});
    result(previous);
    result(sums);
}

static void residuals(void)
{
    static const enum reel_dtype dtypes[] = {REEL_BF16, REEL_F32};
    for (int i = 0; i < 2; i++) {
        void *residual = room(D * reel_dtype_bytes(dtypes[i]));
        float *x = floats_in(D);
        reel_keep_residual(&stream, (struct reel_keep_residual){.count = D,
                                                                .dtype = dtypes[i],
                                                                .after = floats_in(D),
                                                                .before = floats_in(D),
                                                                .residual = residual});
        result(residual);
        reel_add_residual(&stream, (struct reel_add_residual){
                                       .count = D, .dtype = dtypes[i], .residual = residual, .x = x});
        result(x);
    }
}

static void rows_and_copies(void)
{
    float *x = floats_in(ROWS * D), *blended = strided_in(ROWS, D, STRIDE, REEL_F32), *zeros = floats_out(D);
    void *y = numbers_in(ROWS * D, dtype), *converted = numbers_out(ROWS * D), *copied = floats_out(ROWS * D);
    reel_add_row(&stream, (struct reel_add_row){
                              .rows = ROWS, .width = D, .dtype = dtype, .row = numbers_in(D, dtype), .y = y});
    result(y);
    reel_convert(&stream, (struct reel_convert){.count = ROWS * D, .dtype = dtype, .x = x, .y = converted});
    result(converted);
    reel_blend(&stream, (struct reel_blend){.rows = ROWS,
                                            .width = D,
                                            .share = 0.3,
                                            .x = blended,
                                            .x_stride = STRIDE,
                                            .z = floats_in(ROWS * D)});
    result_rows(blended, ROWS, D * 4, STRIDE * 4);
    reel_copy(&stream, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                          .rows = ROWS,
                                          .row_bytes = D * 4,
                                          .from = blended,
                                          .from_stride = STRIDE * 4,
                                          .to = copied,
                                          .to_stride = D * 4});
    result(copied);
    reel_clear(&stream, (struct reel_clear){.bytes = D * 4, .to = zeros});
    result(zeros);
    results[result_bytes++] = reel_first_nonfinite(&stream, floats_in(D), D) < 0;
}

static void (*const operations[])(void) = {gemm,           gemm_of_narrow_weights,
                                           layer_norm,     modulate,
                                           gated_add,      squares,
                                           attention,      split_and_merge_heads,
                                           patchify,       guide,
                                           solve,          silu,
                                           sum_parts,      expand,
                                           distances,      residuals,
                                           rows_and_copies};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static int64_t one; /* the operation that a child runs */

static void run_one(void)
{
    arrays_open(&max);
    operations[one]();
    arrays_close();
}

static void every_operation_computes_what_the_cpu_does(void)
{
    static unsigned char right[sizeof results];
    hole = -1;
    for (int p = 0; p < 2; p++)
        for (one = 0; one < OPERATIONS; one++) {
            dtype = p ? REEL_BF16 : REEL_F32;
            ops = &reel_ops_cpu;
            run_one();
            int64_t bytes = result_bytes;
            memcpy(right, results, (size_t)bytes);
            memset(results, 0, (size_t)bytes);
            ops = &reel_ops_shadow;
            run_one();
            CHECK(bytes > 0 && bytes == result_bytes && memcmp(right, results, (size_t)bytes) == 0,
                  "operation %lld of precision %d: other bits", (long long)one, p);
        }
    CHECK(reel_error_here()->status == REEL_OK, "%s", reel_error_here()->cause);
}

static void every_operation_misses_the_ends_of_its_inputs(void)
{
    int64_t holes = 0;
    ops = &reel_ops_shadow;
    for (int p = 0; p < 2; p++)
        for (one = 0; one < OPERATIONS; one++) {
            dtype = p ? REEL_BF16 : REEL_F32;
            hole = -1;
            run_one();
            int64_t all = inputs;
            for (hole = 0; hole < all; hole++)
                for (hole_is_last = 0; hole_is_last < 2; hole_is_last++, holes++)
                    child_aborts("an input with a hole", run_one, "which nobody has written");
        }
    CHECK(holes > 200, "%lld holes", (long long)holes);
}

int main(void)
{
    RUN(every_operation_misses_the_ends_of_its_inputs);
    RUN(every_operation_computes_what_the_cpu_does);
    return test_end();
}
