/* A row's result does not depend on how many rows there are, bit for bit. */
#include "ops.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct reel_scratch max = {.in = 8960, .channels = 128, .threads = 2};
static struct reel_stream stream;

static float *noise(int64_t count, uint32_t state)
{
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    return values;
}

/* Rows [first, first + rows) alone against the same rows of the whole result. */
static void rows_alone_equal_the_whole(int64_t in, int64_t out)
{
    enum { M = 400 };
    float *x = noise(M * in, 1), *weight = noise(out * in, 2), *bias = noise(out, 3);
    float *whole = malloc((size_t)(M * out) * sizeof *whole),
          *part = malloc((size_t)(M * out) * sizeof *part);
    struct reel_gemm gemm = {
        .in = in, .out = out, .weight = weight, .bias = bias, .activation = REEL_GELU_TANH};
    gemm.rows = M;
    gemm.x = x;
    gemm.y = whole;
    reel_gemm(&stream, gemm);
    static const int64_t counts[] = {M / 2, M / 3, M / 8, 17, 1};
    for (int c = 0; c < 5; c++)
        for (int64_t first = 0; first + counts[c] <= M; first += 1 + 61 * first / 7 + counts[c] / 3) {
            gemm.rows = counts[c];
            gemm.x = x + first * in;
            gemm.y = part;
            reel_gemm(&stream, gemm);
            CHECK(memcmp(part, whole + first * out, (size_t)(counts[c] * out) * sizeof *part) == 0,
                  "in %lld out %lld: %lld rows from %lld differ", (long long)in, (long long)out,
                  (long long)counts[c], (long long)first);
        }
    free(x);
    free(weight);
    free(bias);
    free(whole);
    free(part);
}

static void every_shape_of_the_models_gives_rows_of_their_own(void)
{
    static const int64_t shapes[][2] = {{64, 1536}, {1536, 1536}, {1536, 8960}, {8960, 1536}, {1536, 64},
                                        {48, 128},  {128, 352},   {352, 128},   {64, 128},    {128, 768},
                                        {96, 200},  {1280, 96},   {37, 1}};
    for (int s = 0; s < 13; s++)
        rows_alone_equal_the_whole(shapes[s][0], shapes[s][1]);
    CHECK(stream.status == REEL_OK, "%s", reel_error_here()->cause);
}

/* y = gelu(x w^T + b) in double. */
static double expected(const float *x, const float *w, float bias, int64_t in)
{
    double z = (double)bias;
    for (int64_t k = 0; k < in; k++)
        z += (double)x[k] * (double)w[k];
    return 0.5 * z * (1.0 + tanh(sqrt(2.0 / M_PI) * (z + 0.044715 * z * z * z)));
}

static void a_gemm_agrees_with_double_precision(void)
{
    enum { M = 101, K = 203, N = 787 };
    float *x = noise(M * K, 4), *weight = noise(N * K, 5), *bias = noise(N, 6),
          *y = malloc(sizeof(float) * M * N);
    float *right = malloc(sizeof(float) * M * N);
    reel_gemm(&stream, (struct reel_gemm){.rows = M,
                                          .in = K,
                                          .out = N,
                                          .x = x,
                                          .weight = weight,
                                          .bias = bias,
                                          .y = y,
                                          .activation = REEL_GELU_TANH});
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++)
            right[m * N + n] = (float)expected(x + m * K, weight + n * K, bias[n], K);
    double error = test_relative_error(y, right, M * N);
    CHECK(error < 1e-6, "error %g", error);
    y[M * N / 2] += 0.01f;
    CHECK(test_relative_error(y, right, M * N) > 1e-6, "a perturbed answer passes");
    free(x);
    free(weight);
    free(bias);
    free(y);
    free(right);
}

static void a_failed_stream_does_nothing_more(void)
{
    struct reel_stream broken = stream;
    float x[4] = {1, 2, 3, 4}, y[4] = {0};
    reel_error_clear();
    reel_stream_fail(&broken, REEL_BAD_DEVICE, "planted");
    reel_silu(&broken, (struct reel_silu){.count = 4, .x = x, .y = y});
    CHECK(y[0] == 0 && broken.status == REEL_BAD_DEVICE, "y is %g", (double)y[0]);
    CHECK(strcmp(reel_error_here()->cause, "planted") == 0, "%s", reel_error_here()->cause);
    reel_error_clear();
}

int main(void)
{
    void *scratch = aligned_alloc(64, (size_t)reel_scratch_bytes(&reel_ops_cpu, &max));
    reel_stream_open(&stream, &reel_ops_cpu, &max, scratch);
    RUN(every_shape_of_the_models_gives_rows_of_their_own);
    RUN(a_gemm_agrees_with_double_precision);
    RUN(a_failed_stream_does_nothing_more);
    free(scratch);
    return test_end();
}
