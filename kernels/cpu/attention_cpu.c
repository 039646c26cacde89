/* Attention on the host: tiles of queries against tiles of keys with an online softmax (Milakov and
 * Gimelshein 2018; FlashAttention, Dao et al. 2022).
 *
 * All arrays are transposed: scores are [keys, queries] and sums are [channels, queries]. So the lanes of a
 * vector are queries, the maxima and sums of a softmax are whole vectors, and the exponentials are already
 * packed as the B panel of the second product. No buffer grows with the sequence. */
#include "cpu.h"
#include "elements.h"
#include "simd.h"
#include "heartbeat.h"

#include <string.h>

/* A thread's arrays for one tile of queries, which is cut into B panels: the packed queries, the scores of
 * one B panel [keys, b_panel_columns], the sums so far [channels, b_panel_columns] of each B panel, the
 * maximum and the weight of each query, the results of one B panel as rows, and a tile of keys and one of
 * values as A panels. */
struct tile {
    const struct reel_simd *simd;
    int64_t channels; /* rounded up to whole A panels */
    float *q, *scores, *sums, *maximum, *weight, *rows, *k, *v;
};

int64_t reel_attention_scratch_floats(int64_t channels)
{
    int64_t across = reel_rounded_up(channels, REEL_A_PANEL_ROWS_MAX);
    return REEL_QUERY_TILE * (channels + across + 2) + REEL_KEY_TILE * REEL_B_PANEL_COLUMNS_MAX +
           REEL_B_PANEL_COLUMNS_MAX * reel_rounded_up(channels, REEL_B_PANEL_COLUMNS_MAX) +
           REEL_KEY_TILE * (channels + across) + 2 * REEL_PACK_SLACK + 16 * 8;
}

/* Takes an array from the scratch memory. Every array begins at a cache line. */
static float *carve_array(float **scratch, int64_t floats)
{
    float *array = *scratch;
    *scratch += reel_rounded_up(floats, 16);
    return array;
}

static struct tile tile_in(float *scratch, const struct reel_simd *simd, int64_t channels)
{
    struct tile t = {.simd = simd, .channels = reel_rounded_up(channels, simd->floats.a_panel_rows)};
    t.q = carve_array(&scratch, REEL_QUERY_TILE * channels);
    t.scores = carve_array(&scratch, REEL_KEY_TILE * simd->b_panel_columns);
    t.sums = carve_array(&scratch, REEL_QUERY_TILE * t.channels);
    t.maximum = carve_array(&scratch, REEL_QUERY_TILE);
    t.weight = carve_array(&scratch, REEL_QUERY_TILE);
    t.rows = carve_array(&scratch, simd->b_panel_columns * reel_rounded_up(channels, simd->b_panel_columns));
    t.k = carve_array(&scratch, REEL_KEY_TILE * channels + REEL_PACK_SLACK);
    t.v = carve_array(&scratch, REEL_KEY_TILE * t.channels + REEL_PACK_SLACK);
    return t;
}

REEL_ELEMENT void write_values(void *out, enum reel_dtype dtype, struct reel_merged merged, const float *sum,
                               float weight, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        reel_set_number(out, c, dtype,
                        reel_merged_number(merged, reel_number(out, c, dtype), sum[c] / weight));
}

/* Writes the result of one query, sum / weight, or adds it to, or merges it with, what is there. The scores
 * and the maximum are in units of log 2: the queries were scaled by log2(e). */
REEL_SIMD
static void write_out(const struct reel_attention *a, int64_t head, int64_t query, const float *sum,
                      float maximum, float weight)
{
    void *out = reel_at(a->out, query * a->out_stride + head * a->channels, a->dtype);
    float *lse = a->lse ? a->lse + query * a->heads + head : NULL;
    double here = lse ? (double)maximum * M_LN2 + log((double)weight) : 0;
    struct reel_merged merged = {.kept = a->add ? 1 : 0, .taken = 1, .lse = here};
    if (a->merge)
        merged = reel_merge_of((double)*lse, here);
    if (lse)
        *lse = (float)merged.lse;
    if (a->dtype == REEL_BF16)
        write_values(out, REEL_BF16, merged, sum, weight, a->channels);
    else
        write_values(out, REEL_F32, merged, sum, weight, a->channels);
}

/* The rows [first, first + rows) of a head. */
static struct reel_operand head_of(const struct reel_attention *a, const void *data, int64_t stride,
                                   int64_t head, int64_t first, int64_t rows)
{
    return (struct reel_operand){.data = reel_at(data, first * stride + head * a->channels, a->dtype),
                                 .stride = stride,
                                 .rows = rows,
                                 .dtype = a->dtype};
}

/* What to prefetch: part `part` of `parts` of the next tile of keys or values, of which `behind` rows remain
 * after `rows`. */
static struct reel_prefetch next_rows(const struct reel_attention *a, const struct reel_operand *rows,
                                      int64_t behind, int64_t part, int64_t parts)
{
    int64_t bytes = reel_dtype_bytes(a->dtype);
    int64_t count = behind < REEL_KEY_TILE ? behind : REEL_KEY_TILE, first = count * part / parts;
    return (struct reel_prefetch){.rows = reel_at(rows->data, (rows->rows + first) * rows->stride, a->dtype),
                                  .stride = rows->stride * bytes,
                                  .bytes = a->channels * bytes,
                                  .count = count * (part + 1) / parts - first};
}

/* Adds the tile of keys that begins at `key`, and their values, to the sums of the tile of queries. */
static void key_tile(const struct tile *t, const struct reel_attention *a, int64_t head, int64_t queries,
                     int64_t key)
{
    const struct reel_simd *simd = t->simd;
    int64_t keys = a->keys - key < REEL_KEY_TILE ? a->keys - key : REEL_KEY_TILE, C = a->channels;
    int64_t b_panel = simd->b_panel_columns, b_panels = (queries + b_panel - 1) / b_panel;
    struct reel_operand k = head_of(a, a->k, a->kv_stride, head, key, keys),
                        v = head_of(a, a->v, a->kv_stride, head, key, keys);
    simd->floats.pack_a(&k, C, t->k);
    simd->pack_a_transposed(&v, C, t->v);
    for (int64_t s = 0; s < b_panels; s++) {
        int64_t behind = a->keys - key - keys;
        float *sums = t->sums + s * b_panel * t->channels;
        struct reel_prefetch prefetch[] = {next_rows(a, &k, behind, s, b_panels), {0}};
        simd->floats.multiply((keys + simd->floats.a_panel_rows - 1) / simd->floats.a_panel_rows, C, t->k,
                              t->q + s * b_panel * C, t->scores, b_panel, 0, prefetch);
        simd->online_softmax(keys, t->channels, t->scores, t->maximum + s * b_panel, t->weight + s * b_panel,
                             sums);
        prefetch[0] = next_rows(a, &v, behind, s, b_panels);
        simd->floats.multiply(t->channels / simd->floats.a_panel_rows, keys, t->v, t->scores, sums, b_panel,
                              1, prefetch);
    }
}

/* Writes the results of one B panel: the queries [q, q + queries) of the tile. */
static void write_b_panel(const struct tile *t, const struct reel_attention *a, int64_t head, int64_t first,
                          int64_t q, int64_t queries)
{
    int64_t b_panel = t->simd->b_panel_columns, C = a->channels;
    const float *sums = t->sums + q * t->channels;
    for (int64_t c = 0; c < C; c += b_panel) {
        struct reel_operand columns = {.data = sums + c * b_panel,
                                       .stride = b_panel,
                                       .rows = C - c < b_panel ? C - c : b_panel,
                                       .scale = 1};
        float *piece = t->scores;
        t->simd->floats.pack_b(&columns, b_panel, piece);
        for (int64_t i = 0; i < queries; i++)
            memcpy(t->rows + i * C + c, piece + i * b_panel, (size_t)columns.rows * sizeof *piece);
    }
    for (int64_t i = 0; i < queries; i++)
        write_out(a, head, first + q + i, t->rows + i * C, t->maximum[q + i], t->weight[q + i]);
}

/* Computes the queries [first, first + queries) of one head. */
static void query_tile(const struct tile *t, const struct reel_attention *a, int64_t head, int64_t first,
                       int64_t queries)
{
    int64_t b_panel = t->simd->b_panel_columns, whole = reel_rounded_up(queries, b_panel);
    struct reel_operand q = head_of(a, a->q, a->q_stride, head, first, queries);
    q.scale = (float)(a->scale * M_LOG2E);
    for (int64_t i = 0; i < queries; i += b_panel) {
        struct reel_operand some = q;
        some.data = reel_at(q.data, i * q.stride, q.dtype);
        some.rows = queries - i < b_panel ? queries - i : b_panel;
        t->simd->floats.pack_b(&some, a->channels, t->q + i * a->channels);
    }
    memset(t->sums, 0, (size_t)(whole * t->channels) * sizeof *t->sums);
    memset(t->weight, 0, (size_t)whole * sizeof *t->weight);
    for (int64_t i = 0; i < whole; i++)
        t->maximum[i] = -3.0e38f;
    for (int64_t key = 0; key < a->keys; key += REEL_KEY_TILE)
        key_tile(t, a, head, queries, key);
    reel_heartbeat();
    for (int64_t i = 0; i < queries; i += b_panel)
        write_b_panel(t, a, head, first, i, queries - i < b_panel ? queries - i : b_panel);
}

void reel_attention_cpu(struct reel_stream *stream, const struct reel_attention *a)
{
    const struct reel_simd *simd = stream->simd;
    int64_t tiles = (a->queries + REEL_QUERY_TILE - 1) / REEL_QUERY_TILE;
    int64_t size = reel_rounded_up((a->queries + tiles - 1) / tiles, simd->b_panel_columns);
    tiles = (a->queries + size - 1) / size;
#pragma omp parallel num_threads((int)stream->threads)
    {
        struct tile t = tile_in(reel_cpu_scratch(stream), simd, a->channels);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t head = 0; head < a->heads; head++)
            for (int64_t i = 0; i < tiles; i++)
                query_tile(&t, a, head, i * size,
                           a->queries - i * size < size ? a->queries - i * size : size);
    }
}
