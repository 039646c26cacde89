/* TeaCache's operations on tokens on the GPU: expansion of embeddings, distances, residuals. */
#include "row_cuda.h"

template <bool WIDE> static __global__ void expand_chunks(struct reel_expand a, int64_t row_chunks)
{
    for (int64_t c = reel_grid_first(); c < a.rows * row_chunks; c += reel_grid_stride()) {
        int64_t r = c / row_chunks, first = (c - r * row_chunks) * REEL_CHUNK, start = r * a.width;
        float row[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(reel_row_of(a.embedding, r), first, a.width, row);
        reel_store<REEL_F32, WIDE>(a.y, start + first, start + a.width, row);
    }
}

void reel_expand_cuda(struct reel_stream *stream, const struct reel_expand *a)
{
    int64_t row_chunks = reel_chunks(a->width);
    bool wide = reel_is_wide(a->width, a->y) && reel_is_wide_table(&a->embedding, 0);
    reel_with_flag(wide, [&](auto whole) {
        REEL_LAUNCH((expand_chunks<decltype(whole)::value>), reel_flat_blocks(a->rows * row_chunks),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), *a, row_chunks);
    });
    reel_cuda_check(stream, cudaGetLastError(), "expand");
}

template <bool WIDE>
static __global__ void __launch_bounds__(REEL_ROW_THREADS) distances_rows(struct reel_distances a)
{
    for (int64_t r = blockIdx.x; r < a.rows; r += gridDim.x) {
        int64_t start = r * a.width;
        double apart = 0, size = 0;
        reel_each_chunk<WIDE>(a.width, [&](int, int64_t first) {
            float x[REEL_CHUNK], then[REEL_CHUNK], away[REEL_CHUNK];
            reel_load<REEL_F32, WIDE>(a.x, start + first, start + a.width, x);
            reel_load<REEL_F32, WIDE>(a.previous, start + first, start + a.width, then);
            reel_store<REEL_F32, WIDE>(a.previous, start + first, start + a.width, x);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++) {
                away[j] = fabsf(x[j] - then[j]);
                then[j] = fabsf(then[j]);
            }
            apart += static_cast<double>(reel_row_sum(away));
            size += static_cast<double>(reel_row_sum(then));
        });
        reel_block_total(apart, [&](double total) {
            a.difference[r * a.stride] = total;
            return 0.0f;
        });
        reel_block_total(size, [&](double total) {
            a.magnitude[r * a.stride] = total;
            return 0.0f;
        });
    }
}

void reel_distances_cuda(struct reel_stream *stream, const struct reel_distances *a)
{
    reel_with_flag(reel_is_kept(a->width, a->x, a->previous), [&](auto wide) {
        REEL_LAUNCH((distances_rows<decltype(wide)::value>), reel_row_blocks(a->rows),
                    reel_row_threads(a->width), 0, reel_cuda_queue(stream), *a);
    });
    reel_cuda_check(stream, cudaGetLastError(), "distances");
}

template <enum reel_dtype P, bool WIDE>
static __global__ void keep_residual_chunks(struct reel_keep_residual a)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < a.count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float after[REEL_CHUNK], before[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.after, first, a.count, after);
        reel_load<REEL_F32, WIDE>(a.before, first, a.count, before);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            after[j] -= before[j];
        reel_store<P, WIDE>(a.residual, first, a.count, after);
    }
}

void reel_keep_residual_cuda(struct reel_stream *stream, const struct reel_keep_residual *a)
{
    reel_with_dtype(a->dtype, [&](auto kept) {
        reel_with_flag(reel_is_wide(a->count, a->after, a->before, a->residual), [&](auto wide) {
            REEL_LAUNCH((keep_residual_chunks<decltype(kept)::value, decltype(wide)::value>),
                        reel_flat_blocks(reel_chunks(a->count)), REEL_FLAT_THREADS, 0,
                        reel_cuda_queue(stream), *a);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "keep_residual");
}

template <enum reel_dtype P, bool WIDE> static __global__ void add_residual_chunks(struct reel_add_residual a)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < a.count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float x[REEL_CHUNK], residual[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.x, first, a.count, x);
        reel_load<P, WIDE>(a.residual, first, a.count, residual);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            x[j] += residual[j];
        reel_store<REEL_F32, WIDE>(a.x, first, a.count, x);
    }
}

void reel_add_residual_cuda(struct reel_stream *stream, const struct reel_add_residual *a)
{
    reel_with_dtype(a->dtype, [&](auto kept) {
        reel_with_flag(reel_is_wide(a->count, a->x, a->residual), [&](auto wide) {
            REEL_LAUNCH((add_residual_chunks<decltype(kept)::value, decltype(wide)::value>),
                        reel_flat_blocks(reel_chunks(a->count)), REEL_FLAT_THREADS, 0,
                        reel_cuda_queue(stream), *a);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "add_residual");
}
