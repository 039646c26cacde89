/* GEMMs of bfloat16, and with weights of fp8: their results, and that a row does not depend on the other
 * rows. */
#include "dtype.h"
#include "simd.h"
#include "test_array.h"
#include "ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct reel_scratch max = {
    .in = 8960, .channels = 128, .threads = 2, .weight_dtype = REEL_F8_E4M3};
static struct reel_stream stream;

static void *room(int64_t bytes)
{
    return calloc(1, (size_t)bytes);
}

/* Every code of F8_E4M3 but the two NaNs, in random order. */
static uint8_t *codes_make(int64_t count)
{
    uint8_t *codes = malloc((size_t)count);
    uint32_t state = 9;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        codes[i] = (uint8_t)(state >> 24);
        if ((codes[i] & 0x7f) == 0x7f)
            codes[i] = 0x38; /* 1 */
    }
    return codes;
}

/* With x and y in either dtype, with every activation, with and without bias. */
static void equals_that_of_floats(int64_t rows, int64_t in, int64_t out, enum reel_activation activation,
                                  int has_bias)
{
    struct test_array x = test_array_make(rows * in, 1, 1), w = test_array_make(out * in, 2, 0.25f),
                      b = test_array_make(out, 3, 1);
    float *right = room(rows * out * 4), *wide = room(rows * out * 4);
    uint16_t *narrow = room(rows * out * 2);
    struct reel_gemm a = {.rows = rows,
                          .in = in,
                          .out = out,
                          .x = x.wide,
                          .weight = w.wide,
                          .bias = has_bias ? b.wide : NULL,
                          .y = right,
                          .activation = activation};
    reel_gemm(&stream, a);
    a.y_dtype = REEL_BF16;
    a.y = narrow;
    reel_gemm(&stream, a);
    test_array_check("floats to bfloat16", narrow, right, rows * out);
    a.dtype = a.weight_dtype = REEL_BF16;
    a.x = x.narrow;
    a.weight = w.narrow;
    a.bias = has_bias ? b.narrow : NULL;
    a.y_dtype = REEL_F32;
    a.y = wide;
    reel_gemm(&stream, a);
    int is_of_pairs = stream.simd->bf16_dot.multiply && in % 2 == 0; /* bf16_dot adds in another order */
    CHECK(is_of_pairs ? test_relative_error(wide, right, rows * out) < 2e-6
                      : memcmp(wide, right, (size_t)(rows * out) * sizeof *wide) == 0,
          "bfloat16 to float: %lld x %lld x %lld", (long long)rows, (long long)in, (long long)out);
    a.y_dtype = REEL_BF16;
    a.y = narrow;
    memset(narrow, 0, (size_t)(rows * out) * sizeof *narrow);
    reel_gemm(&stream, a);
    test_array_check("bfloat16 to bfloat16", narrow, wide, rows * out);
    test_array_free(&x);
    test_array_free(&w);
    test_array_free(&b);
    free(right);
    free(wide);
    free(narrow);
}

static void a_gemm_of_bfloat16_is_that_of_floats_rounded_once(void)
{
    static const int64_t shapes[][3] = {
        {200, 203, 787}, {96, 1536, 768}, {1, 64, 100}, {97, 37, 1}, {31, 128, 1536}};
    static const enum reel_activation activations[] = {REEL_IDENTITY, REEL_GELU_TANH, REEL_GELU_ERF,
                                                       REEL_SILU};
    for (int s = 0; s < 5; s++)
        for (int i = 0; i < 4; i++)
            equals_that_of_floats(shapes[s][0], shapes[s][1], shapes[s][2], activations[i], i % 2);
}

/* An element of y in double: x, rounded to e4m3 if `rounds`, times weights of e4m3, then SiLU. */
static float plain(const float *x, const uint8_t *weight, int64_t in, double scale, float bias, int rounds)
{
    double sum = 0;
    for (int64_t k = 0; k < in; k++) {
        float number = rounds ? reel_float_from_f8_e4m3(reel_f8_e4m3_from_float(x[k])) : x[k];
        sum += (double)number * (double)reel_float_from_f8_e4m3(weight[k]);
    }
    double z = sum * scale + (double)bias;
    return (float)(z / (1 + exp(-z)));
}

static void weights_of_fp8_agree_with_a_plain_loop(void)
{
    enum { M = 101, K = 203, OUT = 787 };
    const double scale = 0.0003;
    /* some of x are beyond 448, the largest e4m3 */
    struct test_array x = test_array_make(M * K, 4, 500), b = test_array_make(OUT, 5, 1);
    uint8_t *codes = codes_make(OUT * K);
    float *right = room(M * OUT * 4), *unrounded = room(M * OUT * 4), *y = room(M * OUT * 4);
    uint16_t *narrow = room(M * OUT * 2);
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < OUT; n++) {
            right[m * OUT + n] = plain(x.wide + m * K, codes + n * K, K, scale, b.wide[n], 1);
            unrounded[m * OUT + n] = plain(x.wide + m * K, codes + n * K, K, scale, b.wide[n], 0);
        }
    struct reel_gemm a = {.rows = M,
                          .in = K,
                          .out = OUT,
                          .weight_dtype = REEL_F8_E4M3,
                          .weight_scale = scale,
                          .x = x.wide,
                          .weight = codes,
                          .bias = b.wide,
                          .y = y,
                          .activation = REEL_SILU};
    reel_gemm(&stream, a);
    double error = test_relative_error(y, right, M * OUT);
    CHECK(error < 1e-6, "error %g", error);
    CHECK(test_relative_error(y, unrounded, M * OUT) > 1e-3, "x may as well not be rounded");
    a.dtype = a.y_dtype = REEL_BF16;
    a.x = x.narrow;
    a.bias = b.narrow;
    a.y = narrow;
    reel_gemm(&stream, a);
    test_array_check("fp8 to bfloat16", narrow, y, M * OUT);
    a.weight_scale *= 1.01;
    a.y_dtype = REEL_F32;
    a.y = y;
    reel_gemm(&stream, a);
    CHECK(test_relative_error(y, right, M * OUT) > 1e-6, "another scale passes");
    test_array_free(&x);
    test_array_free(&b);
    free(codes);
    free(right);
    free(unrounded);
    free(y);
    free(narrow);
}

static void a_nan_stays_in_its_row(void)
{
    enum { M = 3, K = 16, OUT = 5 };
    struct test_array x = test_array_make(M * K, 6, 1);
    uint8_t *codes = codes_make(OUT * K);
    float y[M * OUT];
    x.wide[K + 3] = NAN;
    x.wide[2 * K] = INFINITY;
    reel_gemm(&stream, (struct reel_gemm){.rows = M,
                                          .in = K,
                                          .out = OUT,
                                          .weight_dtype = REEL_F8_E4M3,
                                          .weight_scale = 1,
                                          .x = x.wide,
                                          .weight = codes,
                                          .y = y});
    for (int i = 0; i < M * OUT; i++)
        CHECK(isnan(y[i]) == (i / OUT == 1) && (i / OUT == 1 || isfinite(y[i])), "place %d has %g", i,
              (double)y[i]);
    test_array_free(&x);
    free(codes);
}

/* Rows [first, first + count) alone, and by one thread, against the same rows of the whole. */
static void rows_alone_equal_the_whole(int64_t in, int64_t out, enum reel_dtype weights)
{
    enum { M = 200 };
    static const int64_t shards[][2] = {{0, 1},  {M - 1, 1}, {17, 1},     {3, 100},
                                        {95, 2}, {0, 96},    {M - 97, 97}};
    struct test_array x = test_array_make(M * in, 7, 1), w = test_array_make(out * in, 8, 1),
                      b = test_array_make(out, 9, 1);
    uint8_t *codes = codes_make(out * in);
    uint16_t *whole = room(M * out * 2), *part = room(M * out * 2);
    struct reel_gemm a = {.rows = M,
                          .in = in,
                          .out = out,
                          .dtype = REEL_BF16,
                          .weight_dtype = weights,
                          .y_dtype = REEL_BF16,
                          .weight_scale = 0.01,
                          .x = x.narrow,
                          .weight = weights == REEL_F8_E4M3 ? (void *)codes : (void *)w.narrow,
                          .bias = b.narrow,
                          .y = whole,
                          .activation = REEL_GELU_TANH};
    reel_gemm(&stream, a);
    struct reel_stream alone = stream;
    alone.threads = 1;
    a.y = part;
    for (int s = 0; s < 7; s++) {
        a.rows = shards[s][1];
        a.x = x.narrow + shards[s][0] * in;
        reel_gemm(&alone, a);
        CHECK(memcmp(part, whole + shards[s][0] * out, (size_t)(a.rows * out) * sizeof *part) == 0,
              "in %lld out %lld: %lld rows from %lld differ", (long long)in, (long long)out,
              (long long)a.rows, (long long)shards[s][0]);
    }
    CHECK(memcmp(whole, whole + out, (size_t)out * sizeof *whole) != 0, "all rows are one");
    test_array_free(&x);
    test_array_free(&w);
    test_array_free(&b);
    free(codes);
    free(whole);
    free(part);
}

/* The third shape has more input columns than a whole B panel has room for. */
static void a_row_alone_has_the_same_bits(void)
{
    static const int64_t shapes[][2] = {{64, 1536}, {203, 787}, {8960, 500}, {37, 1}};
    for (int s = 0; s < 4; s++) {
        rows_alone_equal_the_whole(shapes[s][0], shapes[s][1], REEL_BF16);
        rows_alone_equal_the_whole(shapes[s][0], shapes[s][1], REEL_F8_E4M3);
    }
}

static void a_panel_that_is_cut_smaller_agrees_with_floats(void)
{
    enum { M = 50, K = 8960, OUT = 500 };
    struct test_array x = test_array_make(M * K, 10, 1), w = test_array_make(OUT * K, 11, 1);
    float *right = room(M * OUT * 4), *y = room(M * OUT * 4);
    struct reel_gemm a = {.rows = M, .in = K, .out = OUT, .x = x.wide, .weight = w.wide, .y = right};
    reel_gemm(&stream, a);
    a.dtype = a.weight_dtype = REEL_BF16;
    a.x = x.narrow;
    a.weight = w.narrow;
    a.y = y;
    reel_gemm(&stream, a);
    double error = test_relative_error(y, right, M * OUT);
    CHECK(error < 1e-6, "error %g", error);
    y[M * OUT / 2] += 1;
    CHECK(test_relative_error(y, right, M * OUT) > 1e-6, "a perturbed answer passes");
    test_array_free(&x);
    test_array_free(&w);
    free(right);
    free(y);
}

int main(void)
{
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    reel_stream_open(&stream, &reel_ops_cpu, &max, scratch);
    RUN(a_gemm_of_bfloat16_is_that_of_floats_rounded_once);
    RUN(weights_of_fp8_agree_with_a_plain_loop);
    RUN(a_nan_stays_in_its_row);
    RUN(a_row_alone_has_the_same_bits);
    RUN(a_panel_that_is_cut_smaller_agrees_with_floats);
    CHECK(stream.status == REEL_OK, "%s", reel_error_here()->cause);
    free(scratch);
    return test_end();
}
