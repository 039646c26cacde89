/* Matrix products and attention. */
#include "cases.h"

#include <math.h>
#include <stdio.h>

static void issue_gemm(struct reel_stream *stream, const void *arguments)
{
    reel_gemm(stream, *(const struct reel_gemm *)arguments);
}

static void issue_attention(struct reel_stream *stream, const void *arguments)
{
    reel_attention(stream, *(const struct reel_attention *)arguments);
}

int cases_begin(struct measure *measure, const struct cases_size *size, const char *what, char name[80])
{
    snprintf(name, 80, "%s.%lld.%s", size->model, (long long)size->tokens, what);
    return measure_wants(measure, name);
}

/* One linear layer of the transformer. */
struct layer {
    const char *what;
    int64_t in, out;
    enum reel_activation activation;
    enum reel_dtype weight_dtype, y_dtype;
};

static void measure_layer(struct measure *measure, const struct cases_size *size, const struct layer *layer)
{
    char name[80];
    int64_t rows = size->tokens, in = layer->in, out = layer->out;
    enum reel_dtype dtype = layer->weight_dtype == REEL_F32 ? REEL_F32 : REEL_BF16;
    if (!cases_begin(measure, size, layer->what, name))
        return;
    struct reel_gemm gemm = {.rows = rows,
                             .in = in,
                             .out = out,
                             .dtype = dtype,
                             .weight_dtype = layer->weight_dtype,
                             .y_dtype = layer->y_dtype,
                             .weight_scale = 0x1p-8,
                             .x = measure_array(measure, dtype, rows * in),
                             .weight = measure_array(measure, layer->weight_dtype, out * in),
                             .bias = measure_array(measure, dtype, out),
                             .y = measure_array(measure, layer->y_dtype, rows * out),
                             .activation = layer->activation};
    struct measure_work work = {2.0 * (double)rows * (double)in * (double)out,
                                (double)(rows * in * reel_dtype_bytes(dtype) +
                                         out * in * reel_dtype_bytes(layer->weight_dtype) +
                                         rows * out * reel_dtype_bytes(layer->y_dtype)),
                                layer->weight_dtype,
                                .rows = rows,
                                .in = in,
                                .out = out};
    measure_operation(measure, name, issue_gemm, &gemm, work);
}

void cases_gemm(struct measure *measure, const struct cases_size *size)
{
    int64_t D = size->width;
    const enum reel_dtype dtype = size->dtype;
    const struct layer layers[] = {
        {"gemm.q-k-v-o", D, D, REEL_IDENTITY, dtype, dtype},
        {"gemm.ffn-in", D, size->ffn, REEL_GELU_TANH, dtype, dtype},
        {"gemm.ffn-out", size->ffn, D, REEL_IDENTITY, dtype, dtype},
        {"gemm.head", D, 64, REEL_IDENTITY, dtype, REEL_F32},
        {"gemm.patch", 64, D, REEL_IDENTITY, dtype, REEL_F32},
    };
    for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++)
        measure_layer(measure, size, &layers[l]);
}

void cases_gemm_others(struct measure *measure, const struct cases_size *size)
{
    int64_t D = size->width;
    const enum reel_dtype half = REEL_BF16;
    const struct layer layers[] = {
        {"gemm.q-k-v-o-fp8", D, D, REEL_IDENTITY, REEL_F8_E4M3, half},
        {"gemm.ffn-in-fp8", D, size->ffn, REEL_GELU_TANH, REEL_F8_E4M3, half},
        {"gemm.ffn-out-fp8", size->ffn, D, REEL_IDENTITY, REEL_F8_E4M3, half},
        {"gemm.q-k-v-o-fp32", D, D, REEL_IDENTITY, REEL_F32, REEL_F32},
    };
    for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++)
        measure_layer(measure, size, &layers[l]);
}

/* Attention of this many queries to this many keys, by this many heads. */
struct attends {
    const char *what;
    int64_t queries, keys, heads;
    int with_lse, merges;
    enum reel_dtype dtype;
};

struct reel_attention cases_attention_of(struct measure *measure, const struct cases_size *size,
                                         enum reel_dtype dtype, int64_t queries, int64_t keys, int64_t heads)
{
    int64_t columns = heads * size->channels;
    return (struct reel_attention){.queries = queries,
                                   .keys = keys,
                                   .heads = heads,
                                   .channels = size->channels,
                                   .scale = 1 / sqrt((double)size->channels),
                                   .dtype = dtype,
                                   .q = measure_array(measure, dtype, queries * columns),
                                   .q_stride = columns,
                                   .k = measure_array(measure, dtype, keys * columns),
                                   .v = measure_array(measure, dtype, keys * columns),
                                   .kv_stride = columns,
                                   .out = measure_array(measure, dtype, queries * columns),
                                   .out_stride = columns};
}

static void measure_attention(struct measure *measure, const struct cases_size *size,
                              const struct attends *to)
{
    char name[80];
    int64_t columns = to->heads * size->channels, queries = to->queries, keys = to->keys;
    if (!cases_begin(measure, size, to->what, name))
        return;
    struct reel_attention attention = cases_attention_of(measure, size, to->dtype, queries, keys, to->heads);
    attention.merge = to->merges;
    if (to->with_lse)
        attention.lse = measure_array(measure, REEL_F32, queries * to->heads);
    double bytes =
        (double)(columns * reel_dtype_bytes(to->dtype)) * (double)((to->merges ? 3 : 2) * queries + 2 * keys);
    struct measure_work work = {4.0 * (double)queries * (double)keys * (double)columns,
                                bytes,
                                to->dtype,
                                .rows = queries,
                                .in = size->channels,
                                .out = keys,
                                .heads = to->heads};
    measure_operation(measure, name, issue_attention, &attention, work);
}

static void measure_all(struct measure *measure, const struct cases_size *size, const struct attends *all,
                        int count)
{
    for (int a = 0; a < count; a++)
        measure_attention(measure, size, &all[a]);
}

void cases_attention(struct measure *measure, const struct cases_size *size)
{
    int64_t L = size->F * size->H * size->W;
    const struct attends all[] = {
        {"attention.self", size->tokens, L, size->heads, 0, 0, size->dtype},
        {"attention.text", size->tokens, size->text_rows, size->heads, 0, 0, size->dtype},
    };
    measure_all(measure, size, all, sizeof all / sizeof all[0]);
}

/* cuDNN computes sequences of 4096 queries and more; our own kernel computes shorter ones. Also attention of
 * one ring rank's tokens to another's, and with a fourth of the heads, as ulysses cuts them. */
void cases_attention_others(struct measure *measure, const struct cases_size *size)
{
    int64_t L = size->F * size->H * size->W, N = size->heads, n = size->tokens, few = L < 4095 ? L : 4095,
            cut = N / 4;
    const enum reel_dtype dtype = size->dtype;
    const struct attends all[] = {
        {"attention.self-lse", n, n, N, 1, 0, dtype},
        {"attention.self-lse-merge", n, n, N, 1, 1, dtype},
        {"attention.self-ulysses-4", L, L, cut, 0, 0, dtype},
        {"attention.self-own", few, L, N, 0, 0, dtype},
        {"attention.self-own-lse-merge", few, L, N, 1, 1, dtype},
        {"attention.self-fp32", few, few, cut, 0, 0, REEL_F32},
    };
    measure_all(measure, size, all, sizeof all / sizeof all[0]);
}
