/* Attention on the host: tiles of queries against tiles of keys with an online softmax (Milakov and
 * Gimelshein 2018; FlashAttention, Dao et al. 2022), both products by oneDNN's sgemm. No buffer grows with
 * the sequence. */
#include "cpu.h"
#include "elements.h"
#include "pulse.h"

#include <dnnl.h>
#include <omp.h>
#include <string.h>

enum { LANES = 16 };

/* The state of one tile: scores [tile, keys of a tile], the sum so far [tile, C], and per query its
 * maximum and weight; and room for a tile of keys and of values [keys of a tile, C], where they have to be
 * widened. */
struct tile {
    float *q, *scores, *sum;
    float *maximum, *weight;
    float *k, *v;
};

static struct tile tile_in(float *scratch, int64_t channels)
{
    struct tile t;
    t.q = scratch;
    t.sum = t.q + REEL_QUERY_TILE * channels;
    t.scores = t.sum + REEL_QUERY_TILE * channels;
    t.maximum = t.scores + REEL_QUERY_TILE * REEL_KEY_TILE;
    t.weight = t.maximum + REEL_QUERY_TILE;
    t.k = t.weight + REEL_QUERY_TILE;
    t.v = t.k + REEL_KEY_TILE * channels;
    return t;
}

/* Turns a row of scores into exp(score - maximum), returns their sum. Lanes are summed in a fixed order. */
REEL_SIMD
static float exponentials(float *scores, int64_t count, float maximum)
{
    float lane[LANES] = {0};
    int64_t whole = count - count % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++) {
            float e = reel_exp(scores[i + j] - maximum);
            scores[i + j] = e;
            lane[j] += e;
        }
    for (int64_t i = whole; i < count; i++) {
        scores[i] = reel_exp(scores[i] - maximum);
        lane[i - whole] += scores[i];
    }
    float sum = 0;
    for (int64_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

REEL_SIMD
static float largest_of(const float *scores, int64_t count, float largest)
{
    for (int64_t i = 0; i < count; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    return largest;
}

/* Takes one tile of keys into the running softmax of every query. */
static void fold(struct tile *t, int64_t rows, int64_t keys, int64_t channels)
{
    for (int64_t r = 0; r < rows; r++) {
        float *scores = t->scores + r * REEL_KEY_TILE, *sum = t->sum + r * channels;
        float maximum = largest_of(scores, keys, t->maximum[r]);
        float shrink = reel_exp(t->maximum[r] - maximum);
        t->weight[r] = t->weight[r] * shrink + exponentials(scores, keys, maximum);
        t->maximum[r] = maximum;
        for (int64_t c = 0; c < channels; c++)
            sum[c] *= shrink;
    }
}

REEL_ELEMENT void write_numbers(void *out, enum reel_precision numbers, struct reel_merged merged,
                                const float *sum, float weight, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        reel_set_number(out, c, numbers,
                        reel_merged_number(merged, reel_number(out, c, numbers), sum[c] / weight));
}

/* The result of one query: sum / weight; added to, or merged with, what is there. */
static void write_out(const struct reel_attention *a, int64_t head, int64_t query, const float *sum,
                      float maximum, float weight)
{
    void *out = reel_at(a->out, query * a->out_stride + head * a->channels, a->numbers);
    float *lse = a->lse ? a->lse + query * a->heads + head : NULL;
    double here = lse ? (double)maximum + log((double)weight) : 0;
    struct reel_merged merged = {.kept = a->add ? 1 : 0, .taken = 1, .lse = here};
    if (a->merge)
        merged = reel_merge_of((double)*lse, here);
    if (lse)
        *lse = (float)merged.lse;
    if (a->numbers == REEL_BFLOAT16)
        write_numbers(out, REEL_BFLOAT16, merged, sum, weight, a->channels);
    else
        write_numbers(out, REEL_FP32, merged, sum, weight, a->channels);
}

/* A tile of keys or values as floats, and the elements from one of its rows to the next: where it lies, or
 * widened in `room`. */
static const float *floats_of(const struct reel_attention *a, const void *rows, int64_t count, float *room,
                              int64_t *stride)
{
    *stride = a->numbers == REEL_FP32 ? a->kv_stride : a->channels;
    if (a->numbers == REEL_FP32)
        return rows;
    for (int64_t r = 0; r < count; r++)
        reel_widen_cpu(reel_at(rows, r * a->kv_stride, a->numbers), a->channels, a->numbers,
                       room + r * a->channels);
    return room;
}

/* Takes the keys [key, key + keys) of a head into the tile. */
static dnnl_status_t key_tile(struct tile *t, const struct reel_attention *a, int64_t head, int64_t size,
                              int64_t key)
{
    int64_t C = a->channels, first = key * a->kv_stride + head * C, k_stride, v_stride;
    int64_t keys = a->keys - key < REEL_KEY_TILE ? a->keys - key : REEL_KEY_TILE;
    const float *k = floats_of(a, reel_at(a->k, first, a->numbers), keys, t->k, &k_stride);
    const float *v = floats_of(a, reel_at(a->v, first, a->numbers), keys, t->v, &v_stride);
    dnnl_status_t done = dnnl_sgemm('N', 'T', size, keys, C, (float)a->scale, t->q, C, k, k_stride, 0.0f,
                                    t->scores, REEL_KEY_TILE);
    if (done != dnnl_success)
        return done;
    fold(t, size, keys, C);
    return dnnl_sgemm('N', 'N', size, C, keys, 1.0f, t->scores, REEL_KEY_TILE, v, v_stride, 1.0f, t->sum, C);
}

/* The queries [first, first + rows) of one head. Tiles always have tile_rows rows, so that a query's result
 * does not depend on how many there are; rows beyond the last are zero. */
static dnnl_status_t query_tile(const struct reel_stream *stream, const struct reel_attention *a,
                                int64_t head, int64_t first)
{
    int64_t size = stream->tile_rows, C = a->channels;
    int64_t rows = a->queries - first < size ? a->queries - first : size;
    struct tile t = tile_in(reel_cpu_scratch(stream), C);
    dnnl_status_t done = dnnl_success;
    memset(t.q, 0, (size_t)(size * C) * sizeof *t.q);
    memset(t.sum, 0, (size_t)(size * C) * sizeof *t.sum);
    for (int64_t r = 0; r < size; r++) {
        if (r < rows)
            reel_widen_cpu(reel_at(a->q, (first + r) * a->q_stride + head * C, a->numbers), C, a->numbers,
                           t.q + r * C);
        t.maximum[r] = -3.0e38f;
        t.weight[r] = 0;
    }
    for (int64_t key = 0; key < a->keys && done == dnnl_success; key += REEL_KEY_TILE)
        done = key_tile(&t, a, head, size, key);
    reel_pulse();
    for (int64_t r = 0; r < rows; r++)
        write_out(a, head, first + r, t.sum + r * C, t.maximum[r], t.weight[r]);
    return done;
}

void reel_attention_cpu(struct reel_stream *stream, const struct reel_attention *a)
{
    int64_t tiles = (a->queries + stream->tile_rows - 1) / stream->tile_rows;
    int failed = 0;
#pragma omp parallel reduction(| : failed) num_threads((int)stream->threads)
    {
        omp_set_num_threads(1); /* as in gemm_cpu.c */
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t head = 0; head < a->heads; head++)
            for (int64_t t = 0; t < tiles; t++)
                failed |= query_tile(stream, a, head, t * stream->tile_rows) != dnnl_success;
    }
    if (failed)
        reel_stream_fail(stream, REEL_BAD_DEVICE, "oneDNN refused an attention product of %lld channels",
                         (long long)a->channels);
}
