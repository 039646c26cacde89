/* The other operations against plain loops in double; every bound also refuses a wrong answer. */
#include "ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct reel_scratch max = {.in = 64, .channels = 32, .threads = 2};
static struct reel_stream stream;

static void fill(float *values, int64_t count, uint32_t state)
{
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

static void agrees(const char *what, float *found, const float *right, int64_t count, double bound)
{
    double error = test_relative_error(found, right, count);
    CHECK(error < bound, "%s: error %g", what, error);
    found[count / 2] += 0.01f;
    CHECK(!(test_relative_error(found, right, count) < bound), "%s: a perturbed answer passes", what);
}

enum { Q = 131, KEYS = 300, N = 3, C = 32, WIDTH = N * C };
static float q[Q * WIDTH], k[KEYS * WIDTH], v[KEYS * WIDTH], found[Q * WIDTH], right[Q * WIDTH];

static void attend(int64_t query, int64_t head, float *out)
{
    double score[KEYS], total = 0, sum[C] = {0};
    for (int64_t j = 0; j < KEYS; j++) {
        score[j] = 0;
        for (int64_t c = 0; c < C; c++)
            score[j] += (double)q[query * WIDTH + head * C + c] * (double)k[j * WIDTH + head * C + c];
        score[j] = exp(score[j] / sqrt((double)C));
        total += score[j];
        for (int64_t c = 0; c < C; c++)
            sum[c] += score[j] * (double)v[j * WIDTH + head * C + c];
    }
    for (int64_t c = 0; c < C; c++)
        out[query * WIDTH + head * C + c] = (float)(sum[c] / total);
}

static void attention_is_a_softmax_over_all_keys(void)
{
    fill(q, Q * WIDTH, 1);
    fill(k, KEYS * WIDTH, 2);
    fill(v, KEYS * WIDTH, 3);
    for (int64_t i = 0; i < Q * WIDTH; i++)
        q[i] *= 6.0f; /* peaked enough for the running maximum to move */
    for (int64_t query = 0; query < Q; query++)
        for (int64_t head = 0; head < N; head++)
            attend(query, head, right);
    struct reel_attention a = {.queries = Q,
                               .keys = KEYS,
                               .heads = N,
                               .channels = C,
                               .scale = 1 / sqrt((double)C),
                               .q = q,
                               .q_stride = WIDTH,
                               .k = k,
                               .v = v,
                               .kv_stride = WIDTH,
                               .out = found,
                               .out_stride = WIDTH};
    reel_attention(&stream, a);
    float alone[WIDTH];
    a.queries = 1;
    a.q = q + 97 * WIDTH;
    a.out = alone;
    reel_attention(&stream, a);
    CHECK(memcmp(alone, found + 97 * WIDTH, sizeof alone) == 0, "query 97 alone has other bits");
    a.add = 1;
    reel_attention(&stream, a);
    CHECK(alone[5] == found[97 * WIDTH + 5] * 2, "add gives %g", (double)alone[5]);
    agrees("attention", found, right, Q * WIDTH, 1e-6);
}

/* Keys in three parts, as a ring brings them: merged in any order, the parts give the result over all
 * keys. */
static void attention_over_parts_of_the_keys_merges_to_that_over_all(void)
{
    static const int64_t first[] = {0, 7, KEYS - 10, KEYS}, orders[2][3] = {{0, 1, 2}, {2, 0, 1}};
    static float all[Q * WIDTH], merged[Q * WIDTH];
    static float lse[Q * N], merged_lse[Q * N];
    fill(q, Q * WIDTH, 21);
    fill(k, KEYS * WIDTH, 22);
    fill(v, KEYS * WIDTH, 23);
    for (int64_t i = 0; i < Q * WIDTH; i++)
        q[i] *= 30; /* scores far apart, so that the parts weigh very differently */
    struct reel_attention a = {.queries = Q,
                               .keys = KEYS,
                               .heads = N,
                               .channels = C,
                               .scale = 1 / sqrt((double)C),
                               .q = q,
                               .q_stride = WIDTH,
                               .k = k,
                               .v = v,
                               .kv_stride = WIDTH,
                               .out = all,
                               .out_stride = WIDTH,
                               .lse = lse};
    reel_attention(&stream, a);
    a.out = merged;
    a.lse = merged_lse;
    for (int o = 0; o < 2; o++) {
        for (int i = 0; i < 3; i++) {
            int64_t part = orders[o][i];
            a.keys = first[part + 1] - first[part];
            a.k = k + first[part] * WIDTH;
            a.v = v + first[part] * WIDTH;
            a.merge = i > 0;
            reel_attention(&stream, a);
        }
        agrees("merged attention", merged, all, Q * WIDTH, 1e-6);
        agrees("its log-sum-exp", merged_lse, lse, Q * N, 1e-6);
    }
}

/* Each half of the heads, normed in place with the sums of squares of both halves, is as with all heads at
 * once. */
static void a_norm_over_heads_that_others_have_takes_their_sums(void)
{
    enum { ROWS = 9, HEADS = 6, CH = 4, D = HEADS * CH, HALF = D / 2 };
    static const int64_t all_heads[] = {0, HEADS}, half_heads[] = {0, HEADS / 2};
    float x[ROWS * D], norm[D], whole[ROWS * D], half[2][ROWS * HALF], joined[ROWS * D];
    double squares[2 * ROWS];
    fill(x, ROWS * D, 24);
    fill(norm, D, 25);
    struct reel_split_heads a = {.rows = ROWS,
                                 .heads = HEADS,
                                 .channels = CH,
                                 .x = x,
                                 .norm = norm,
                                 .epsilon = 1e-6,
                                 .parts = 1,
                                 .first_head = all_heads,
                                 .y = whole};
    reel_split_heads(&stream, a);
    for (int p = 0; p < 2; p++) {
        for (int r = 0; r < ROWS; r++)
            memcpy(half[p] + r * HALF, x + r * D + p * HALF, sizeof *x * HALF);
        reel_rms_squares(&stream, (struct reel_rms_squares){
                                      .rows = ROWS, .width = HALF, .x = half[p], .sums = squares + p * ROWS});
    }
    for (int p = 0; p < 2; p++) {
        a.heads = HEADS / 2;
        a.x = a.y = half[p];
        a.norm = norm + p * HALF;
        a.squares = squares;
        a.square_parts = 2;
        a.norm_width = D;
        a.first_head = half_heads;
        reel_split_heads(&stream, a);
        for (int r = 0; r < ROWS; r++)
            memcpy(joined + r * D + p * HALF, half[p] + r * HALF, sizeof *x * HALF);
    }
    agrees("halves normed", joined, whole, ROWS * D, 1e-6);
}

static void parts_are_added_in_order_and_the_row_last(void)
{
    enum { ROWS = 2, D = 3, STRIDE = 8 };
    float x[3 * STRIDE], y[ROWS * D];
    const float row[D] = {0.5f, -1.0f, 1e-3f};
    fill(x, 3 * STRIDE, 26);
    x[0] = 1e8f; /* 1e8 + 1 - 1e8 in this order is 0 */
    x[STRIDE] = 1;
    x[2 * STRIDE] = -1e8f;
    reel_sum_parts(
        &stream,
        (struct reel_sum_parts){
            .rows = ROWS, .width = D, .parts = 3, .part_stride = STRIDE, .x = x, .row = row, .y = y});
    for (int i = 0; i < ROWS * D; i++)
        CHECK(y[i] == ((x[i] + x[STRIDE + i]) + x[2 * STRIDE + i]) + row[i % D], "place %d has %g", i,
              (double)y[i]);
    CHECK(y[0] == 0.5f, "%g", (double)y[0]);
}

static void norms_agree_with_their_formulas(void)
{
    enum { ROWS = 7, D = 101, R = 3 };
    static float x[ROWS * D], y[ROWS * D], w[D], b[D], table[R * 2 * D];
    static const int32_t of_token[ROWS] = {0, 2, 1, 1, 0, 2, 2};
    fill(x, ROWS * D, 4);
    fill(w, D, 5);
    fill(b, D, 6);
    fill(table, R * 2 * D, 7);
    float affine[ROWS * D], modulated[ROWS * D], gated[ROWS * D];
    for (int r = 0; r < ROWS; r++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < D; i++)
            mean += (double)x[r * D + i] / D;
        for (int i = 0; i < D; i++)
            variance += ((double)x[r * D + i] - mean) * ((double)x[r * D + i] - mean) / D;
        for (int i = 0; i < D; i++) {
            const float *row = table + of_token[r] * 2 * D;
            double n = ((double)x[r * D + i] - mean) / sqrt(variance + 1e-6);
            affine[r * D + i] = (float)(n * (double)w[i] + (double)b[i]);
            modulated[r * D + i] =
                (float)(n * (1 + (double)w[i] + (double)row[D + i]) + (double)b[i] + (double)row[i]);
            gated[r * D + i] =
                (float)((double)x[r * D + i] + (double)x[r * D + i] * ((double)w[i] + (double)row[D + i]));
        }
    }
    struct reel_rows rows = {.table = table, .stride = 2 * D, .of_token = of_token};
    reel_layer_norm(&stream,
                    (struct reel_layer_norm){
                        .rows = ROWS, .width = D, .x = x, .weight = w, .bias = b, .epsilon = 1e-6, .y = y});
    agrees("layer_norm", y, affine, ROWS * D, 1e-6);
    reel_modulate(&stream, (struct reel_modulate){.rows = ROWS,
                                                  .width = D,
                                                  .x = x,
                                                  .epsilon = 1e-6,
                                                  .shift = b,
                                                  .scale = w,
                                                  .embedding = rows,
                                                  .scale_at = D,
                                                  .y = y});
    agrees("modulate", y, modulated, ROWS * D, 1e-6);
    memcpy(y, x, sizeof x);
    reel_gated_add(&stream,
                   (struct reel_gated_add){
                       .rows = ROWS, .width = D, .x = y, .y = x, .gate = w, .embedding = rows, .gate_at = D});
    agrees("gated_add", y, gated, ROWS * D, 1e-6);
}

static void heads_split_over_uneven_parts_and_merge_back(void)
{
    enum { ROWS = 5, HEADS = 4, CH = 8, D = HEADS * CH };
    static const int64_t first_head[] = {0, 2, 2, 3, 4};
    float x[ROWS * D], y[ROWS * D], back[ROWS * D];
    fill(x, ROWS * D, 8);
    reel_split_heads(&stream, (struct reel_split_heads){.rows = ROWS,
                                                        .heads = HEADS,
                                                        .channels = CH,
                                                        .x = x,
                                                        .parts = 4,
                                                        .first_head = first_head,
                                                        .y = y});
    CHECK(y[0] == x[0] && y[2 * CH] == x[D], "part 0 has rows of two heads");
    CHECK(y[ROWS * 2 * CH] == x[2 * CH] && y[ROWS * 2 * CH + CH] == x[D + 2 * CH], "part 2 has rows of one");
    reel_merge_heads(&stream, (struct reel_merge_heads){.rows = ROWS,
                                                        .heads = HEADS,
                                                        .channels = CH,
                                                        .parts = 4,
                                                        .first_head = first_head,
                                                        .x = y,
                                                        .y = back});
    CHECK(memcmp(back, x, sizeof x) == 0, "merging does not undo splitting");
}

static void rotation_turns_interleaved_pairs_by_frame_row_and_column(void)
{
    enum { H = 2, W = 3, ROWS = 6, CH = 8, PAIRS = 4 };
    float table[3][4 * 2 * 2], x[ROWS * CH], y[ROWS * CH], turned[ROWS * CH], norm[CH];
    static const int64_t first_head[] = {0, 1};
    fill(x, ROWS * CH, 9);
    for (int i = 0; i < CH; i++)
        norm[i] = 1.5f;
    for (int axis = 0; axis < 3; axis++) /* frame: 2 pairs of width 4, row and column: 1 pair each */
        for (int position = 0; position < 4; position++)
            for (int p = 0; p < (axis == 0 ? 2 : 1); p++) {
                double angle = position * pow(10000, -2.0 * p / (axis == 0 ? 4 : 2));
                float *entry = table[axis] + (position * (axis == 0 ? 2 : 1) + p) * 2;
                entry[0] = (float)cos(angle);
                entry[1] = (float)sin(angle);
            }
    for (int r = 0; r < ROWS; r++) {
        int token = 8 + r, position[PAIRS] = {token / 6, token / 6, token / 3 % 2, token % 3};
        double square = 0;
        for (int i = 0; i < CH; i++)
            square += (double)x[r * CH + i] * (double)x[r * CH + i] / CH;
        for (int p = 0; p < PAIRS; p++) {
            double angle = position[p] * (p == 1 ? 0.01 : 1), scale = 1.5 / sqrt(square + 1e-6);
            double a = (double)x[r * CH + 2 * p] * scale, b = (double)x[r * CH + 2 * p + 1] * scale;
            turned[r * CH + 2 * p] = (float)(a * cos(angle) - b * sin(angle));
            turned[r * CH + 2 * p + 1] = (float)(a * sin(angle) + b * cos(angle));
        }
    }
    struct reel_rope rope = {.frame = table[0],
                             .row = table[1],
                             .column = table[2],
                             .frame_pairs = 2,
                             .row_pairs = 1,
                             .column_pairs = 1,
                             .H = H,
                             .W = W,
                             .first_token = 8};
    reel_split_heads(&stream, (struct reel_split_heads){.rows = ROWS,
                                                        .heads = 1,
                                                        .channels = CH,
                                                        .x = x,
                                                        .norm = norm,
                                                        .epsilon = 1e-6,
                                                        .rope = &rope,
                                                        .parts = 1,
                                                        .first_head = first_head,
                                                        .y = y});
    agrees("rotation", y, turned, ROWS * CH, 1e-6);
}

static void patches_are_channel_slowest_and_velocity_channel_fastest(void)
{
    enum { F = 2, H = 2, W = 3, CH = 2, PLANE = 4 * H * W };
    float latents[CH * F * PLANE], columns[4 * 4 * CH], tokens[F * H * W * 4 * CH], velocity[CH * F * PLANE];
    for (int i = 0; i < CH * F * PLANE; i++)
        latents[i] = (float)i;
    reel_patchify(&stream, (struct reel_patchify){.tokens = 4,
                                                  .first_token = 7,
                                                  .F = F,
                                                  .H = H,
                                                  .W = W,
                                                  .channels = CH,
                                                  .patch = 2,
                                                  .latents = latents,
                                                  .columns = columns});
    /* token 7 is frame 1, row 0, column 1: pixels (0..1, 2..3) of a plane 6 wide */
    static const float patch[8] = {26, 27, 32, 33, 74, 75, 80, 81};
    CHECK(memcmp(columns, patch, sizeof patch) == 0, "token 7 begins %g %g %g", (double)columns[0],
          (double)columns[1], (double)columns[2]);
    for (int i = 0; i < F * H * W * 4 * CH; i++)
        tokens[i] = (float)i;
    reel_unpatchify(&stream, (struct reel_unpatchify){.F = F,
                                                      .H = H,
                                                      .W = W,
                                                      .channels = CH,
                                                      .patch = 2,
                                                      .tokens = tokens,
                                                      .velocity = velocity});
    CHECK(velocity[(1 * F + 1) * PLANE + 2] == 7 * 8 + 1 &&
              velocity[F * PLANE - PLANE + 6 + 3] == 7 * 8 + 3 * 2,
          "channel 1 of token 7 is %g", (double)velocity[(F + 1) * PLANE + 2]);
}

/* Every pixel of every patch, by the formulas of ops.h. */
static void a_patch_may_have_any_size(void)
{
    enum { F = 2, H = 2, W = 3, CH = 2, LARGEST = 3, ALL = F * H * W * LARGEST * LARGEST * CH };
    for (int64_t p = 1; p <= LARGEST; p++) {
        float latents[ALL], columns[ALL], velocity[ALL];
        int64_t wrong = 0, all = F * H * W * p * p * CH;
        for (int i = 0; i < ALL; i++)
            latents[i] = (float)(i * 7 % 101);
        reel_patchify(&stream, (struct reel_patchify){.tokens = F * H * W,
                                                      .F = F,
                                                      .H = H,
                                                      .W = W,
                                                      .channels = CH,
                                                      .patch = p,
                                                      .latents = latents,
                                                      .columns = columns});
        reel_unpatchify(&stream, (struct reel_unpatchify){.F = F,
                                                          .H = H,
                                                          .W = W,
                                                          .channels = CH,
                                                          .patch = p,
                                                          .tokens = latents,
                                                          .velocity = velocity});
        for (int64_t i = 0; i < all; i++) { /* pixel (row, column) of frame f of channel c */
            int64_t column = i % (p * W), row = i / (p * W) % (p * H), f = i / (p * p * H * W) % F;
            int64_t c = i / (p * p * H * W * F), t = (f * H + row / p) * W + column / p;
            int64_t corner = row % p * p + column % p;
            wrong += columns[(t * CH + c) * p * p + corner] < latents[i] ||
                     columns[(t * CH + c) * p * p + corner] > latents[i];
            wrong += velocity[i] < latents[(t * p * p + corner) * CH + c] ||
                     velocity[i] > latents[(t * p * p + corner) * CH + c];
        }
        CHECK(wrong == 0, "patches of %lld: %lld pixels are wrong", (long long)p, (long long)wrong);
    }
}

static void exponentials_are_right_to_the_ends_of_the_range(void)
{
    static float x[2000], y[2000];
    for (int i = 0; i < 2000; i++)
        x[i] = (float)(i - 1000) * 0.08f;
    reel_silu(&stream, (struct reel_silu){.count = 2000, .x = x, .y = y});
    double worst = 0;
    for (int i = 0; i < 2000; i++) {
        double right_one = (double)x[i] / (1 + exp(-(double)x[i]));
        if (x[i] != 0)
            worst = fmax(worst, fabs((double)y[i] / right_one - 1));
    }
    CHECK(worst < 1e-6, "silu is off by %g", worst);
    float odd[3] = {NAN, INFINITY, -1000.0f};
    reel_silu(&stream, (struct reel_silu){.count = 3, .x = odd, .y = odd});
    CHECK(isnan(odd[0]) && isinf(odd[1]) && odd[2] == 0, "%g %g %g", (double)odd[0], (double)odd[1],
          (double)odd[2]);
    float finite[3] = {1, 2, -INFINITY};
    CHECK(reel_first_nonfinite(&stream, finite, 3) == 2, "infinity is not found");
    CHECK(reel_first_nonfinite(&stream, finite, 2) == -1, "two finite numbers are not");
}

int main(void)
{
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    reel_stream_open(&stream, &reel_ops_cpu, &max, scratch);
    RUN(attention_is_a_softmax_over_all_keys);
    RUN(attention_over_parts_of_the_keys_merges_to_that_over_all);
    RUN(a_norm_over_heads_that_others_have_takes_their_sums);
    RUN(parts_are_added_in_order_and_the_row_last);
    RUN(norms_agree_with_their_formulas);
    RUN(heads_split_over_uneven_parts_and_merge_back);
    RUN(rotation_turns_interleaved_pairs_by_frame_row_and_column);
    RUN(patches_are_channel_slowest_and_velocity_channel_fastest);
    RUN(a_patch_may_have_any_size);
    RUN(exponentials_are_right_to_the_ends_of_the_range);
    CHECK(stream.status == REEL_OK, "%s", reel_error_here()->cause);
    free(scratch);
    return test_end();
}
