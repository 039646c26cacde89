/* Flash attention in bfloat16 on tensor cores (FlashAttention-2, Dao 2023). A block holds a tile of queries
 * and goes through the tiles of keys with an online softmax. Keys are prefetched while values are multiplied,
 * and values while keys are. A query's sums use its own row of each tile alone, so its bits do not depend on
 * the other queries of the tile. */
#include "attention_cuda.h"
#include "tensor_core.h"

namespace
{

/* The sizes of a kernel. A tile has as many keys as a lane's registers can hold products for. */
template <int channels_, int keys_> struct tile {
    static constexpr int channels = channels_, keys = keys_, blocks = 2, warps = 4, threads = 32 * warps;
    static constexpr int warp_queries = 16 * blocks, queries = warps * warp_queries;
    static constexpr int shared_bytes = (queries + 2 * keys) * channels * 2;
};

/* A lane's part of what a warp has computed for its queries so far. */
template <typename T> struct state {
    float sum[T::blocks][T::channels / 8][4];
    float max[T::blocks][2];    /* the largest product of a row so far */
    float weight[T::blocks][2]; /* this lane's part of a row's sum of exponentials */
};

template <typename T> using products = float[T::blocks][T::keys / 8][4];

/* The index within a tile of the `eighth`-th 8 channels of a row. They are swizzled: `eighth` is XORed with a
 * value that depends on the row, so that the 8 rows of a matrix lie in different banks of shared memory. */
template <int channels> __device__ inline int swizzled_index(int row, int eighth)
{
    int swizzle = channels >= 64 ? row % 8 : row / 2 % 4;
    return row * channels + (eighth ^ swizzle) * 8;
}

/* Starts the copy of rows [0, count) of a head into a tile. `there` >= 1 rows exist; the others become zeros.
 * The rows of one thread are a multiple of 8 apart, so all have the same swizzle. */
template <typename T, int count>
__device__ inline void fetch_rows(uint16_t *to, const uint16_t *from, int64_t stride, int64_t there)
{
    constexpr int eighths = T::channels / 8, step = T::threads / eighths;
    int row = static_cast<int>(threadIdx.x) / eighths, eighth = static_cast<int>(threadIdx.x) % eighths;
    int exist = there < count ? static_cast<int>(there) : count;
    to += swizzled_index<T::channels>(row, eighth);
    from += row * stride + eighth * 8;
    static_assert(step % 8 == 0 && count % step == 0,
                  "the rows of a thread share one swizzle, and all threads have equally many");
#pragma unroll 4
    for (int i = 0; i < count / step; i++, to += step * T::channels, from += step * stride)
        reel_copy_16(to, from, row + i * step < exist);
}

/* s = q k^T for the warp's queries. The first channels of a lane's rows are at q_at and k_at in the tiles.
 * Because of the swizzle, the channels that come 16 c later are at q_at ^ 16 c and k_at ^ 16 c; 16 rows
 * further down the swizzle is the same. */
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

/* Masks the keys from `there` on, which do not exist: their products become -infinity. */
template <typename T> __device__ inline void mask_keys(products<T> &s, int lane, int64_t there)
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

/* The max, and the sum, of the values of a row's four lanes. */
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

/* Online softmax: replaces each product by 2^(scale (product - the largest so far)), and scales the sums so
 * far down where the largest has grown. `scale` includes the factor log2 e. */
template <typename T> __device__ inline void online_softmax(state<T> &now, products<T> &s, float scale)
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
            if (__any_sync(0xffffffffu, shrink != 1.0f)) { /* rare once many keys are done */
#pragma unroll
                for (int n = 0; n < T::channels / 8; n++)
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; i++)
                        now.sum[m][n][i] *= shrink;
            }
        }
}

/* sum += s v, with the exponentials s. The first channels of a lane's rows of v are at v_at in the tile. The
 * lanes hold the result of q k^T in the layout that reel_multiply takes for its left factor. */
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

/* Writes a lane's elements of one query's output: its sums times `factor`, added to or merged with the old
 * output by `shares`. */
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

/* Writes the results of a warp's queries, which begin at `first`. The four lanes of a row read its
 * log-sum-exp before one of them writes it. */
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

template <typename T> __device__ inline void begin_state(state<T> &now)
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

/* Block (t, n) computes tile t of the queries of head n. */
template <typename T>
__global__ void __launch_bounds__(T::threads, 2) attend(const struct reel_attention a, float scale)
{
    REEL_SHARED(uint16_t, q);
    uint16_t *k = q + T::queries * T::channels, *v = k + T::keys * T::channels;
    int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    int row_at = swizzled_index<T::channels>(lane % 16, lane / 16);
    int column_at = swizzled_index<T::channels>(lane / 16 * 8 + lane % 8, lane / 8 % 2);
    int64_t head = blockIdx.y, first = static_cast<int64_t>(blockIdx.x) * T::queries;
    const uint16_t *keys = static_cast<const uint16_t *>(a.k) + head * T::channels;
    const uint16_t *values = static_cast<const uint16_t *>(a.v) + head * T::channels;
    state<T> now;
    products<T> s;
    begin_state(now);
    fetch_rows<T, T::queries>(q, static_cast<const uint16_t *>(a.q) + first * a.q_stride + head * T::channels,
                              a.q_stride, a.queries - first);
    fetch_rows<T, T::keys>(k, keys, a.kv_stride, a.keys);
    reel_copies_close();
    for (int64_t key = 0; key < a.keys; key += T::keys) {
        int64_t there = a.keys - key;
        reel_copies_await<0>();
        __syncthreads(); /* these keys have arrived, and no thread needs the previous values */
        fetch_rows<T, T::keys>(v, values + key * a.kv_stride, a.kv_stride, there);
        reel_copies_close();
        multiply_keys<T>(q + warp * T::warp_queries * T::channels, reel_anew(row_at), k, reel_anew(column_at),
                         s);
        reel_copies_await<0>();
        __syncthreads(); /* these values have arrived, and no thread needs these keys any more */
        if (there > T::keys)
            fetch_rows<T, T::keys>(k, keys + (key + T::keys) * a.kv_stride, a.kv_stride, there - T::keys);
        reel_copies_close();
        if (there < T::keys)
            mask_keys<T>(s, lane, there);
        online_softmax<T>(now, s, scale);
        multiply_values<T>(now, s, v, reel_anew(row_at));
    }
    write_out<T>(a, now, first + warp * T::warp_queries, head, lane);
}

template <typename T> void start_attend(struct reel_stream *stream, const struct reel_attention *a)
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
    reel_cuda_check(stream, done, "flash attention");
}

bool is_aligned(const void *array, int64_t stride)
{
    return reinterpret_cast<uintptr_t>(array) % 16 == 0 && stride % 8 == 0;
}

} // namespace

bool reel_flash_attention_cuda(struct reel_stream *stream, const struct reel_attention *a)
{
    /* The scale must be above 0, so that the largest product gives the largest exponent. */
    if (a->dtype != REEL_BF16 || !(a->scale > 0) || !is_aligned(a->q, a->q_stride) ||
        !is_aligned(a->k, a->kv_stride) || !is_aligned(a->v, a->kv_stride) ||
        !is_aligned(a->out, a->out_stride) || a->heads > 65535)
        return false;
    if (a->channels == 128)
        start_attend<tile<128, 32>>(stream, a);
    else if (a->channels == 64)
        start_attend<tile<64, 64>>(stream, a);
    else if (a->channels == 32)
        start_attend<tile<32, 64>>(stream, a);
    else
        return false;
    return true;
}
