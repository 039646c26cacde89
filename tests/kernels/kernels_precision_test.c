/* Operations on bfloat16 against the same operations on the same values as floats: the result is that of the
 * floats, rounded once. */
#include "test_array.h"
#include "ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct reel_scratch max = {.in = 64, .channels = 32, .threads = 2};
static struct reel_stream stream;

enum { ROWS = 7, D = 101 };

static void a_layer_norm_reads_and_writes_either_precision(void)
{
    struct test_array x = test_array_make(ROWS * D, 1, 3), w = test_array_make(D, 2, 1),
                      b = test_array_make(D, 3, 1);
    float right[ROWS * D], wide[ROWS * D];
    uint16_t narrow[ROWS * D];
    struct reel_layer_norm a = {
        .rows = ROWS, .width = D, .x = x.wide, .weight = w.wide, .bias = b.wide, .epsilon = 1e-6, .y = right};
    reel_layer_norm(&stream, a);
    a.x_dtype = REEL_BF16;
    a.x = x.narrow;
    a.y = wide;
    reel_layer_norm(&stream, a);
    CHECK(memcmp(wide, right, sizeof wide) == 0, "from bfloat16 to float");
    a.dtype = REEL_BF16;
    a.weight = w.narrow;
    a.bias = b.narrow;
    a.y = narrow;
    reel_layer_norm(&stream, a);
    test_array_check("from bfloat16", narrow, right, ROWS * D);
    a.x_dtype = REEL_F32;
    a.x = x.wide;
    memset(narrow, 0, sizeof narrow);
    reel_layer_norm(&stream, a);
    test_array_check("from float", narrow, right, ROWS * D);
    a.x_dtype = REEL_BF16;
    a.x = a.y = x.narrow;
    reel_layer_norm(&stream, a);
    test_array_check("in place", x.narrow, right, ROWS * D);
    test_array_free(&x);
    test_array_free(&w);
    test_array_free(&b);
}

static void modulation_and_gates_are_rounded_once(void)
{
    static const int32_t of_token[ROWS] = {0, 2, 1, 1, 0, 2, 2};
    struct test_array x = test_array_make(ROWS * D, 4, 3), y = test_array_make(ROWS * D, 5, 1),
                      w = test_array_make(D, 6, 1), b = test_array_make(D, 7, 1),
                      table = test_array_make(3 * 2 * D, 8, 1);
    struct reel_rows rows = {.table = table.wide, .stride = 2 * D, .of_token = of_token};
    float right[ROWS * D], sums[2][ROWS * D];
    uint16_t narrow[ROWS * D];
    struct reel_modulate m = {.rows = ROWS,
                              .width = D,
                              .x = x.wide,
                              .epsilon = 1e-6,
                              .shift = b.wide,
                              .scale = w.wide,
                              .embedding = rows,
                              .scale_at = D,
                              .y = right};
    reel_modulate(&stream, m);
    m.dtype = REEL_BF16;
    m.shift = b.narrow;
    m.scale = w.narrow;
    m.y = narrow;
    reel_modulate(&stream, m);
    test_array_check("modulate", narrow, right, ROWS * D);
    for (int gated = 0; gated < 2; gated++) {
        for (int p = 0; p < 2; p++) { /* fp32, bfloat16 */
            const void *gate = p ? (void *)w.narrow : (void *)w.wide;
            memcpy(sums[p], x.wide, sizeof sums[p]);
            reel_gated_add(&stream, (struct reel_gated_add){.rows = ROWS,
                                                            .width = D,
                                                            .dtype = p ? REEL_BF16 : REEL_F32,
                                                            .x = sums[p],
                                                            .y = p ? (void *)y.narrow : (void *)y.wide,
                                                            .gate = gated ? gate : NULL,
                                                            .embedding = rows,
                                                            .gate_at = D});
        }
        CHECK(memcmp(sums[0], sums[1], sizeof sums[0]) == 0, "gated %d", gated);
        CHECK(memcmp(sums[0], x.wide, sizeof sums[0]) != 0, "gated %d adds nothing", gated);
    }
    test_array_free(&x);
    test_array_free(&y);
    test_array_free(&w);
    test_array_free(&b);
    test_array_free(&table);
}

enum { HEADS = 5, CH = 8, WIDTH = HEADS * CH };

/* Splits heads into uneven parts, one of them empty, and into one part in place; with a norm over all heads,
 * or by the sums of squares of other parts. */
static void split_case(const struct reel_split_heads *given, const struct test_array *x,
                       const struct test_array *norm)
{
    static const int64_t parts[] = {0, 3, 3, 4, 5}, whole[] = {0, HEADS};
    struct reel_split_heads a = *given;
    float right[ROWS * WIDTH];
    uint16_t narrow[ROWS * WIDTH], back[ROWS * WIDTH];
    for (int uneven = 0; uneven < 2; uneven++) {
        a.parts = uneven ? 4 : 1;
        a.first_head = uneven ? parts : whole;
        a.dtype = REEL_F32;
        a.x = x->wide;
        a.norm = given->norm ? norm->wide : NULL;
        a.y = right;
        reel_split_heads(&stream, a);
        a.dtype = REEL_BF16;
        a.x = x->narrow;
        a.norm = given->norm ? norm->narrow : NULL;
        a.y = narrow;
        reel_split_heads(&stream, a);
        test_array_check("split", narrow, right, ROWS * WIDTH);
        struct reel_merge_heads merge = {.rows = ROWS,
                                         .heads = HEADS,
                                         .channels = CH,
                                         .dtype = REEL_BF16,
                                         .parts = a.parts,
                                         .first_head = a.first_head,
                                         .x = narrow,
                                         .y = back};
        reel_merge_heads(&stream, merge);
        if (!a.norm && !a.rope)
            CHECK(memcmp(back, x->narrow, sizeof back) == 0, "merging does not undo splitting over %lld",
                  (long long)a.parts);
    }
    a.parts = 1;
    a.first_head = whole;
    memcpy(back, x->narrow, sizeof back);
    a.x = a.y = back;
    reel_split_heads(&stream, a);
    a.x = x->narrow;
    a.y = narrow;
    reel_split_heads(&stream, a);
    CHECK(memcmp(back, narrow, sizeof back) == 0, "in place it is another");
}

static void heads_are_normed_turned_and_laid_out(void)
{
    struct test_array x = test_array_make(ROWS * WIDTH, 9, 2), norm = test_array_make(WIDTH, 10, 1),
                      table = test_array_make(3 * 64, 11, 1);
    struct reel_rope rope = {.frame = table.wide,
                             .row = table.wide + 64,
                             .column = table.wide + 128,
                             .frame_pairs = 2,
                             .row_pairs = 1,
                             .column_pairs = 1,
                             .H = 2,
                             .W = 3,
                             .first_token = 8};
    double squares[2][2 * ROWS];
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 2; i++)
            reel_rms_squares(&stream, (struct reel_rms_squares){.rows = ROWS,
                                                                .width = WIDTH - i,
                                                                .dtype = p ? REEL_BF16 : REEL_F32,
                                                                .x = p ? (void *)x.narrow : (void *)x.wide,
                                                                .sums = squares[p] + i * ROWS});
    CHECK(memcmp(squares[0], squares[1], sizeof squares[0]) == 0, "squares differ");
    CHECK(squares[0][0] > squares[0][ROWS], "a column less has the same squares");
    for (int variant = 0; variant < 8; variant++) {
        struct reel_split_heads a = {.rows = ROWS,
                                     .heads = HEADS,
                                     .channels = CH,
                                     .norm = variant & 1 ? norm.wide : NULL,
                                     .epsilon = 1e-6,
                                     .squares = variant & 2 ? squares[0] : NULL,
                                     .square_parts = 2,
                                     .norm_width = 2 * WIDTH,
                                     .rope = variant & 4 ? &rope : NULL};
        split_case(&a, &x, &norm);
    }
    test_array_free(&x);
    test_array_free(&norm);
    test_array_free(&table);
}

enum { Q = 131, KEYS = 300, N = 3, C = 32, STRIDE = N * C };

/* Head `head` of [rows, N heads] as [rows, C]. */
static void take_head(const float *all, int64_t rows, int64_t head, float *one)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(one + r * C, all + r * STRIDE + head * C, C * sizeof *one);
}

/* Attention of one head to keys [first, first + keys) in floats: its effect on out and lse. */
static void attend_alone(const struct test_array *qkv, int64_t head, int64_t first, int64_t keys,
                         struct reel_attention a, float *out, float *lse)
{
    static float q[Q * C], k[KEYS * C], v[KEYS * C];
    take_head(qkv[0].wide, Q, head, q);
    take_head(qkv[1].wide + first * STRIDE, keys, head, k);
    take_head(qkv[2].wide + first * STRIDE, keys, head, v);
    a.queries = Q;
    a.keys = keys;
    a.heads = 1;
    a.dtype = REEL_F32;
    a.q = q;
    a.k = k;
    a.v = v;
    a.out = out;
    a.lse = lse;
    a.q_stride = a.kv_stride = a.out_stride = C;
    reel_attention(&stream, a);
}

/* Attention over all keys, the same added, and then over three parts of the keys, merged. Every step rounds
 * its result. */
static void attention_is_rounded_whenever_it_is_written(void)
{
    static const int64_t steps[][3] = {
        {0, KEYS, 0}, {0, KEYS, 1}, {0, 7, 0}, {7, KEYS - 17, 2}, {KEYS - 10, 10, 2}};
    struct test_array qkv[3] = {test_array_make(Q * STRIDE, 12, 6), test_array_make(KEYS * STRIDE, 13, 1),
                                test_array_make(KEYS * STRIDE, 14, 1)};
    static float right[N][Q * C], right_lse[N][Q], lse[Q * N];
    static uint16_t out[Q * STRIDE], head[Q * C];
    for (int s = 0; s < 5; s++) {
        struct reel_attention a = {.queries = Q,
                                   .keys = steps[s][1],
                                   .heads = N,
                                   .channels = C,
                                   .scale = 1 / sqrt((double)C),
                                   .dtype = REEL_BF16,
                                   .q = qkv[0].narrow,
                                   .q_stride = STRIDE,
                                   .k = qkv[1].narrow + steps[s][0] * STRIDE,
                                   .v = qkv[2].narrow + steps[s][0] * STRIDE,
                                   .kv_stride = STRIDE,
                                   .out = out,
                                   .out_stride = STRIDE,
                                   .add = steps[s][2] == 1,
                                   .lse = lse,
                                   .merge = steps[s][2] == 2};
        reel_attention(&stream, a);
        for (int64_t n = 0; n < N; n++) {
            attend_alone(qkv, n, steps[s][0], a.keys, a, right[n], right_lse[n]);
            for (int64_t r = 0; r < Q; r++) {
                memcpy(head + r * C, out + r * STRIDE + n * C, C * sizeof *head);
                CHECK(lse[r * N + n] == right_lse[n][r], "step %d head %lld query %lld: lse %g", s,
                      (long long)n, (long long)r, (double)lse[r * N + n]);
            }
            test_array_check("attention", head, right[n], Q * C);
            reel_convert(&stream,
                         (struct reel_convert){.count = Q * C, .dtype = REEL_BF16, .x = right[n], .y = head});
            for (int64_t i = 0; i < Q * C; i++) { /* the next step continues from the rounded result */
                uint32_t bits = (uint32_t)head[i] << 16;
                memcpy(&right[n][i], &bits, sizeof bits);
            }
        }
    }
    for (int i = 0; i < 3; i++)
        test_array_free(&qkv[i]);
}

static void a_query_alone_has_the_same_bits(void)
{
    struct test_array q = test_array_make(Q * STRIDE, 15, 6), kv = test_array_make(KEYS * STRIDE, 16, 1);
    static uint16_t whole[Q * STRIDE];
    uint16_t alone[STRIDE];
    struct reel_attention a = {.queries = Q,
                               .keys = KEYS,
                               .heads = N,
                               .channels = C,
                               .scale = 0.3,
                               .dtype = REEL_BF16,
                               .q = q.narrow,
                               .q_stride = STRIDE,
                               .k = kv.narrow,
                               .v = kv.narrow,
                               .kv_stride = STRIDE,
                               .out = whole,
                               .out_stride = STRIDE};
    reel_attention(&stream, a);
    a.queries = 1;
    a.out = alone;
    for (int64_t r = 0; r < Q; r += 13) {
        a.q = q.narrow + r * STRIDE;
        reel_attention(&stream, a);
        CHECK(memcmp(alone, whole + r * STRIDE, sizeof alone) == 0, "query %lld", (long long)r);
    }
    CHECK(memcmp(whole, whole + STRIDE, sizeof alone) != 0, "all queries are one");
    test_array_free(&q);
    test_array_free(&kv);
}

static void patches_sums_and_rows_are_rounded_once(void)
{
    enum { F = 2, H = 3, W = 5, CHANNELS = 3, LATENTS = CHANNELS * F * 4 * H * W, TOKENS = F * H * W - 4 };
    struct test_array x = test_array_make(3 * ROWS * D + 8, 17, 1), row = test_array_make(D, 18, 1);
    float latents[LATENTS], columns[LATENTS], right[ROWS * D];
    uint16_t narrow[ROWS * D];
    for (int i = 0; i < LATENTS; i++)
        latents[i] = sinf((float)(i + 1)); /* not representable in bfloat16 */
    for (int p = 0; p < 2; p++)
        reel_patchify(&stream, (struct reel_patchify){.tokens = TOKENS,
                                                      .first_token = 4,
                                                      .F = F,
                                                      .H = H,
                                                      .W = W,
                                                      .channels = CHANNELS,
                                                      .patch = 2,
                                                      .dtype = p ? REEL_BF16 : REEL_F32,
                                                      .latents = latents,
                                                      .columns = p ? (void *)narrow : (void *)columns});
    test_array_check("patchify", narrow, columns, TOKENS * 4 * CHANNELS);
    for (int p = 0; p < 2; p++)
        reel_sum_parts(&stream, (struct reel_sum_parts){.rows = ROWS,
                                                        .width = D,
                                                        .parts = 3,
                                                        .part_stride = ROWS * D + 4,
                                                        .dtype = p ? REEL_BF16 : REEL_F32,
                                                        .x = p ? (void *)x.narrow : (void *)x.wide,
                                                        .row = p ? (void *)row.narrow : (void *)row.wide,
                                                        .y = p ? (void *)narrow : (void *)right});
    test_array_check("sum_parts", narrow, right, ROWS * D);
    reel_add_row(&stream,
                 (struct reel_add_row){
                     .rows = ROWS, .width = D, .dtype = REEL_BF16, .row = row.narrow, .y = x.narrow});
    reel_add_row(&stream, (struct reel_add_row){.rows = ROWS, .width = D, .row = row.wide, .y = x.wide});
    test_array_check("add_row", x.narrow, x.wide, ROWS * D);
    reel_convert(&stream,
                 (struct reel_convert){.count = LATENTS, .dtype = REEL_BF16, .x = latents, .y = narrow});
    test_array_check("convert", narrow, latents, LATENTS);
    reel_convert(&stream, (struct reel_convert){.count = LATENTS, .x = latents, .y = columns});
    CHECK(memcmp(columns, latents, sizeof latents) == 0, "floats do not stay what they are");
    test_array_free(&x);
    test_array_free(&row);
}

static void a_long_array_is_converted_to_its_end(void)
{
    enum { COUNT = 100001 };
    struct test_array x = test_array_make(COUNT, 19, 1);
    uint16_t *found = calloc(COUNT + 1, sizeof *found);
    found[COUNT] = 7;
    reel_convert(&stream, (struct reel_convert){.count = COUNT, .dtype = REEL_BF16, .x = x.wide, .y = found});
    CHECK(memcmp(found, x.narrow, COUNT * sizeof *found) == 0, "what a bfloat16 holds is not kept");
    CHECK(found[COUNT] == 7, "it writes beyond");
    test_array_free(&x);
    free(found);
}

/* Every call has valid arguments, except for a dtype. */
static void precisions_that_no_operation_has_are_refused(void)
{
    float x[4] = {1, 2, 3, 4}, y[4] = {0};
    for (int what = 0; what < 4; what++) {
        struct reel_stream fresh = stream;
        if (what == 0)
            reel_convert(&fresh, (struct reel_convert){.count = 1, .dtype = REEL_F8_E4M3, .x = x, .y = y});
        if (what == 1)
            reel_layer_norm(
                &fresh,
                (struct reel_layer_norm){
                    .rows = 1, .width = 2, .x_dtype = REEL_BF16, .x = x, .weight = x, .bias = x, .y = x});
        if (what == 2)
            reel_add_row(&fresh, (struct reel_add_row){
                                     .rows = 1, .width = 2, .dtype = REEL_F8_E4M3, .row = x, .y = y});
        if (what == 3)
            reel_gemm(
                &fresh,
                (struct reel_gemm){
                    .rows = 1, .in = 2, .out = 1, .weight_dtype = REEL_BF16, .x = x, .weight = x, .y = y});
        CHECK(fresh.status == REEL_INTERNAL && y[0] == 0, "call %d is let in", what);
        reel_error_clear();
    }
}

static void a_stream_beside_another_copies(void)
{
    struct reel_stream aside;
    char from[6] = "abcde", to[6] = "";
    reel_stream_open_side(&aside, &reel_ops_cpu);
    reel_stream_wait(&aside, &stream);
    reel_upload(&aside, to, from, sizeof from);
    reel_finish(&aside);
    CHECK(aside.status == REEL_OK && strcmp(to, from) == 0, "%s", to);
    reel_stream_close(&aside);
    CHECK(aside.ops == NULL, "it is open");
}

int main(void)
{
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    reel_stream_open(&stream, &reel_ops_cpu, &max, scratch);
    RUN(a_layer_norm_reads_and_writes_either_precision);
    RUN(modulation_and_gates_are_rounded_once);
    RUN(heads_are_normed_turned_and_laid_out);
    RUN(attention_is_rounded_whenever_it_is_written);
    RUN(a_query_alone_has_the_same_bits);
    RUN(patches_sums_and_rows_are_rounded_once);
    RUN(a_long_array_is_converted_to_its_end);
    RUN(precisions_that_no_operation_has_are_refused);
    RUN(a_stream_beside_another_copies);
    CHECK(stream.status == REEL_OK, "%s", reel_error_here()->cause);
    free(scratch);
    return test_end();
}
