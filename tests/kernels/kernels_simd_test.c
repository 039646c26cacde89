/* GEMM and attention of the SIMD kernels: right by any vectors, and with the same bits by 8 and by 16 lanes,
 * except for GEMMs by pairs of bfloat16 (bf16_dot), which are only right. */
#include "simd.h"
#include "float_convert.h"
#include "test_array.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef REEL_SIMD_X86
extern const struct reel_simd lanes_16_by_8, lanes_16_bf16_by_8, lanes_amx_by_8;
#endif

static const struct reel_scratch max = {.in = 1100, .channels = 128, .threads = 2};

enum { TABLES = 8 };

/* The tables of kernels that this processor can run. The first one does without fma; the others use it. */
static int tables(const struct reel_simd *found[TABLES])
{
    int count = 0;
    found[count++] = &reel_simd_4;
#ifdef REEL_SIMD_X86
    if (__builtin_cpu_supports("x86-64-v3")) {
        found[count++] = &reel_simd_8;
        found[count++] = &lanes_16_by_8;
        found[count++] = &lanes_16_bf16_by_8;
        found[count++] = &lanes_amx_by_8;
    }
    if (__builtin_cpu_supports("x86-64-v4"))
        found[count++] = &reel_simd_16;
    if (__builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512bf16"))
        found[count++] = &reel_simd_16_bf16;
    if (reel_amx_is_usable())
        found[count++] = &reel_simd_amx;
#endif
    return count;
}

static struct reel_stream stream_by(const struct reel_simd *simd, void *scratch)
{
    struct reel_stream stream;
    reel_stream_open(&stream, &reel_ops_cpu, &max, scratch);
    stream.simd = simd;
    return stream;
}

/* Runs an operation by every table. The results of every table are checked; those of the tables with fma have
 * the same bits, except for tables with bf16_dot if the operation is of whole pairs of bfloat16. */
static void by_every_table(const char *what, void (*issue)(struct reel_stream *, void *), void *arguments,
                           void *y, int64_t bytes, int is_whole_bf16_pairs,
                           void (*check)(const char *table, const void *y))
{
    const struct reel_simd *found[TABLES];
    int count = tables(found);
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    char *vfma = malloc((size_t)bytes);
    for (int t = 0; t < count; t++) {
        struct reel_stream stream = stream_by(found[t], scratch);
        /* NaN, which must not appear in the result */
        memset(y, 0xff, (size_t)bytes);
        memset(scratch, 0xff, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
        issue(&stream, arguments);
        check(found[t]->name, y);
        if (t == 1)
            memcpy(vfma, y, (size_t)bytes);
        if (is_whole_bf16_pairs && found[t]->bf16_dot.multiply)
            continue;
        CHECK(t < 2 || memcmp(vfma, y, (size_t)bytes) == 0, "%s: %s has other bits than %s", what,
              found[t]->name, found[1]->name);
    }
    free(vfma);
    free(scratch);
}

static void issue_gemm(struct reel_stream *stream, void *arguments)
{
    reel_gemm(stream, *(struct reel_gemm *)arguments);
}

static double *right;
static int64_t right_count;
static double right_bound;
static enum reel_dtype right_dtype;

static void is_right(const char *table, const void *y)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < right_count; i++) {
        double number = right_dtype == REEL_F32 ? (double)((const float *)y)[i]
                                                : (double)reel_widen_bf16(((const uint16_t *)y)[i]);
        error += (number - right[i]) * (number - right[i]);
        size += right[i] * right[i];
    }
    error = sqrt(error / size);
    CHECK(error < right_bound, "%s: error %g", table, error);
}

static void right_begin(int64_t count, enum reel_dtype dtype)
{
    right = malloc((size_t)count * sizeof *right);
    right_count = count;
    right_dtype = dtype;
    right_bound = dtype == REEL_F32 ? 1e-6 : 3e-3;
}

static void gemm_case(int64_t rows, int64_t in, int64_t out, enum reel_dtype dtype)
{
    struct test_array x = test_array_make(rows * in, 1, 1), w = test_array_make(out * in, 2, 0.25f),
                      b = test_array_make(out, 3, 1);
    float *y = malloc((size_t)(rows * out) * sizeof *y);
    int is_wide = dtype == REEL_F32;
    struct reel_gemm a = {.rows = rows,
                          .in = in,
                          .out = out,
                          .dtype = dtype,
                          .weight_dtype = dtype,
                          .y_dtype = dtype,
                          .x = is_wide ? (const void *)x.wide : x.narrow,
                          .weight = is_wide ? (const void *)w.wide : w.narrow,
                          .bias = is_wide ? (const void *)b.wide : b.narrow,
                          .y = y};
    right_begin(rows * out, dtype);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < out; c++) {
            double sum = (double)b.wide[c];
            for (int64_t k = 0; k < in; k++)
                sum += (double)x.wide[r * in + k] * (double)w.wide[c * in + k];
            right[r * out + c] = sum;
        }
    char what[80];
    snprintf(what, sizeof what, "gemm of %lld x %lld x %lld", (long long)rows, (long long)in, (long long)out);
    int64_t bytes = rows * out * reel_dtype_bytes(dtype);
    by_every_table(what, issue_gemm, &a, y, bytes, !is_wide && in % 2 == 0, is_right);
    free(right);
    free(y);
    test_array_free(&x);
    test_array_free(&w);
    test_array_free(&b);
}

static void a_gemm_of_any_shape_is_right_by_any_vectors(void)
{
    static const int64_t shapes[][3] = {{1, 1, 1},       {5, 7, 15},   {6, 256, 16},  {7, 257, 17},
                                        {12, 8, 32},     {13, 9, 33},  {95, 511, 48}, {300, 64, 20},
                                        {290, 513, 900}, {601, 3, 31}, {1, 2, 1},     {33, 70, 40},
                                        {65, 1058, 81}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        gemm_case(shapes[s][0], shapes[s][1], shapes[s][2], REEL_F32);
        gemm_case(shapes[s][0], shapes[s][1], shapes[s][2], REEL_BF16);
    }
}

/* A GEMM of bfloat16 to floats by bf16_dot: against doubles, and against the same values as floats; and rows
 * of it alone, by another number of threads. */
struct pairs_case {
    struct test_array x, weight;
    double *right;
    float *widened, *whole, *part;
    struct reel_gemm a;
};

static struct pairs_case pairs_case_make(int64_t rows, int64_t in, int64_t out)
{
    struct pairs_case p = {.x = test_array_make(rows * in, 1, 1),
                           .weight = test_array_make(out * in, 2, 0.25f)};
    float **arrays[] = {&p.widened, &p.whole, &p.part};
    for (int i = 0; i < 3; i++)
        *arrays[i] = malloc((size_t)(rows * out) * sizeof(float));
    p.a = (struct reel_gemm){.rows = rows,
                             .in = in,
                             .out = out,
                             .dtype = REEL_BF16,
                             .weight_dtype = REEL_BF16,
                             .x = p.x.narrow,
                             .weight = p.weight.narrow};
    p.right = calloc((size_t)(rows * out), sizeof *p.right);
    for (int64_t i = 0; i < rows * out; i++)
        for (int64_t k = 0; k < in; k++)
            p.right[i] += (double)p.x.wide[i / out * in + k] * (double)p.weight.wide[i % out * in + k];
    return p;
}

static void pairs_case_free(struct pairs_case *p)
{
    free(p->right);
    free(p->widened);
    free(p->whole);
    free(p->part);
    test_array_free(&p->x);
    test_array_free(&p->weight);
}

static double error_of(const float *found, const double *sums, int64_t count)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < count; i++) {
        error += ((double)found[i] - sums[i]) * ((double)found[i] - sums[i]);
        size += sums[i] * sums[i];
    }
    return sqrt(error / size);
}

static void pairs_by(const struct reel_simd *simd, struct pairs_case *p, void *scratch)
{
    static const int64_t parts[][2] = {{0, 1}, {1, 1}, {13, 20}, {31, 33}, {63, 2}, {95, 160}, {289, 1}};
    struct reel_stream stream = stream_by(simd, scratch);
    struct reel_gemm a = p->a;
    struct reel_simd widening = *simd;
    widening.bf16_dot.multiply = NULL;
    a.y = p->whole;
    memset(p->whole, 0xff, (size_t)(a.rows * a.out) * sizeof *p->whole);
    memset(scratch, 0xff, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max)); /* NaN: padding must be zeroed */
    reel_gemm(&stream, a);
    double error = error_of(p->whole, p->right, a.rows * a.out);
    CHECK(error < 1e-6, "%s: in %lld: error %g", simd->name, (long long)a.in, error);
    stream.simd = &widening;
    a.y = p->widened;
    reel_gemm(&stream, a);
    int is_widened = memcmp(p->whole, p->widened, (size_t)(a.rows * a.out) * sizeof *p->whole) == 0;
    CHECK(is_widened == (a.in % 2 != 0), "%s: in %lld: has%s the bits of floats", simd->name, (long long)a.in,
          is_widened ? "" : " not");
    p->whole[a.rows * a.out / 2] += 0.1f;
    error = error_of(p->whole, p->right, a.rows * a.out);
    CHECK(error > 1e-6, "%s: a perturbed answer passes", simd->name);
    p->whole[a.rows * a.out / 2] = NAN;
    stream.simd = simd;
    stream.threads = 1;
    a.y = p->whole;
    reel_gemm(&stream, a);
    a.y = p->part;
    stream.threads = 2;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        a.rows = parts[i][1];
        a.x = p->x.narrow + parts[i][0] * a.in;
        reel_gemm(&stream, a);
        CHECK(memcmp(p->part, p->whole + parts[i][0] * a.out, (size_t)(a.rows * a.out) * sizeof *p->part) ==
                  0,
              "%s: in %lld: %lld rows from %lld differ", simd->name, (long long)a.in, (long long)a.rows,
              (long long)parts[i][0]);
    }
}

static void products_of_pairs_are_right_and_each_row_has_its_own_bits(void)
{
    static const int64_t shapes[][2] = {{512, 900}, {1058, 80}, {70, 33}, {69, 33}, {513, 64}};
    const struct reel_simd *found[TABLES];
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    int count = tables(found), with_pairs = 0;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct pairs_case p = pairs_case_make(290, shapes[s][0], shapes[s][1]);
        for (int t = 0; t < count; t++)
            if (found[t]->bf16_dot.multiply) {
                pairs_by(found[t], &p, scratch);
                with_pairs++;
            }
        pairs_case_free(&p);
    }
    printf("%d products of pairs\n", with_pairs);
    free(scratch);
}

static void pairs_that_disagree_with_floats_are_refused(void)
{
    const struct reel_simd *found[TABLES];
    for (int t = 0, count = tables(found); t < count; t++)
        if (found[t]->bf16_dot.multiply) {
            struct reel_simd wrong = *found[t];
            CHECK(reel_simd_agree(found[t]), "%s disagrees", found[t]->name);
            wrong.bf16_dot = wrong.floats;
            CHECK(!reel_simd_agree(&wrong), "%s: pairs as floats pass", found[t]->name);
        }
}

static void issue_attention(struct reel_stream *stream, void *arguments)
{
    reel_attention(stream, *(struct reel_attention *)arguments);
}

/* softmax(scale q k^T) v of one query of a head, in double. */
static void attend(const struct reel_attention *a, const struct test_array *q, const struct test_array *k,
                   const struct test_array *v, int64_t query, int64_t head, double *out)
{
    double *weight = malloc((size_t)a->keys * sizeof *weight), largest = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        weight[j] = 0;
        for (int64_t c = 0; c < a->channels; c++)
            weight[j] += a->scale * (double)q->wide[query * a->q_stride + head * a->channels + c] *
                         (double)k->wide[j * a->kv_stride + head * a->channels + c];
        largest = fmax(largest, weight[j]);
    }
    for (int64_t j = 0; j < a->keys; j++)
        sum += weight[j] = exp(weight[j] - largest);
    for (int64_t c = 0; c < a->channels; c++) {
        out[c] = 0;
        for (int64_t j = 0; j < a->keys; j++)
            out[c] += weight[j] / sum * (double)v->wide[j * a->kv_stride + head * a->channels + c];
    }
    free(weight);
}

static void attention_case(int64_t queries, int64_t keys, int64_t heads, int64_t channels, double scale,
                           enum reel_dtype dtype)
{
    int64_t width = heads * channels;
    struct test_array q = test_array_make(queries * width, 1, 1), k = test_array_make(keys * width, 2, 1),
                      v = test_array_make(keys * width, 3, 1);
    float *y = malloc((size_t)(queries * width) * sizeof *y);
    int is_wide = dtype == REEL_F32;
    struct reel_attention a = {.queries = queries,
                               .keys = keys,
                               .heads = heads,
                               .channels = channels,
                               .scale = scale,
                               .dtype = dtype,
                               .q = is_wide ? (const void *)q.wide : q.narrow,
                               .q_stride = width,
                               .k = is_wide ? (const void *)k.wide : k.narrow,
                               .v = is_wide ? (const void *)v.wide : v.narrow,
                               .kv_stride = width,
                               .out = y,
                               .out_stride = width};
    right_begin(queries * width, dtype);
    if (scale > 1) /* float rounds a larger score by more */
        right_bound *= 4;
    for (int64_t i = 0; i < queries; i++)
        for (int64_t h = 0; h < heads; h++)
            attend(&a, &q, &k, &v, i, h, right + i * width + h * channels);
    char what[80];
    snprintf(what, sizeof what, "attention of %lld to %lld, %lld channels", (long long)queries,
             (long long)keys, (long long)channels);
    by_every_table(what, issue_attention, &a, y, queries * width * reel_dtype_bytes(dtype), 0, is_right);
    free(right);
    free(y);
    test_array_free(&q);
    test_array_free(&k);
    test_array_free(&v);
}

static void attention_of_any_shape_is_right_by_any_vectors(void)
{
    static const int64_t shapes[][4] = {{1, 1, 1, 1},     {3, 5, 2, 6},     {16, 132, 1, 16},
                                        {17, 133, 2, 20}, {33, 300, 1, 64}, {289, 265, 2, 32},
                                        {40, 131, 3, 128}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int64_t *shape = shapes[s];
        double scale = 1 / sqrt((double)shape[3]);
        attention_case(shape[0], shape[1], shape[2], shape[3], scale, REEL_F32);
        attention_case(shape[0], shape[1], shape[2], shape[3], scale, REEL_BF16);
        attention_case(shape[0], shape[1], shape[2], shape[3], 40 * scale, REEL_F32); /* few keys count */
    }
}

/* A NaN or infinity in a query makes the output of that query, and of no other, non-finite. */
static void what_is_no_number_stays_none(void)
{
    enum { QUERIES = 20, KEYS = 140, C = 16 };
    static const float bad[] = {NAN, HUGE_VALF, -HUGE_VALF};
    const struct reel_simd *found[TABLES];
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    for (int t = 0, count = tables(found); t < count; t++)
        for (int b = 0; b < 3; b++) {
            struct test_array q = test_array_make(QUERIES * C, 1, 1), k = test_array_make(KEYS * C, 2, 1);
            float y[QUERIES * C];
            struct reel_stream stream = stream_by(found[t], scratch);
            q.wide[7 * C + 3] = bad[b];
            reel_attention(&stream, (struct reel_attention){.queries = QUERIES,
                                                            .keys = KEYS,
                                                            .heads = 1,
                                                            .channels = C,
                                                            .scale = 0.25,
                                                            .q = q.wide,
                                                            .q_stride = C,
                                                            .k = k.wide,
                                                            .v = k.wide,
                                                            .kv_stride = C,
                                                            .out = y,
                                                            .out_stride = C});
            for (int i = 0; i < QUERIES * C; i++)
                CHECK((isfinite(y[i]) != 0) == (i / C != 7), "%s: %g: number %d is %g", found[t]->name,
                      (double)bad[b], i, (double)y[i]);
            test_array_free(&q);
            test_array_free(&k);
        }
    free(scratch);
}

enum { CHANNELS = 4 };

/* One query and that many keys, by every table. */
static void attend_once(const float *q, const float *k, const float *v, int64_t keys, double scale,
                        void (*check)(const char *table, const float *out, float lse))
{
    const struct reel_simd *found[TABLES];
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    for (int t = 0, count = tables(found); t < count; t++) {
        struct reel_stream stream = stream_by(found[t], scratch);
        float out[CHANNELS], lse;
        reel_attention(&stream, (struct reel_attention){.queries = 1,
                                                        .keys = keys,
                                                        .heads = 1,
                                                        .channels = CHANNELS,
                                                        .scale = scale,
                                                        .q = q,
                                                        .q_stride = CHANNELS,
                                                        .k = k,
                                                        .v = v,
                                                        .kv_stride = CHANNELS,
                                                        .out = out,
                                                        .out_stride = CHANNELS,
                                                        .lse = &lse});
        check(found[t]->name, out, lse);
    }
    free(scratch);
}

enum { MANY = 13200 }; /* keys */

static void is_even(const char *table, const float *out, float lse)
{
    CHECK(fabsf(out[0]) < 1e-7f, "%s: as many of 1 as of -1 are %g", table, (double)out[0]);
    CHECK(fabs((double)lse - log(MANY)) < 1e-6, "%s: lse %.9g", table, (double)lse);
}

/* If the maximum stays the same over a hundred tiles, the weights of the first tile stay as they are. */
static void equal_keys_weigh_the_same_however_far_apart(void)
{
    static float k[MANY * CHANNELS], v[MANY * CHANNELS];
    const float q[CHANNELS] = {1};
    for (int j = 0; j < MANY; j++)
        v[j * CHANNELS] = j < MANY / 2 ? 1 : -1;
    attend_once(q, k, v, MANY, 1, is_even);
}

static void is_the_mean(const char *table, const float *out, float lse)
{
    CHECK(out[0] == 0.5f && fabs((double)lse - log(2)) < 1e-6, "%s: %g, lse %g", table, (double)out[0],
          (double)lse);
}

static void a_scale_of_zero_makes_all_keys_equal(void)
{
    const float q[CHANNELS] = {1}, k[2 * CHANNELS] = {5}, v[2 * CHANNELS] = {1};
    attend_once(q, k, v, 2, 0, is_the_mean);
}

static void is_the_second(const char *table, const float *out, float lse)
{
    CHECK(out[0] == 1 && lse == 500, "%s: %g, lse %g", table, (double)out[0], (double)lse);
}

static void a_key_far_below_the_largest_weighs_nothing(void)
{
    const float q[CHANNELS] = {1}, k[2 * CHANNELS] = {-500, 0, 0, 0, 500},
                v[2 * CHANNELS] = {3e38f, 0, 0, 0, 1};
    attend_once(q, k, v, 2, 1, is_the_second);
}

static void is_none(const char *table, const float *out, float lse)
{
    CHECK(isnan(out[0]) && !isfinite(lse), "%s: %g, lse %g", table, (double)out[0], (double)lse);
}

static void where_no_key_weighs_anything_there_is_no_result(void)
{
    const float q[CHANNELS] = {-HUGE_VALF}, k[2 * CHANNELS] = {1, 0, 0, 0, 1},
                v[2 * CHANNELS] = {1, 0, 0, 0, 1};
    attend_once(q, k, v, 2, 1, is_none);
}

static void multiply_needs_nothing_ahead(void)
{
    const struct reel_simd *found[TABLES];
    static float a_panel[REEL_A_PANEL_ROWS_MAX], b_panel[REEL_B_PANEL_COLUMNS_MAX],
        y[REEL_A_PANEL_ROWS_MAX * REEL_B_PANEL_COLUMNS_MAX];
    a_panel[0] = 2;
    b_panel[0] = 3;
    for (int t = 0, count = tables(found); t < count; t++) {
        found[t]->floats.multiply(1, 1, a_panel, b_panel, y, found[t]->b_panel_columns, 0, NULL);
        CHECK(y[0] == 6 && y[1] == 0, "%s: %g %g", found[t]->name, (double)y[0], (double)y[1]);
    }
}

int main(void)
{
    RUN(a_gemm_of_any_shape_is_right_by_any_vectors);
    RUN(products_of_pairs_are_right_and_each_row_has_its_own_bits);
    RUN(pairs_that_disagree_with_floats_are_refused);
    RUN(attention_of_any_shape_is_right_by_any_vectors);
    RUN(what_is_no_number_stays_none);
    RUN(equal_keys_weigh_the_same_however_far_apart);
    RUN(a_scale_of_zero_makes_all_keys_equal);
    RUN(a_key_far_below_the_largest_weighs_nothing);
    RUN(where_no_key_weighs_anything_there_is_no_result);
    RUN(multiply_needs_nothing_ahead);
    return test_end();
}
