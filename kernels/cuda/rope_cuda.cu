/* RMS norm, RoPE and the layout by heads on the GPU, in one pass over a row. */
#include "row_cuda.h"

/* first_head as kernels get it: by value, because the caller's array is in the host's memory. */
constexpr int CUTS_MAX = 128;
struct head_cuts {
    int64_t first[CUTS_MAX + 1];
};

/* The shared memory that a block of any GPU can have without cudaFuncSetAttribute. */
constexpr size_t SHARED_BYTES_MAX = 48 * 1024;

template <enum reel_dtype P, bool WIDE>
static __global__ void __launch_bounds__(REEL_ROW_THREADS) squares_rows(struct reel_rms_squares a)
{
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int64_t start = r * a.width;
        double sum = 0;
        reel_each_chunk<WIDE>(a.width, [&](int, int64_t first) {
            float x[REEL_CHUNK];
            reel_load<P, WIDE>(a.x, start + first, start + a.width, x);
            sum += static_cast<double>(reel_row_squares(x));
        });
        reel_block_total(sum, [&](double total) {
            a.sums[r] = total;
            return 0.0f;
        });
    }
}

void reel_rms_squares_cuda(struct reel_stream *stream, const struct reel_rms_squares *a)
{
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(reel_is_kept(a->width, a->x), [&](auto wide) {
            REEL_LAUNCH((squares_rows<decltype(dtype)::value, decltype(wide)::value>),
                        reel_row_blocks(a->rows), reel_row_threads(a->width), 0, reel_cuda_queue(stream), *a);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "squares");
}

/* Fills the tables of row r: place[heads], the indexes in y at which its heads begin, and turns[channels],
 * the cosines and sines that its token rotates by. */
REEL_DEVICE void fill_tables(const struct reel_split_heads &a, const struct reel_rope &rope,
                             const struct head_cuts &cuts, int64_t r, int64_t *place, float *turns)
{
    for (int64_t n = threadIdx.x; n < a.heads; n += blockDim.x)
        place[n] = reel_head_at(cuts.first, a.rows, a.channels, r, n);
    if (!a.rope)
        return;
    struct reel_token_position token = reel_token_position_of(rope.first_token + r, rope.H, rope.W);
    for (int64_t pair = threadIdx.x; pair < a.channels / 2; pair += blockDim.x) {
        const float *entry = reel_rotation(&rope, token, pair);
        turns[2 * pair] = entry[0];
        turns[2 * pair + 1] = entry[1];
    }
}

/* 1 / sqrt(mean(x^2) + epsilon) of row r; 1 where there is no norm. `sum` is the sum of this thread's squares
 * of x; it is 0 where a.squares gives those of all parts. */
REEL_DEVICE float inverse_rms(const struct reel_split_heads &a, int64_t r, double sum)
{
    if (!a.norm)
        return 1.0f;
    int64_t width = a.squares ? a.norm_width : a.heads * a.channels;
    return reel_block_total(sum, [&](double total) {
        for (int64_t p = 0; a.squares && p < a.square_parts; p++)
            total += a.squares[p * a.rows + r];
        return reel_inverse_root(total, width, a.epsilon);
    });
}

/* Applies norm and RoPE to the chunk x of a row, which begins at element `first`, and writes it to the places
 * of its heads. */
template <enum reel_dtype P, bool KEPT>
REEL_DEVICE void put_chunk(const struct reel_split_heads &a, int64_t first, float inverse,
                           const int64_t *place, const float *turns, float (&x)[REEL_CHUNK])
{
    int64_t width = a.heads * a.channels;
    if (a.norm) {
        float norm[REEL_CHUNK];
        reel_load<P, KEPT>(a.norm, first, width, norm);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            x[j] = x[j] * inverse * norm[j];
    }
    if constexpr (KEPT) { /* the chunk belongs to one head */
        int64_t head = first / a.channels, channel = first - head * a.channels;
        if (a.rope) {
            float entries[REEL_CHUNK];
            reel_load<REEL_F32, true>(turns, channel, a.channels, entries);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j += 2)
                reel_turn(&x[j], &x[j + 1], &entries[j]);
        }
        reel_store<P, true>(a.y, place[head] + channel, place[head] + a.channels, x);
    } else {
        using Number = reel_held<P>;
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j += 2) {
            int64_t head = (first + j) / a.channels, channel = first + j - head * a.channels;
            if (first + j >= width)
                continue;
            if (a.rope)
                reel_turn(&x[j], &x[j + 1], turns + channel);
            Number *y = static_cast<Number *>(a.y) + place[head] + channel;
            reel_narrow(x[j], y);
            reel_narrow(x[j + 1], y + 1);
        }
    }
}

template <enum reel_dtype P, bool KEPT>
static __global__ void __launch_bounds__(REEL_ROW_THREADS, 3)
    split_heads_rows(const __grid_constant__ struct reel_split_heads a,
                     const __grid_constant__ struct reel_rope rope,
                     const __grid_constant__ struct head_cuts cuts)
{
    REEL_SHARED(float, turns);
    int64_t *place = reinterpret_cast<int64_t *>(turns + a.channels), width = a.heads * a.channels;
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int64_t start = r * width;
        float row[KEPT ? REEL_KEPT : 1][REEL_CHUNK];
        double sum = 0;
        if constexpr (KEPT)
            reel_each_chunk<true>(width, [&](int k, int64_t first) {
                reel_load<P, true>(a.x, start + first, start + width, row[k]);
            });
        __syncthreads(); /* every thread has read the tables of the previous row */
        fill_tables(a, rope, cuts, r, place, turns);
        if (a.norm && !a.squares)
            reel_each_chunk<KEPT>(width, [&](int k, int64_t first) {
                if constexpr (!KEPT)
                    reel_load<P, false>(a.x, start + first, start + width, row[k]);
                sum += static_cast<double>(reel_row_squares(row[k]));
            });
        float inverse = inverse_rms(a, r, sum);
        __syncthreads();
        reel_each_chunk<KEPT>(width, [&](int k, int64_t first) {
            if constexpr (!KEPT)
                reel_load<P, false>(a.x, start + first, start + width, row[k]);
            put_chunk<P, KEPT>(a, first, inverse, place, turns, row[k]);
        });
    }
}

/* Copies the cuts into *cuts. Where there are too many parts, or the tables are too large for shared memory,
 * fails the stream and returns 0. */
static int take_cuts(struct reel_stream *stream, const char *operation, int64_t parts,
                     const int64_t *first_head, size_t shared_bytes, struct head_cuts *cuts)
{
    if (parts > CUTS_MAX || shared_bytes > SHARED_BYTES_MAX) {
        reel_stream_fail(stream, REEL_BAD_DEVICE,
                         "%s on the GPU: %lld parts and %zu bytes of tables, expected at most %d and %zu",
                         operation, static_cast<long long>(parts), shared_bytes, CUTS_MAX, SHARED_BYTES_MAX);
        return 0;
    }
    for (int64_t p = 0; p <= CUTS_MAX; p++)
        cuts->first[p] = first_head[p < parts ? p : parts];
    return 1;
}

void reel_split_heads_cuda(struct reel_stream *stream, const struct reel_split_heads *a)
{
    int64_t width = a->heads * a->channels;
    size_t tables = static_cast<size_t>(a->channels) * sizeof(float) + static_cast<size_t>(a->heads) * 8;
    struct reel_rope rope = a->rope ? *a->rope : reel_rope();
    struct head_cuts cuts;
    if (!take_cuts(stream, "split_heads", a->parts, a->first_head, tables, &cuts))
        return;
    bool kept = a->channels % REEL_CHUNK == 0 && reel_is_kept(width, a->x, a->norm, a->y);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(kept, [&](auto stays) {
            REEL_LAUNCH((split_heads_rows<decltype(dtype)::value, decltype(stays)::value>),
                        reel_row_blocks(a->rows), reel_row_threads(width), tables, reel_cuda_queue(stream),
                        *a, rope, cuts);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "split_heads");
}

/* A head of x consists of `units` Units; a Unit is one element or 16 bytes of elements. */
template <typename Unit>
static __global__ void __launch_bounds__(REEL_ROW_THREADS)
    merge_heads_rows(const __grid_constant__ struct reel_merge_heads a,
                     const __grid_constant__ struct head_cuts cuts, int64_t units)
{
    REEL_SHARED(int64_t, place);
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        const Unit *x = static_cast<const Unit *>(a.x);
        Unit *y = static_cast<Unit *>(a.y) + r * a.heads * units;
        __syncthreads(); /* every thread has read the places of the previous row */
        for (int64_t n = threadIdx.x; n < a.heads; n += blockDim.x)
            place[n] = reel_head_at(cuts.first, a.rows, units, r, n);
        __syncthreads();
#pragma unroll 4
        for (int64_t i = threadIdx.x; i < a.heads * units; i += blockDim.x) {
            int64_t head = i / units;
            y[i] = x[place[head] + i - head * units];
        }
    }
}

void reel_merge_heads_cuda(struct reel_stream *stream, const struct reel_merge_heads *a)
{
    struct head_cuts cuts;
    size_t tables = static_cast<size_t>(a->heads) * sizeof(int64_t);
    if (!take_cuts(stream, "merge_heads", a->parts, a->first_head, tables, &cuts))
        return;
    bool wide = reel_is_wide(a->channels, a->x, a->y);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        using Number = reel_held<decltype(dtype)::value>;
        reel_with_flag(wide, [&](auto whole) {
            using Unit = std::conditional_t<decltype(whole)::value, uint4, Number>;
            int64_t units =
                a->channels * static_cast<int64_t>(sizeof(Number)) / static_cast<int64_t>(sizeof(Unit));
            REEL_LAUNCH((merge_heads_rows<Unit>), reel_row_blocks(a->rows),
                        reel_row_threads(a->heads * a->channels), tables, reel_cuda_queue(stream), *a, cuts,
                        units);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "merge_heads");
}
