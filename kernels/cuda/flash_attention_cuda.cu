/* Attention in bfloat16 by tensor cores: a block takes a tile of queries past tiles of keys with an online
 * softmax (FlashAttention-2, Dao 2023). Keys arrive while values are multiplied, values while keys are. A
 * query's sums are those of its own row of every tile, whoever its neighbours are. */
#include "attention_cuda.h"
#include "tensor_core.h"

namespace
{

/* The sizes of a kernel: as many keys at a time as registers hold products of. */
template <int channels_, int keys_> struct tile {
    static constexpr int channels = channels_, keys = keys_, blocks = 2, warps = 4, threads = 32 * warps;
    static constexpr int warp_queries = 16 * blocks, queries = warps * warp_queries;
    static constexpr int shared_bytes = (queries + 2 * keys) * channels * 2;
};

/* What a warp knows of its queries so far. */
template <typename T> struct state {
    float sum[T::blocks][T::channels / 8][4];
    float max[T::blocks][2];    /* the largest product of a row */
    float weight[T::blocks][2]; /* the part of a lane in the sum of exponentials */
};

template <typename T> using products = float[T::blocks][T::keys / 8][4];

/* Where 8 channels of a row lie in a tile: turned by the row, so that 8 rows of a matrix lie in different
 * banks. */
template <int channels> __device__ inline int place(int row, int eighth)
{
    int turn = channels >= 64 ? row % 8 : row / 2 % 4;
    return row * channels + (eighth ^ turn) * 8;
}

/* Rows [0, count) of a head into a tile, zeros behind row `there`, which is at least 1. A thread takes rows
 * that are a multiple of 8 apart, which are turned alike. */
template <typename T, int count>
__device__ inline void fetch(uint16_t *to, const uint16_t *from, int64_t stride, int64_t there)
{
    constexpr int eighths = T::channels / 8, step = T::threads / eighths;
    int row = static_cast<int>(threadIdx.x) / eighths, eighth = static_cast<int>(threadIdx.x) % eighths;
    int exist = there < count ? static_cast<int>(there) : count;
    to += place<T::channels>(row, eighth);
    from += row * stride + eighth * 8;
    static_assert(step % 8 == 0 && count % step == 0,
                  "rows of a thread are turned alike, and as many as any's");
#pragma unroll 4
    for (int i = 0; i < count / step; i++, to += step * T::channels, from += step * stride)
        reel_copy_16(to, from, row + i * step < exist);
}

/* q k^T of the warp's queries. A lane's rows begin q_at and k_at into the tiles, and what follows in a row
 * is at that turned by where it follows: a multiple of 16 leaves the turn of a row as it is. */
template <typename T>
__device__ inline void multiply_keys(const uint16_t *q, int q_at, const uint16_t *k, int k_at, products<T> &s)
{
#pragma unroll
    for (int m = 0; m < T::blocks; m++)
#pragma unroll
        for (int n = 0; n < T::keys / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s[m][n][i] = 0;
#pragma unroll
    for (int c = 0; c < T::channels / 16; c++) {
        uint32_t a[T::blocks][4], b[4];
#pragma unroll
        for (int m = 0; m < T::blocks; m++)
            reel_load_matrices(a[m], q + 16 * m * T::channels + (q_at ^ 16 * c));
#pragma unroll
        for (int n = 0; n < T::keys / 16; n++) {
            reel_load_matrices(b, k + 16 * n * T::channels + (k_at ^ 16 * c));
#pragma unroll
            for (int m = 0; m < T::blocks; m++) {
                reel_multiply(s[m][2 * n], a[m], b);
                reel_multiply(s[m][2 * n + 1], a[m], b + 2);
            }
        }
    }
}

/* Keys that do not exist weigh nothing. */
template <typename T> __device__ inline void mask(products<T> &s, int lane, int64_t there)
{
#pragma unroll
    for (int n = 0; n < T::keys / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (8 * n + lane % 4 * 2 + i % 2 >= there) {
#pragma unroll
                for (int m = 0; m < T::blocks; m++)
                    s[m][n][i] = -INFINITY;
            }
}

/* The largest, and the sum, of what the four lanes of a row have. */
__device__ inline float largest_of_row(float x)
{
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ inline float sum_of_row(float x)
{
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* Turns products into exponentials of what they are below the largest so far; sums shrink where that has
 * grown. */
template <typename T> __device__ inline void fold(state<T> &now, products<T> &s, float scale)
{
#pragma unroll
    for (int m = 0; m < T::blocks; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float max = now.max[m][half], weight = 0;
#pragma unroll
            for (int n = 0; n < T::keys / 8; n++)
                max = fmaxf(max, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
            max = largest_of_row(max);
            float shrink = reel_power_of_two((now.max[m][half] - max) * scale), offset = max * scale;
#pragma unroll
            for (int n = 0; n < T::keys / 8; n++)
#pragma unroll
                for (int i = 2 * half; i < 2 * half + 2; i++) {
                    s[m][n][i] = reel_power_of_two(fmaf(s[m][n][i], scale, -offset));
                    weight += s[m][n][i];
                }
            now.max[m][half] = max;
            now.weight[m][half] = fmaf(now.weight[m][half], shrink, weight);
            if (__any_sync(0xffffffffu, shrink != 1.0f)) { /* rarely, once many keys have passed */
#pragma unroll
                for (int n = 0; n < T::channels / 8; n++)
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; i++)
                        now.sum[m][n][i] *= shrink;
            }
        }
}

/* sum += exponentials v, of which a lane's rows begin v_at into the tile. As the lanes hold them, products
 * of q k^T are the left factor of the next product. */
template <typename T>
__device__ inline void multiply_values(state<T> &now, const products<T> &s, const uint16_t *v, int v_at)
{
#pragma unroll
    for (int k = 0; k < T::keys / 16; k++) {
        uint32_t a[T::blocks][4], b[4];
#pragma unroll
        for (int m = 0; m < T::blocks; m++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][i] = reel_pack(s[m][2 * k + i / 2][i % 2 * 2], s[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < T::channels / 16; n++) {
            reel_load_transposed(b, v + 16 * k * T::channels + (v_at ^ 16 * n));
#pragma unroll
            for (int m = 0; m < T::blocks; m++) {
                reel_multiply(now.sum[m][2 * n], a[m], b);
                reel_multiply(now.sum[m][2 * n + 1], a[m], b + 2);
            }
        }
    }
}

/* The numbers of one query that a lane has, of sums that are yet to be multiplied. */
template <typename T>
__device__ inline void write_numbers(uint16_t *out, const float (&sum)[T::channels / 8][4], int half,
                                     float factor, struct reel_merged shares)
{
#pragma unroll
    for (int n = 0; n < T::channels / 8; n++) {
        uint32_t *both = reinterpret_cast<uint32_t *>(out + 8 * n);
        uint32_t old = shares.kept > 0 ? *both : 0;
        float low = reel_merged_number(shares, reel_widen_bf16(static_cast<uint16_t>(old)),
                                       sum[n][2 * half] * factor);
        float high = reel_merged_number(shares, reel_widen_bf16(static_cast<uint16_t>(old >> 16)),
                                        sum[n][2 * half + 1] * factor);
        *both = reel_pack(low, high);
    }
}

/* The results of a warp's queries, of which `first` is the first. The four lanes of a row read its lse
 * before one writes. */
template <typename T>
__device__ inline void write_out(const struct reel_attention &a, const state<T> &now, int64_t first,
                                 int64_t head, int lane)
{
#pragma unroll
    for (int m = 0; m < T::blocks; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int64_t query = first + 16 * m + 8 * half + lane / 4;
            float weight = sum_of_row(now.weight[m][half]);
            bool exists = query < a.queries;
            float *lse = a.lse && exists ? a.lse + query * a.heads + head : nullptr;
            double here = 0;
            if (lse)
                here = static_cast<double>(now.max[m][half]) * a.scale + log(static_cast<double>(weight));
            struct reel_merged shares =
                reel_attention_shares(&a, a.merge && lse ? static_cast<double>(*lse) : here, here);
            __syncwarp();
            if (lse && lane % 4 == 0)
                *lse = static_cast<float>(shares.lse);
            if (exists)
                write_numbers<T>(static_cast<uint16_t *>(a.out) + query * a.out_stride + head * T::channels +
                                     lane % 4 * 2,
                                 now.sum[m], half, 1.0f / weight, shares);
        }
}

template <typename T> __device__ inline void begin(state<T> &now)
{
#pragma unroll
    for (int m = 0; m < T::blocks; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            now.max[m][half] = -INFINITY;
            now.weight[m][half] = 0;
        }
#pragma unroll
        for (int n = 0; n < T::channels / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                now.sum[m][n][i] = 0;
    }
}

/* Block (t, n): the tile t of queries of head n. */
template <typename T>
__global__ void __launch_bounds__(T::threads, 2) attend(const struct reel_attention a, float scale)
{
    REEL_SHARED(uint16_t, q);
    uint16_t *k = q + T::queries * T::channels, *v = k + T::keys * T::channels;
    int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    int row_at = place<T::channels>(lane % 16, lane / 16);
    int column_at = place<T::channels>(lane / 16 * 8 + lane % 8, lane / 8 % 2);
    int64_t head = blockIdx.y, first = static_cast<int64_t>(blockIdx.x) * T::queries;
    const uint16_t *keys = static_cast<const uint16_t *>(a.k) + head * T::channels;
    const uint16_t *values = static_cast<const uint16_t *>(a.v) + head * T::channels;
    state<T> now;
    products<T> s;
    begin(now);
    fetch<T, T::queries>(q, static_cast<const uint16_t *>(a.q) + first * a.q_stride + head * T::channels,
                         a.q_stride, a.queries - first);
    fetch<T, T::keys>(k, keys, a.kv_stride, a.keys);
    reel_copies_close();
    for (int64_t key = 0; key < a.keys; key += T::keys) {
        int64_t there = a.keys - key;
        reel_copies_await<0>();
        __syncthreads(); /* the keys are there, and nobody needs the values before them */
        fetch<T, T::keys>(v, values + key * a.kv_stride, a.kv_stride, there);
        reel_copies_close();
        multiply_keys<T>(q + warp * T::warp_queries * T::channels, reel_anew(row_at), k, reel_anew(column_at),
                         s);
        reel_copies_await<0>();
        __syncthreads(); /* the values are there, and nobody needs these keys */
        if (there > T::keys)
            fetch<T, T::keys>(k, keys + (key + T::keys) * a.kv_stride, a.kv_stride, there - T::keys);
        reel_copies_close();
        if (there < T::keys)
            mask<T>(s, lane, there);
        fold<T>(now, s, scale);
        multiply_values<T>(now, s, v, reel_anew(row_at));
    }
    write_out<T>(a, now, first + warp * T::warp_queries, head, lane);
}

template <typename T> void start(struct reel_stream *stream, const struct reel_attention *a)
{
    const float log2_of_e = 1.44269504f;
    dim3 grid(static_cast<unsigned>((a->queries + T::queries - 1) / T::queries),
              static_cast<unsigned>(a->heads));
    cudaError_t done =
        cudaFuncSetAttribute(attend<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, T::shared_bytes);
    if (done == cudaSuccess) {
        REEL_LAUNCH(attend<T>, grid, T::threads, T::shared_bytes, reel_cuda_queue(stream), *a,
                    static_cast<float>(a->scale) * log2_of_e);
        done = cudaGetLastError();
    }
    reel_cuda_check(stream, done, "attention by tiles");
}

bool is_aligned(const void *array, int64_t stride)
{
    return reinterpret_cast<uintptr_t>(array) % 16 == 0 && stride % 8 == 0;
}

} // namespace

bool reel_flash_attention_cuda(struct reel_stream *stream, const struct reel_attention *a)
{
    /* A scale above 0: the largest product is then the largest exponent. */
    if (a->dtype != REEL_BFLOAT16 || !(a->scale > 0) || !is_aligned(a->q, a->q_stride) ||
        !is_aligned(a->k, a->kv_stride) || !is_aligned(a->v, a->kv_stride) ||
        !is_aligned(a->out, a->out_stride) || a->heads > 65535)
        return false;
    if (a->channels == 128)
        start<tile<128, 32>>(stream, a);
    else if (a->channels == 64)
        start<tile<64, 64>>(stream, a);
    else if (a->channels == 32)
        start<tile<32, 64>>(stream, a);
    else
        return false;
    return true;
}
