/* Norms, modulation and gated sums on the GPU. Where a row fits into registers (KEPT), it is read once, its
 * moments are computed in registers, and it is written once. */
#include "row_cuda.h"

/* This thread's chunks of a row. Unless KEPT, it holds one chunk, which is loaded again each time. */
template <bool KEPT> using row_chunks = float[KEPT ? REEL_KEPT : 1][REEL_CHUNK];

template <enum reel_dtype P, bool KEPT>
REEL_DEVICE void load_row(const void *x, int64_t start, int64_t width, row_chunks<KEPT> &row)
{
    if constexpr (KEPT)
        reel_each_chunk<true>(width, [&](int k, int64_t first) {
            reel_load<P, true>(x, start + first, start + width, row[k]);
        });
}

struct moments {
    float mean, inverse;
};

/* The mean of a row, and 1 / sqrt(variance + epsilon). The mean is rounded to float. The variance is computed
 * from the differences from that rounded mean, in float. */
template <enum reel_dtype P, bool KEPT>
REEL_DEVICE struct moments moments_of(const void *x, int64_t start, int64_t width, double epsilon,
                                      row_chunks<KEPT> &row)
{
    struct moments m;
    double sum = 0, squares = 0;
    reel_each_chunk<KEPT>(width, [&](int k, int64_t first) {
        if constexpr (!KEPT)
            reel_load<P, false>(x, start + first, start + width, row[k]);
        sum += static_cast<double>(reel_row_sum(row[k]));
    });
    m.mean = reel_block_total(
        sum, [&](double total) { return static_cast<float>(total / static_cast<double>(width)); });
    reel_each_chunk<KEPT>(width, [&](int k, int64_t first) {
        if constexpr (!KEPT)
            reel_load<P, false>(x, start + first, start + width, row[k]);
        float apart[REEL_CHUNK];
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            apart[j] = KEPT || first + j < width ? row[k][j] - m.mean : 0.0f;
        squares += static_cast<double>(reel_row_squares(apart));
    });
    m.inverse =
        reel_block_total(squares, [&](double total) { return reel_inverse_root(total, width, epsilon); });
    return m;
}

template <enum reel_dtype FROM, enum reel_dtype P, bool KEPT>
static __global__ void __launch_bounds__(REEL_ROW_THREADS, 3) layer_norm_rows(struct reel_layer_norm a)
{
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int64_t start = r * a.width;
        row_chunks<KEPT> row;
        load_row<FROM, KEPT>(a.x, start, a.width, row);
        struct moments m = moments_of<FROM, KEPT>(a.x, start, a.width, a.epsilon, row);
        reel_each_chunk<KEPT>(a.width, [&](int k, int64_t first) {
            float weight[REEL_CHUNK], bias[REEL_CHUNK];
            if constexpr (!KEPT)
                reel_load<FROM, false>(a.x, start + first, start + a.width, row[k]);
            reel_load<P, KEPT>(a.weight, first, a.width, weight);
            reel_load<P, KEPT>(a.bias, first, a.width, bias);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                row[k][j] = reel_affine((row[k][j] - m.mean) * m.inverse, weight[j], bias[j]);
            reel_store<P, KEPT>(a.y, start + first, start + a.width, row[k]);
        });
    }
}

void reel_layer_norm_cuda(struct reel_stream *stream, const struct reel_layer_norm *a)
{
    reel_with_dtype(a->x_dtype, [&](auto from) {
        reel_with_dtype(a->dtype, [&](auto dtype) {
            reel_with_flag(reel_is_kept(a->width, a->x, a->weight, a->bias, a->y), [&](auto kept) {
                REEL_LAUNCH(
                    (layer_norm_rows<decltype(from)::value, decltype(dtype)::value, decltype(kept)::value>),
                    reel_row_blocks(a->rows), reel_row_threads(a->width), 0, reel_cuda_queue(stream), *a);
            });
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "layer_norm");
}

template <enum reel_dtype P, bool KEPT>
static __global__ void __launch_bounds__(REEL_ROW_THREADS, 3) modulate_rows(struct reel_modulate a)
{
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int64_t start = r * a.width;
        const float *entry = reel_row_of(a.embedding, r);
        row_chunks<KEPT> row;
        load_row<REEL_F32, KEPT>(a.x, start, a.width, row);
        struct moments m = moments_of<REEL_F32, KEPT>(a.x, start, a.width, a.epsilon, row);
        reel_each_chunk<KEPT>(a.width, [&](int k, int64_t first) {
            float scale[REEL_CHUNK], row_scale[REEL_CHUNK], shift[REEL_CHUNK], row_shift[REEL_CHUNK];
            if constexpr (!KEPT)
                reel_load<REEL_F32, false>(a.x, start + first, start + a.width, row[k]);
            reel_load<P, KEPT>(a.scale, first, a.width, scale);
            reel_load<REEL_F32, KEPT>(entry + a.scale_at, first, a.width, row_scale);
            reel_load<P, KEPT>(a.shift, first, a.width, shift);
            reel_load<REEL_F32, KEPT>(entry + a.shift_at, first, a.width, row_shift);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                row[k][j] = reel_modulated((row[k][j] - m.mean) * m.inverse, scale[j], row_scale[j], shift[j],
                                           row_shift[j]);
            reel_store<P, KEPT>(a.y, start + first, start + a.width, row[k]);
        });
    }
}

void reel_modulate_cuda(struct reel_stream *stream, const struct reel_modulate *a)
{
    bool kept = reel_is_kept(a->width, a->x, a->shift, a->scale, a->y) &&
                reel_is_wide_table(&a->embedding, a->shift_at) &&
                reel_is_wide_table(&a->embedding, a->scale_at);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(kept, [&](auto stays) {
            REEL_LAUNCH((modulate_rows<decltype(dtype)::value, decltype(stays)::value>),
                        reel_row_blocks(a->rows), reel_row_threads(a->width), 0, reel_cuda_queue(stream), *a);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "modulate");
}

template <enum reel_dtype P, bool WIDE>
static __global__ void gated_add_chunks(struct reel_gated_add a, int64_t row_chunks)
{
    for (int64_t c = reel_grid_first(); c < a.rows * row_chunks; c += reel_grid_stride()) {
        int64_t r = c / row_chunks, first = (c - r * row_chunks) * REEL_CHUNK, start = r * a.width;
        float x[REEL_CHUNK], y[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.x, start + first, start + a.width, x);
        reel_load<P, WIDE>(a.y, start + first, start + a.width, y);
        if (a.gate) {
            float gate[REEL_CHUNK], row[REEL_CHUNK];
            reel_load<P, WIDE>(a.gate, first, a.width, gate);
            reel_load<REEL_F32, WIDE>(reel_row_of(a.embedding, r) + a.gate_at, first, a.width, row);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                x[j] = reel_gated(x[j], y[j], gate[j], row[j]);
        } else {
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                x[j] += y[j];
        }
        reel_store<REEL_F32, WIDE>(a.x, start + first, start + a.width, x);
    }
}

void reel_gated_add_cuda(struct reel_stream *stream, const struct reel_gated_add *a)
{
    bool wide = reel_is_wide(a->width, a->x, a->y, a->gate) &&
                (!a->gate || reel_is_wide_table(&a->embedding, a->gate_at));
    int64_t row_chunks = reel_chunks(a->width);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(wide, [&](auto whole) {
            REEL_LAUNCH((gated_add_chunks<decltype(dtype)::value, decltype(whole)::value>),
                        reel_flat_blocks(a->rows * row_chunks), REEL_FLAT_THREADS, 0, reel_cuda_queue(stream),
                        *a, row_chunks);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "gated_add");
}
