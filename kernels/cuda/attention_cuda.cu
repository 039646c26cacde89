/* Attention on the GPU: the choice of the implementation, cuDNN's one head per call, and the plain one, which
 * does every dtype and shape. */
#include "attention_cuda.h"
#include "gemm_workspace_cuda.h"

extern "C" {
#include "attention_cudnn.h"
}

namespace
{

constexpr int tile_queries = 64, tile_keys = 64, chunk = 32, threads = 256, side = 16,
              each = tile_queries / side;
constexpr int pitch = chunk + 1, score_pitch = tile_keys + 1;

/* A block's shared memory for a tile of queries:
 *     sum      [tile_queries, channels]       the sums of exponentials times values
 *     queries  [tile_queries, chunk]          a chunk of the queries' channels
 *     keys     [tile_keys, chunk]             a chunk of the channels of keys or of values
 *     scores   [tile_queries, tile_keys]      the scores, then their exponentials
 *     max, weight, shrink  [tile_queries]     a query's largest score so far, its sum of exponentials, and
 *                                             the factor by which the last tile of keys scales older sums */
struct plain {
    float *sum, *queries, *keys, *scores, *max, *weight, *shrink;
};

int64_t plain_bytes(int64_t channels)
{
    return (tile_queries * channels + (tile_queries + tile_keys) * pitch + tile_queries * (score_pitch + 3)) *
           static_cast<int64_t>(sizeof(float));
}

__device__ inline struct plain plain_in(float *shared, int64_t channels)
{
    struct plain t;
    t.sum = shared;
    t.queries = t.sum + tile_queries * channels;
    t.keys = t.queries + tile_queries * pitch;
    t.scores = t.keys + tile_keys * pitch;
    t.max = t.scores + tile_queries * score_pitch;
    t.weight = t.max + tile_queries;
    t.shrink = t.weight + tile_queries;
    return t;
}

/* Loads a chunk of the channels of 64 rows, of which the first begins at element `at`. Writes zeros for rows
 * and channels that do not exist. */
template <enum reel_dtype dtype>
__device__ inline void load_chunk(float *to, const void *from, int64_t at, int64_t stride, int64_t rows,
                                  int64_t channels)
{
    for (int i = static_cast<int>(threadIdx.x); i < 64 * chunk; i += threads) {
        int row = i / chunk, c = i % chunk;
        to[row * pitch + c] =
            row < rows && c < channels ? reel_number(from, at + row * stride + c, dtype) : 0;
    }
}

/* Computes the scores of the tile of keys that begins at `key`; -infinity where there is no key. */
template <enum reel_dtype dtype>
__device__ inline void compute_scores(const struct reel_attention &a, const struct plain &t, int64_t head,
                                      int64_t first, int64_t key)
{
    int ty = static_cast<int>(threadIdx.x) / side, tx = static_cast<int>(threadIdx.x) % side;
    float dot[each][each] = {};
    for (int64_t c = 0; c < a.channels; c += chunk) {
        int64_t column = head * a.channels + c, channels = a.channels - c;
        __syncthreads();
        load_chunk<dtype>(t.queries, a.q, first * a.q_stride + column, a.q_stride, a.queries - first,
                          channels);
        load_chunk<dtype>(t.keys, a.k, key * a.kv_stride + column, a.kv_stride, a.keys - key, channels);
        __syncthreads();
        for (int i = 0; i < chunk; i++)
#pragma unroll
            for (int m = 0; m < each; m++)
#pragma unroll
                for (int n = 0; n < each; n++)
                    dot[m][n] = fmaf(t.queries[(ty + side * m) * pitch + i],
                                     t.keys[(tx + side * n) * pitch + i], dot[m][n]);
    }
#pragma unroll
    for (int m = 0; m < each; m++)
#pragma unroll
        for (int n = 0; n < each; n++)
            t.scores[(ty + side * m) * score_pitch + tx + side * n] =
                key + tx + side * n < a.keys ? dot[m][n] * static_cast<float>(a.scale) : -INFINITY;
    __syncthreads();
}

/* Online softmax: replaces each score by exp(score - the largest so far), and updates max, weight and shrink.
 * Four threads share a query. */
__device__ inline void online_softmax(const struct plain &t)
{
    constexpr unsigned all = 0xffffffffu;
    int query = static_cast<int>(threadIdx.x) / 4, part = static_cast<int>(threadIdx.x) % 4;
    float *scores = t.scores + query * score_pitch, before = t.max[query], max = before, weight = 0;
    for (int i = part; i < tile_keys; i += 4)
        max = fmaxf(max, scores[i]);
    max = fmaxf(max, __shfl_xor_sync(all, max, 1));
    max = fmaxf(max, __shfl_xor_sync(all, max, 2));
    for (int i = part; i < tile_keys; i += 4) {
        scores[i] = reel_exp(scores[i] - max);
        weight += scores[i];
    }
    weight += __shfl_xor_sync(all, weight, 1);
    weight += __shfl_xor_sync(all, weight, 2);
    if (part == 0) {
        float shrink = reel_exp(before - max);
        t.max[query] = max;
        t.shrink[query] = shrink;
        t.weight[query] = fmaf(t.weight[query], shrink, weight);
    }
    __syncthreads();
}

/* sum = sum * shrink + exponentials v, over the tile of keys that begins at `key`. */
template <enum reel_dtype dtype>
__device__ inline void add_values(const struct reel_attention &a, const struct plain &t, int64_t head,
                                  int64_t key)
{
    int ty = static_cast<int>(threadIdx.x) / side, tx = static_cast<int>(threadIdx.x) % side;
    for (int64_t c = 0; c < a.channels; c += chunk) {
        load_chunk<dtype>(t.keys, a.v, key * a.kv_stride + head * a.channels + c, a.kv_stride, a.keys - key,
                          a.channels - c);
        __syncthreads();
#pragma unroll
        for (int m = 0; m < each; m++)
            for (int n = 0; n < chunk / side; n++) {
                int query = ty + side * m, column = tx + side * n;
                if (c + column >= a.channels)
                    continue;
                float *sum = t.sum + query * a.channels + c + column, total = *sum * t.shrink[query];
                for (int i = 0; i < tile_keys; i++)
                    total = fmaf(t.scores[query * score_pitch + i], t.keys[i * pitch + column], total);
                *sum = total;
            }
        __syncthreads();
    }
}

/* Writes the log-sum-exps of the tile's queries. Leaves in max how much of a query's old output is kept, and
 * in shrink how much of its new result is taken. */
__device__ inline void compute_shares(const struct reel_attention &a, const struct plain &t, int64_t head,
                                      int64_t first)
{
    int query = static_cast<int>(threadIdx.x);
    if (query < tile_queries && first + query < a.queries) {
        float *lse = a.lse ? a.lse + (first + query) * a.heads + head : nullptr;
        double here = static_cast<double>(t.max[query]) + log(static_cast<double>(t.weight[query]));
        struct reel_merged shares =
            reel_attention_shares(&a, a.merge ? static_cast<double>(*lse) : here, here);
        if (lse)
            *lse = static_cast<float>(shares.lse);
        t.max[query] = shares.kept;
        t.shrink[query] = shares.taken;
    }
    __syncthreads();
}

template <enum reel_dtype dtype>
__device__ inline void write_out(const struct reel_attention &a, const struct plain &t, int64_t head,
                                 int64_t first)
{
    for (int64_t i = threadIdx.x; i < tile_queries * a.channels; i += threads) {
        int64_t query = i / a.channels,
                at = (first + query) * a.out_stride + head * a.channels + i % a.channels;
        if (first + query >= a.queries)
            return;
        struct reel_merged shares = {t.max[query], t.shrink[query], 0};
        float old = shares.kept > 0 ? reel_number(a.out, at, dtype) : 0;
        reel_set_number(a.out, at, dtype, reel_merged_number(shares, old, t.sum[i] / t.weight[query]));
    }
}

/* Block (t, n) computes tile t of the queries of head n. */
template <enum reel_dtype dtype>
__global__ void __launch_bounds__(threads, 2) attend_plainly(const struct reel_attention a)
{
    REEL_SHARED(float, shared);
    struct plain t = plain_in(shared, a.channels);
    int64_t head = blockIdx.y, first = static_cast<int64_t>(blockIdx.x) * tile_queries;
    for (int64_t i = threadIdx.x; i < tile_queries * a.channels; i += threads)
        t.sum[i] = 0;
    for (int i = static_cast<int>(threadIdx.x); i < tile_queries; i += threads) {
        t.max[i] = -INFINITY;
        t.weight[i] = 0;
    }
    for (int64_t key = 0; key < a.keys; key += tile_keys) {
        compute_scores<dtype>(a, t, head, first, key);
        online_softmax(t);
        add_values<dtype>(a, t, head, key);
    }
    compute_shares(a, t, head, first);
    write_out<dtype>(a, t, head, first);
}

template <enum reel_dtype dtype> void start_plain(struct reel_stream *stream, const struct reel_attention *a)
{
    int bytes = static_cast<int>(plain_bytes(a->channels));
    dim3 grid(static_cast<unsigned>((a->queries + tile_queries - 1) / tile_queries),
              static_cast<unsigned>(a->heads));
    cudaError_t done =
        cudaFuncSetAttribute(attend_plainly<dtype>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (done == cudaSuccess) {
        REEL_LAUNCH(attend_plainly<dtype>, grid, threads, static_cast<size_t>(bytes), reel_cuda_queue(stream),
                    *a);
        done = cudaGetLastError();
    }
    reel_cuda_check(stream, done, "plain attention");
}

/* ---- cuDNN */

/* Whether cuDNN's output goes to scratch memory first. */
bool goes_aside(const struct reel_attention *a)
{
    return a->add || a->merge;
}

/* The max number of queries of one call: as many as have room in scratch memory. Each call ends with a part
 * of the GPU idle, so few calls are better than many. With add or merge and 128 channels it is 122,880. */
int64_t piece_queries(const struct reel_attention *a)
{
    constexpr int64_t step = 8192; /* keeps aligned what follows the log-sum-exps */
    int64_t bytes = static_cast<int64_t>(sizeof(float)) + (goes_aside(a) ? 2 * a->channels : 0);
    return REEL_WIDE_BYTES / bytes / step * step;
}

/* Takes cuDNN's results for some queries of a head from scratch memory: the log-sum-exps, and the output if
 * cuDNN wrote it there (`side`, NULL otherwise). Block r does query first + r. */
__global__ void take_result(const struct reel_attention a, int64_t head, int64_t first, const uint16_t *side,
                            const float *aside_lse)
{
    int64_t row = blockIdx.x, query = first + row;
    float *lse = a.lse ? a.lse + query * a.heads + head : nullptr;
    double here = lse ? static_cast<double>(aside_lse[row]) : 0;
    struct reel_merged shares = reel_attention_shares(&a, a.merge ? static_cast<double>(*lse) : here, here);
    __syncthreads(); /* every thread has read *lse before one writes it */
    if (lse && threadIdx.x == 0)
        *lse = static_cast<float>(shares.lse);
    if (!side)
        return;
    for (int64_t c = threadIdx.x; c < a.channels; c += blockDim.x) {
        int64_t at = query * a.out_stride + head * a.channels + c;
        float old = reel_number(a.out, at, REEL_BF16), new_one = reel_widen_bf16(side[row * a.channels + c]);
        reel_set_number(a.out, at, REEL_BF16, reel_merged_number(shares, old, new_one));
    }
}

struct reel_sdpa *sdpa_of(const struct reel_stream *stream)
{
    return static_cast<struct reel_sdpa *>(static_cast<struct reel_cuda_queue *>(stream->queue)->attention);
}

bool is_aligned(const void *array, int64_t stride)
{
    return reinterpret_cast<uintptr_t>(array) % 16 == 0 && stride % 8 == 0;
}

struct reel_sdpa_shape shape_of(const struct reel_attention *a, int64_t queries)
{
    struct reel_sdpa_shape shape = {};
    shape.queries = queries;
    shape.keys = a->keys;
    shape.channels = a->channels;
    shape.q_stride = a->q_stride;
    shape.kv_stride = a->kv_stride;
    shape.out_stride = goes_aside(a) ? a->channels : a->out_stride;
    shape.with_lse = a->lse != nullptr;
    return shape;
}

/* Whether cuDNN does all of it. This is asked for all pieces before the first one starts. */
bool sdpa_knows(const struct reel_stream *stream, const struct reel_attention *a)
{
    if (!sdpa_of(stream) || a->dtype != REEL_BF16 || a->queries < REEL_LONG_SEQUENCE ||
        a->keys < REEL_LONG_SEQUENCE || a->channels % 8 != 0 || a->channels > 256 ||
        !is_aligned(a->q, a->q_stride) || !is_aligned(a->k, a->kv_stride) ||
        !is_aligned(a->v, a->kv_stride) || !is_aligned(a->out, a->out_stride))
        return false;
    int64_t max = piece_queries(a);
    struct reel_sdpa_shape whole = shape_of(a, max), rest = shape_of(a, a->queries % max);
    return (a->queries < max || reel_sdpa_know(sdpa_of(stream), &whole)) &&
           (rest.queries == 0 || reel_sdpa_know(sdpa_of(stream), &rest));
}

/* Starts cuDNN's attention for queries [first, first + queries) of one head. */
void sdpa_piece(struct reel_stream *stream, const struct reel_attention *a, int64_t head, int64_t first,
                int64_t queries)
{
    struct reel_sdpa_shape shape = shape_of(a, queries);
    struct reel_gemm_workspace scratch = reel_gemm_workspace_of(stream);
    bool side = goes_aside(a);
    float *lse = reinterpret_cast<float *>(scratch.wide);
    uint16_t *out = reinterpret_cast<uint16_t *>(lse + piece_queries(a));
    struct reel_sdpa_arrays arrays = {};
    int64_t column = head * a->channels;
    arrays.q = static_cast<const uint16_t *>(a->q) + first * a->q_stride + column;
    arrays.k = static_cast<const uint16_t *>(a->k) + column;
    arrays.v = static_cast<const uint16_t *>(a->v) + column;
    arrays.out = side ? out : static_cast<uint16_t *>(a->out) + first * a->out_stride + column;
    arrays.lse = a->lse ? lse : nullptr;
    arrays.scale = static_cast<float>(a->scale);
    arrays.workspace = scratch.workspace;
    const char *refusal = reel_sdpa_run(sdpa_of(stream), &shape, &arrays);
    if (refusal) {
        reel_stream_fail(stream, REEL_BAD_DEVICE,
                         "cuDNN refused attention of %lld queries to %lld keys of %lld channels: %s",
                         static_cast<long long>(queries), static_cast<long long>(a->keys),
                         static_cast<long long>(a->channels), refusal);
    } else if (side || a->lse) {
        REEL_LAUNCH(take_result, static_cast<unsigned>(queries), 64, 0, reel_cuda_queue(stream), *a, head,
                    first, side ? out : nullptr, lse);
        reel_cuda_check(stream, cudaGetLastError(), "taking attention's result");
    }
}

} // namespace

void reel_attention_cuda(struct reel_stream *stream, const struct reel_attention *a)
{
    if (sdpa_knows(stream, a)) {
        int64_t max = piece_queries(a);
        for (int64_t head = 0; head < a->heads; head++)
            for (int64_t first = 0; first < a->queries && stream->status == REEL_OK; first += max)
                sdpa_piece(stream, a, head, first, a->queries - first < max ? a->queries - first : max);
    } else if (!reel_flash_attention_cuda(stream, a)) {
        if (a->dtype == REEL_F32)
            start_plain<REEL_F32>(stream, a);
        else
            start_plain<REEL_BF16>(stream, a);
    }
}
