/* GEMM and attention of the GPU against those of the CPU; there too, the bits of a row do not depend on the
 * other rows. */
#include "gpu.h"
#include "matrix_fixture.h"
#include "test.h"

#include <string.h>

#ifndef REEL_TEST_EMULATED
#define REEL_TEST_EMULATED 0 /* 1: on the fake of CUDA, on which long sequences would take hours */
#endif

/* ---- GEMM */

struct gemm_case {
    int64_t rows, in, out;
    enum reel_dtype dtype, weight_dtype, y_dtype;
    enum reel_activation activation;
    int has_bias;
};

/* By how much the GPU may differ: float sums in another order, rounding to 16 bits, and the precision of
 * Hopper's sums of fp8. */
static double gemm_tolerance(const struct gemm_case *c)
{
    return c->y_dtype == REEL_BF16 ? 4e-3 : c->weight_dtype == REEL_F8_E4M3 ? 1e-3 : 4e-6;
}

static void gemm_equals_the_host(const struct gemm_case *c)
{
    struct fixture_array x = fixture_noise(c->rows * c->in, c->dtype, 1),
                         w = fixture_noise(c->out * c->in, c->weight_dtype, 2),
                         bias = fixture_noise(c->out, c->dtype, 3),
                         y = fixture_room(c->rows * c->out, c->y_dtype);
    float *right = fixture_floats(c->rows * c->out), *wrong = fixture_floats(c->rows * c->out), *found;
    const struct reel_gemm on_host = {.rows = c->rows,
                                      .in = c->in,
                                      .out = c->out,
                                      .dtype = c->dtype,
                                      .weight_dtype = c->weight_dtype,
                                      .weight_scale = 0.625,
                                      .x = x.host,
                                      .weight = w.host,
                                      .bias = c->has_bias ? bias.host : NULL,
                                      .y = right,
                                      .activation = c->activation};
    struct reel_gemm a = on_host;
    reel_gemm(&fixture_cpu, a);
    a.y_dtype = c->y_dtype;
    a.x = x.device;
    a.weight = w.device;
    a.bias = c->has_bias ? bias.device : NULL;
    a.y = y.device;
    reel_gemm(&fixture_gpu, a);
    found = fixture_found(&y);
    /* the wrong answer: without the last column of x, as from a loop that ends too early */
    for (int64_t r = 0; r < c->rows; r++)
        memset((char *)x.host + ((r + 1) * c->in - 1) * reel_dtype_bytes(c->dtype), 0,
               (size_t)reel_dtype_bytes(c->dtype));
    a = on_host;
    a.y = wrong;
    reel_gemm(&fixture_cpu, a);
    fixture_compare("gemm", found, right, wrong, c->rows * c->out, gemm_tolerance(c));
    CHECK(fixture_gpu.status == REEL_OK && fixture_cpu.status == REEL_OK, "%lld x %lld x %lld: %s",
          (long long)c->rows, (long long)c->in, (long long)c->out, reel_error_here()->cause);
    fixture_free(&x), fixture_free(&w), fixture_free(&bias), fixture_free(&y);
    free(right), free(wrong), free(found);
}

static const enum reel_dtype gemm_dtypes[][3] = {
    {REEL_F32, REEL_F32, REEL_F32},       {REEL_F32, REEL_F32, REEL_BF16},
    {REEL_BF16, REEL_BF16, REEL_F32},     {REEL_BF16, REEL_BF16, REEL_BF16},
    {REEL_BF16, REEL_F8_E4M3, REEL_BF16}, {REEL_BF16, REEL_F8_E4M3, REEL_F32},
    {REEL_F32, REEL_F8_E4M3, REEL_F32},
};

static void every_precision_and_activation_is_that_of_the_cpu(void)
{
    static const int64_t shapes[][3] = {{70, 64, 96}, {1, 48, 64}, {33, 37, 21}, {5, 256, 130}, {65, 144, 1}};
    for (int s = 0; s < 5; s++)
        for (int p = 0; p < 7; p++)
            for (int activation = REEL_IDENTITY; activation <= REEL_SILU; activation++)
                for (int has_bias = 0; has_bias < 2; has_bias++)
                    gemm_equals_the_host(&(struct gemm_case){
                        shapes[s][0], shapes[s][1], shapes[s][2], gemm_dtypes[p][0], gemm_dtypes[p][1],
                        gemm_dtypes[p][2], (enum reel_activation)activation, has_bias});
}

/* GEMMs that do not fit into scratch memory at once. */
static void long_gemms_in_pieces_are_those_of_the_cpu(void)
{
    gemm_equals_the_host(&(struct gemm_case){4100, 16, 24, REEL_BF16, REEL_F8_E4M3, REEL_BF16, REEL_SILU, 1});
    gemm_equals_the_host(
        &(struct gemm_case){3, 8, 1 << 22, REEL_BF16, REEL_BF16, REEL_BF16, REEL_GELU_ERF, 1});
}

/* Some rows alone against the same rows of the whole. */
static void rows_are_their_own(int64_t in, int64_t out, const enum reel_dtype *p,
                               enum reel_activation activation)
{
    int64_t rows = REEL_TEST_EMULATED ? 150 : 5000, x_bytes = reel_dtype_bytes(p[0]),
            y_bytes = reel_dtype_bytes(p[2]);
    static const int64_t counts[] = {1, 17, 64, 131};
    struct fixture_array x = fixture_noise(rows * in, p[0], 4), w = fixture_noise(out * in, p[1], 5),
                         bias = fixture_noise(out, p[0], 6), y = fixture_room(rows * out, p[2]),
                         part = fixture_room(rows * out, p[2]);
    struct reel_gemm a = {.rows = rows,
                          .in = in,
                          .out = out,
                          .dtype = p[0],
                          .weight_dtype = p[1],
                          .y_dtype = p[2],
                          .weight_scale = 1,
                          .x = x.device,
                          .weight = w.device,
                          .bias = bias.device,
                          .y = y.device,
                          .activation = activation};
    reel_gemm(&fixture_gpu, a);
    fixture_fetch(&y);
    for (int c = 0; c < 4; c++) {
        int64_t first = (rows - counts[c]) / 8 * 8 * c / 4 / 8 * 8;
        a.rows = counts[c];
        a.x = (const char *)x.device + first * in * x_bytes;
        a.y = part.device;
        reel_gemm(&fixture_gpu, a);
        fixture_fetch(&part);
        CHECK(memcmp(part.host, (char *)y.host + first * out * y_bytes,
                     (size_t)(counts[c] * out * y_bytes)) == 0,
              "%lld to %lld: %lld rows from %lld differ", (long long)in, (long long)out, (long long)counts[c],
              (long long)first);
    }
    fixture_free(&x), fixture_free(&w), fixture_free(&bias), fixture_free(&y), fixture_free(&part);
}

static void rows_of_a_gemm_do_not_depend_on_their_number(void)
{
    static const int64_t shapes[][2] = {{64, 128}, {128, 64}, {37, 50}};
    static const int64_t models[][2] = {{64, 1536},  {1536, 1536}, {1536, 8960},  {8960, 1536}, {1536, 64},
                                        {144, 5120}, {5120, 5120}, {5120, 13824}, {256, 1536}};
    for (int p = 0; p < 7; p++) {
        for (int s = 0; s < 3; s++)
            rows_are_their_own(shapes[s][0], shapes[s][1], gemm_dtypes[p], (enum reel_activation)s);
        for (int s = 0; s < 9 && !REEL_TEST_EMULATED; s++)
            rows_are_their_own(models[s][0], models[s][1], gemm_dtypes[p], (enum reel_activation)(s % 4));
    }
}

/* ---- Attention */

struct attention_case {
    int64_t queries, keys, heads, channels, gap; /* between rows */
    enum reel_dtype dtype;
    int add, with_lse;
    int64_t parts; /* of the keys, whose results are merged */
};

struct attention_arrays {
    struct fixture_array q, k, v, out, lse;
};

static struct attention_arrays attention_make(const struct attention_case *c)
{
    int64_t stride = c->heads * c->channels + c->gap;
    return (struct attention_arrays){
        fixture_noise(c->queries * stride, c->dtype, 7), fixture_noise(c->keys * stride, c->dtype, 8),
        fixture_noise(c->keys * stride, c->dtype, 9), fixture_noise(c->queries * stride, c->dtype, 10),
        fixture_room(c->queries * c->heads, REEL_F32)};
}

static void attention_free(struct attention_arrays *a)
{
    fixture_free(&a->q), fixture_free(&a->k), fixture_free(&a->v), fixture_free(&a->out),
        fixture_free(&a->lse);
}

/* Attention of the queries to the first `keys` keys, part by part. */
static void attend(struct reel_stream *stream, const struct attention_case *c,
                   const struct attention_arrays *arrays, int64_t keys)
{
    int64_t stride = c->heads * c->channels + c->gap, bytes = reel_dtype_bytes(c->dtype);
    int on_host = stream == &fixture_cpu;
    const char *k = on_host ? arrays->k.host : arrays->k.device,
               *v = on_host ? arrays->v.host : arrays->v.device;
    struct reel_attention a = {.queries = c->queries,
                               .heads = c->heads,
                               .channels = c->channels,
                               .scale = 0.3,
                               .dtype = c->dtype,
                               .q = on_host ? arrays->q.host : arrays->q.device,
                               .q_stride = stride,
                               .kv_stride = stride,
                               .out = on_host ? arrays->out.host : arrays->out.device,
                               .out_stride = stride,
                               .add = c->add,
                               .lse = c->with_lse ? (on_host ? arrays->lse.host : arrays->lse.device) : NULL};
    for (int64_t p = 0; p < c->parts; p++) {
        int64_t first = keys * p / c->parts;
        a.keys = keys * (p + 1) / c->parts - first;
        a.k = k + first * stride * bytes;
        a.v = v + first * stride * bytes;
        a.merge = p > 0;
        reel_attention(stream, a);
    }
}

/* Compares all of out: the gaps between rows must not change. The CPU computes in float, on the values that
 * the GPU is given. */
static void attention_equals_the_host(const struct attention_case *c)
{
    struct attention_arrays arrays = attention_make(c), wide = arrays, less;
    struct attention_case exact = *c;
    exact.dtype = REEL_F32;
    exact.parts = 1;
    wide.q = fixture_widened(&arrays.q), wide.k = fixture_widened(&arrays.k),
    wide.v = fixture_widened(&arrays.v);
    wide.out = fixture_widened(&arrays.out), wide.lse = fixture_room(c->queries * c->heads, REEL_F32);
    less = wide;
    less.out = fixture_widened(&arrays.out), less.lse = fixture_room(c->queries * c->heads, REEL_F32);
    attend(&fixture_cpu, &exact, &wide, c->keys);
    attend(&fixture_cpu, &exact, &less, c->keys > 1 ? c->keys - 1 : 1);
    attend(&fixture_gpu, c, &arrays, c->keys);
    float *out = fixture_found(&arrays.out);
    int narrow = c->dtype == REEL_BF16;
    fixture_compare("attention", out, wide.out.host, c->keys > 1 ? less.out.host : NULL, arrays.out.count,
                    narrow ? 8e-3 : 1e-5);
    free(out);
    if (c->with_lse) {
        float *lse = fixture_found(&arrays.lse);
        fixture_compare("log-sum-exp", lse, wide.lse.host, c->keys > 1 ? less.lse.host : NULL,
                        arrays.lse.count, narrow ? 1e-4 : 1e-5);
        free(lse);
    }
    CHECK(fixture_gpu.status == REEL_OK && fixture_cpu.status == REEL_OK,
          "%lld queries, %lld keys of %lld: %s", (long long)c->queries, (long long)c->keys,
          (long long)c->channels, reel_error_here()->cause);
    fixture_free(&less.out), fixture_free(&less.lse);
    attention_free(&wide), attention_free(&arrays);
}

static void attention_of_every_shape_is_that_of_the_cpu(void)
{
    static const int64_t shapes[][5] = {{1, 1, 1, 32, 0},     {1, 37, 3, 128, 8},  {130, 150, 2, 64, 16},
                                        {129, 97, 2, 128, 0}, {70, 65, 5, 32, 0},  {33, 40, 2, 20, 0},
                                        {65, 130, 1, 96, 3},  {3, 70, 12, 128, 0}, {40, 33, 2, 64, 4}};
    for (int s = 0; s < 9; s++)
        for (int narrow = 0; narrow < 2; narrow++)
            for (int kind = 0; kind < 4; kind++)
                attention_equals_the_host(
                    &(struct attention_case){shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3],
                                             shapes[s][4], narrow ? REEL_BF16 : REEL_F32, kind == 1,
                                             kind >= 2, kind == 3 && shapes[s][1] >= 3 ? 3 : 1});
}

/* Long sequences, which cuDNN computes if it is available. */
static void attention_of_long_sequences_is_that_of_the_cpu(void)
{
    for (int kind = 0; kind < 4; kind++)
        attention_equals_the_host(&(struct attention_case){17000, 4100 + (kind == 3 ? 8200 : 0), 2, 128, 8,
                                                           REEL_BF16, kind == 1, kind >= 2,
                                                           kind == 3 ? 3 : 1});
    if (!REEL_TEST_EMULATED) /* more queries than fit into scratch memory */
        attention_equals_the_host(&(struct attention_case){124000, 4100, 1, 128, 8, REEL_BF16, 1, 0, 1});
}

/* Computes each head alone, as Ulysses cuts them, and, with cuts_queries, the queries in parts, as cuts of
 * tokens do. */
static void parts_are_their_own(const struct attention_case *c, int cuts_queries)
{
    struct attention_arrays arrays = attention_make(c);
    int64_t stride = c->heads * c->channels + c->gap, bytes = reel_dtype_bytes(c->dtype);
    int64_t out_bytes = c->queries * stride * bytes;
    char *whole = malloc((size_t)out_bytes), *out = arrays.out.device;
    attend(&fixture_gpu, c, &arrays, c->keys);
    fixture_fetch(&arrays.out);
    memcpy(whole, arrays.out.host, (size_t)out_bytes);
    memset(arrays.out.host, 0xff, (size_t)out_bytes);
    reel_upload(&fixture_gpu, arrays.out.device, arrays.out.host, out_bytes);
    struct reel_attention a = {.keys = c->keys,
                               .heads = 1,
                               .channels = c->channels,
                               .scale = 0.3,
                               .dtype = c->dtype,
                               .q_stride = stride,
                               .kv_stride = stride,
                               .out_stride = stride};
    int64_t step = cuts_queries ? 29 : c->queries;
    for (int64_t head = 0; head < c->heads; head++)
        for (int64_t first = 0; first < c->queries; first += step) {
            int64_t column = head * c->channels * bytes, row = first * stride * bytes;
            a.queries = c->queries - first < step ? c->queries - first : step;
            a.q = (char *)arrays.q.device + row + column;
            a.k = (char *)arrays.k.device + column;
            a.v = (char *)arrays.v.device + column;
            a.out = out + row + column;
            reel_attention(&fixture_gpu, a);
        }
    fixture_fetch(&arrays.out);
    CHECK(memcmp(whole, arrays.out.host, (size_t)out_bytes) == 0,
          "%lld queries of %lld heads of %lld apart differ", (long long)c->queries, (long long)c->heads,
          (long long)c->channels);
    free(whole);
    attention_free(&arrays);
}

static void heads_and_queries_do_not_depend_on_their_number(void)
{
    static const int64_t channels[] = {20, 32, 64, 128};
    for (int c = 0; c < 4; c++)
        for (int narrow = 0; narrow < 2; narrow++)
            parts_are_their_own(
                &(struct attention_case){140, 75, 2, channels[c], 0, narrow ? REEL_BF16 : REEL_F32, 0, 0, 1},
                1);
    if (!REEL_TEST_EMULATED)
        parts_are_their_own(&(struct attention_case){20000, 20000, 3, 128, 0, REEL_BF16, 0, 0, 1}, 0);
}

static void what_was_chosen_is_told_in_order_and_once(void)
{
    char text[65536], last[512] = "", few[40];
    int64_t lines = 0;
    reel_gpu_gemm_algorithms(text, sizeof text);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        CHECK(strcmp(last, line) < 0, "'%s' does not come after '%s'", line, last);
        CHECK(strncmp(line, "gemm ", 5) == 0 || strncmp(line, "attention ", 10) == 0, "'%s'", line);
        snprintf(last, sizeof last, "%s", line);
        lines++;
    }
    CHECK(lines > 10, "%lld lines", (long long)lines);
    reel_gpu_gemm_algorithms(few, sizeof few);
    CHECK(strlen(few) < sizeof few, "'%s'", few);
}

int main(void)
{
    int began = fixture_begin();
    if (began != 0)
        return began;
    RUN(every_precision_and_activation_is_that_of_the_cpu);
    RUN(long_gemms_in_pieces_are_those_of_the_cpu);
    RUN(rows_of_a_gemm_do_not_depend_on_their_number);
    RUN(attention_of_every_shape_is_that_of_the_cpu);
    if (!REEL_TEST_EMULATED)
        RUN(attention_of_long_sequences_is_that_of_the_cpu);
    RUN(heads_and_queries_do_not_depend_on_their_number);
    RUN(what_was_chosen_is_told_in_order_and_once);
    fixture_end();
    return test_end();
}
