/* How the CUDA operations traverse arrays: in chunks.
 *
 * A chunk here is REEL_CHUNK = 8 consecutive elements of a row, which one thread handles together. It has
 * nothing to do with the chunks of frames in which a video is made (chunk.h).
 *
 * Where the width and the addresses allow it (WIDE), a thread loads and stores a chunk by 16-byte accesses.
 * Every other width works too, element by element.
 *
 * A kernel over whole rows gives each row to one block; thread t handles chunks t, t + threads, and so on.
 * In such a kernel WIDE (or KEPT) also means that a thread has at most REEL_KEPT chunks, so that the row
 * can stay in registers from its moments to its result.
 *
 * A row's sum adds the eight values of a chunk in float, pairwise, and then the chunks, lanes and warps in
 * double. The order depends on the width alone. The error is below 2e-7 of the sum of the absolute values. */
#ifndef REEL_ROW_CUDA_H
#define REEL_ROW_CUDA_H

#include "cuda_backend.h"
#include "elements.h"

#include <type_traits>

constexpr int REEL_CHUNK = 8, REEL_KEPT = 4, REEL_WARP = 32;
constexpr int REEL_ROW_THREADS = 256, REEL_FLAT_THREADS = 256; /* of a block: at most, exactly */

#define REEL_DEVICE static __device__ __forceinline__

REEL_DEVICE float reel_widened(float number)
{
    return number;
}

REEL_DEVICE float reel_widened(uint16_t number)
{
    return reel_widen_bf16(number);
}

REEL_DEVICE void reel_narrow(float value, float *number)
{
    *number = value;
}

REEL_DEVICE void reel_narrow(float value, uint16_t *number)
{
    *number = reel_round_bf16(value);
}

/* The C type of an element of dtype P. */
template <enum reel_dtype P> using reel_held = std::conditional_t<P == REEL_F32, float, uint16_t>;

/* The elements of a vector of 16 bytes: 4 floats, or 8 bfloat16, of which two share a word, the first in the
 * lower half. */
template <enum reel_dtype P> REEL_DEVICE void reel_unpack(uint4 vector, float *values)
{
    uint32_t words[4] = {vector.x, vector.y, vector.z, vector.w};
#pragma unroll
    for (int w = 0; w < 4; w++)
        if constexpr (P == REEL_F32) {
            values[w] = reel_float_of(words[w]);
        } else {
            values[2 * w] = reel_float_of(words[w] << 16);
            values[2 * w + 1] = reel_float_of(words[w] & 0xffff0000u);
        }
}

template <enum reel_dtype P> REEL_DEVICE uint4 reel_pack(const float *values)
{
    uint32_t words[4];
#pragma unroll
    for (int w = 0; w < 4; w++)
        if constexpr (P == REEL_F32)
            words[w] = reel_bits_of(values[w]);
        else
            words[w] = static_cast<uint32_t>(reel_round_bf16(values[2 * w])) |
                       static_cast<uint32_t>(reel_round_bf16(values[2 * w + 1])) << 16;
    return make_uint4(words[0], words[1], words[2], words[3]);
}

/* values[j] = array[first + j], but 0 where first + j >= end. When WIDE, array + first must be aligned to 16
 * bytes, and the whole chunk must lie before `end`. */
template <enum reel_dtype P, bool WIDE>
REEL_DEVICE void reel_load(const void *array, int64_t first, int64_t end, float (&values)[REEL_CHUNK])
{
    using Number = reel_held<P>;
    const Number *from = static_cast<const Number *>(array) + first;
    constexpr int vectors = REEL_CHUNK * sizeof(Number) / sizeof(uint4);
    if constexpr (WIDE) {
        uint4 vector[vectors];
#pragma unroll
        for (int v = 0; v < vectors; v++)
            vector[v] = reinterpret_cast<const uint4 *>(from)[v];
#pragma unroll
        for (int v = 0; v < vectors; v++)
            reel_unpack<P>(vector[v], values + v * (REEL_CHUNK / vectors));
    } else {
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            values[j] = first + j < end ? reel_widened(from[j]) : 0.0f;
    }
}

/* The inverse, to device memory. It calls __stcg by name because the compiler splits some stores of 16
 * bytes. */
template <enum reel_dtype P, bool WIDE>
REEL_DEVICE void reel_store(void *array, int64_t first, int64_t end, const float (&values)[REEL_CHUNK])
{
    using Number = reel_held<P>;
    Number *to = static_cast<Number *>(array) + first;
    constexpr int vectors = REEL_CHUNK * sizeof(Number) / sizeof(uint4);
    if constexpr (WIDE) {
#pragma unroll
        for (int v = 0; v < vectors; v++)
            __stcg(reinterpret_cast<uint4 *>(to) + v, reel_pack<P>(values + v * (REEL_CHUNK / vectors)));
    } else {
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            if (first + j < end)
                reel_narrow(values[j], to + j);
    }
}

/* The sum of a chunk, pairwise. */
REEL_DEVICE float reel_row_sum(const float (&v)[REEL_CHUNK])
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

/* The sum of a chunk's squares. */
REEL_DEVICE float reel_row_squares(const float (&v)[REEL_CHUNK])
{
    float squares[REEL_CHUNK];
#pragma unroll
    for (int j = 0; j < REEL_CHUNK; j++)
        squares[j] = v[j] * v[j];
    return reel_row_sum(squares);
}

/* Calls body(k, first element) for each of this thread's chunks of a row. When WIDE, k < REEL_KEPT counts the
 * chunks and is a compile-time constant; otherwise k is 0. */
template <bool WIDE, typename Body> REEL_DEVICE void reel_each_chunk(int64_t width, Body body)
{
    int64_t first = static_cast<int64_t>(threadIdx.x) * REEL_CHUNK;
    int64_t stride = static_cast<int64_t>(blockDim.x) * REEL_CHUNK;
    if constexpr (WIDE) {
#pragma unroll
        for (int k = 0; k < REEL_KEPT; k++)
            if (first + k * stride < width)
                body(k, first + k * stride);
    } else {
        for (; first < width; first += stride)
            body(0, first);
    }
}

/* finish(the sum over the block), returned to every thread. One thread calls finish, because arithmetic on
 * doubles is slow on some GPUs. Every thread of the block must call this; otherwise the block hangs. */
template <typename Finish> REEL_DEVICE float reel_block_total(double sum, Finish finish)
{
    __shared__ double of_warp[REEL_ROW_THREADS / REEL_WARP];
    __shared__ float result;
#pragma unroll
    for (int lanes = REEL_WARP / 2; lanes > 0; lanes /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
    if (threadIdx.x % REEL_WARP == 0)
        of_warp[threadIdx.x / REEL_WARP] = sum;
    __syncthreads(); /* also: every thread has read the result of the previous call */
    if (threadIdx.x == 0) {
        double total = 0;
        for (unsigned warp = 0; warp < blockDim.x / REEL_WARP; warp++)
            total += of_warp[warp];
        result = finish(total);
    }
    __syncthreads();
    return result;
}

/* For loops over the whole grid: this thread's first index, and the distance to its next one. */
REEL_DEVICE int64_t reel_grid_first(void)
{
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

REEL_DEVICE int64_t reel_grid_stride(void)
{
    return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

/* ---- On the host. */

static inline int64_t reel_chunks(int64_t width)
{
    return (width + REEL_CHUNK - 1) / REEL_CHUNK;
}

/* The number of threads of a row's block. It depends on the width alone. */
static inline unsigned reel_row_threads(int64_t width)
{
    int64_t lanes = (reel_chunks(width) + REEL_KEPT - 1) / REEL_KEPT;
    int64_t threads = (lanes + REEL_WARP - 1) / REEL_WARP * REEL_WARP;
    return static_cast<unsigned>(threads < REEL_ROW_THREADS ? threads : REEL_ROW_THREADS);
}

/* The number of blocks: as many as wanted, but at most max, which fills any GPU several times. The blocks
 * loop over the rest. */
static inline unsigned reel_thread_blocks(int64_t wanted, int64_t max)
{
    return static_cast<unsigned>(wanted < max ? wanted : max);
}

static inline unsigned reel_row_blocks(int64_t rows)
{
    return reel_thread_blocks(rows, 1 << 16);
}

static inline unsigned reel_flat_blocks(int64_t elements)
{
    return reel_thread_blocks((elements + REEL_FLAT_THREADS - 1) / REEL_FLAT_THREADS, 1 << 14);
}

/* Whether rows of that width consist of whole chunks and begin at multiples of 16 bytes in all these arrays.
 * NULL is allowed for an array that is not there. */
template <typename... Addresses> static bool reel_is_wide(int64_t width, const Addresses *...addresses)
{
    return width % REEL_CHUNK == 0 && ((reinterpret_cast<uintptr_t>(addresses) % 16 == 0) && ...);
}

/* Whether, in addition, a row can stay in the registers of its block. */
template <typename... Addresses> static bool reel_is_kept(int64_t width, const Addresses *...addresses)
{
    return width <= static_cast<int64_t>(REEL_ROW_THREADS) * REEL_KEPT * REEL_CHUNK &&
           reel_is_wide(width, addresses...);
}

/* Whether element `at` of every row of the table is aligned to 16 bytes. */
static inline bool reel_is_wide_table(const struct reel_rows *rows, int64_t at)
{
    return rows->stride % 4 == 0 && at % 4 == 0 && reinterpret_cast<uintptr_t>(rows->table) % 16 == 0;
}

/* Calls launch with a compile-time constant that equals a value known only at run time. */
template <typename Launch> static void reel_with_dtype(enum reel_dtype dtype, Launch launch)
{
    if (dtype == REEL_F32)
        launch(std::integral_constant<enum reel_dtype, REEL_F32>());
    else
        launch(std::integral_constant<enum reel_dtype, REEL_BF16>());
}

template <typename Launch> static void reel_with_flag(bool flag, Launch launch)
{
    if (flag)
        launch(std::true_type());
    else
        launch(std::false_type());
}

/* The table row of token t. */
REEL_DEVICE const float *reel_row_of(const struct reel_rows &rows, int64_t t)
{
    return rows.table + (rows.of_token ? rows.of_token[t] : t) * rows.stride;
}

#endif
