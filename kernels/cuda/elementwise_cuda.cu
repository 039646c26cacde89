/* Element-wise operations on latents and rows on the GPU: guidance, solver steps, activations, sums,
 * conversions. */
#include "row_cuda.h"

template <bool WIDE> static __global__ void guide_chunks(struct reel_guide a, float scale)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < a.count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float conditional[REEL_CHUNK], out[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.conditional, first, a.count, conditional);
        reel_load<REEL_F32, WIDE>(a.unconditional, first, a.count, out);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            out[j] = reel_guided(conditional[j], out[j], scale);
        reel_store<REEL_F32, WIDE>(a.out, first, a.count, out);
    }
}

void reel_guide_cuda(struct reel_stream *stream, const struct reel_guide *a)
{
    reel_with_flag(reel_is_wide(a->count, a->conditional, a->unconditional, a->out), [&](auto wide) {
        REEL_LAUNCH((guide_chunks<decltype(wide)::value>), reel_flat_blocks(reel_chunks(a->count)),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), *a, static_cast<float>(a->scale));
    });
    reel_cuda_check(stream, cudaGetLastError(), "guide");
}

static __global__ void solve_elements(struct reel_solve a)
{
    for (int64_t e = reel_grid_first(); e < a.channels * a.plane; e += reel_grid_stride()) {
        int64_t channel = e / a.plane;
        reel_solve_element(&a, channel, e - channel * a.plane);
    }
}

void reel_solve_cuda(struct reel_stream *stream, const struct reel_solve *a)
{
    REEL_LAUNCH(solve_elements, reel_flat_blocks(a->channels * a->plane), REEL_FLAT_THREADS, 0,
                reel_cuda_queue(stream), *a);
    reel_cuda_check(stream, cudaGetLastError(), "solve");
}

template <bool WIDE> static __global__ void silu_chunks(struct reel_silu a)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < a.count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float x[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.x, first, a.count, x);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            x[j] = reel_silu_of(x[j]);
        reel_store<REEL_F32, WIDE>(a.y, first, a.count, x);
    }
}

void reel_silu_cuda(struct reel_stream *stream, const struct reel_silu *a)
{
    reel_with_flag(reel_is_wide(a->count, a->x, a->y), [&](auto wide) {
        REEL_LAUNCH((silu_chunks<decltype(wide)::value>), reel_flat_blocks(reel_chunks(a->count)),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), *a);
    });
    reel_cuda_check(stream, cudaGetLastError(), "silu");
}

template <enum reel_dtype P, bool WIDE>
static __global__ void sum_parts_chunks(struct reel_sum_parts a, int64_t row_chunks)
{
    for (int64_t c = reel_grid_first(); c < a.rows * row_chunks; c += reel_grid_stride()) {
        int64_t r = c / row_chunks, first = (c - r * row_chunks) * REEL_CHUNK, start = r * a.width;
        float sum[REEL_CHUNK], more[REEL_CHUNK];
        reel_load<P, WIDE>(a.x, start + first, start + a.width, sum);
        for (int64_t p = 1; p <= a.parts; p++) { /* a.row is added last */
            if (p < a.parts)
                reel_load<P, WIDE>(a.x, p * a.part_stride + start + first,
                                   p * a.part_stride + start + a.width, more);
            else
                reel_load<P, WIDE>(a.row, first, a.width, more);
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                sum[j] += more[j];
        }
        reel_store<P, WIDE>(a.y, start + first, start + a.width, sum);
    }
}

void reel_sum_parts_cuda(struct reel_stream *stream, const struct reel_sum_parts *a)
{
    bool wide = reel_is_wide(a->width, a->x, a->row, a->y) && a->part_stride % REEL_CHUNK == 0;
    int64_t row_chunks = reel_chunks(a->width);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(wide, [&](auto whole) {
            REEL_LAUNCH((sum_parts_chunks<decltype(dtype)::value, decltype(whole)::value>),
                        reel_flat_blocks(a->rows * row_chunks), REEL_FLAT_THREADS, 0, reel_cuda_queue(stream),
                        *a, row_chunks);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "sum_parts");
}

template <enum reel_dtype P, bool WIDE>
static __global__ void add_row_chunks(struct reel_add_row a, int64_t row_chunks)
{
    for (int64_t c = reel_grid_first(); c < a.rows * row_chunks; c += reel_grid_stride()) {
        int64_t r = c / row_chunks, first = (c - r * row_chunks) * REEL_CHUNK, start = r * a.width;
        float y[REEL_CHUNK], row[REEL_CHUNK];
        reel_load<P, WIDE>(a.y, start + first, start + a.width, y);
        reel_load<P, WIDE>(a.row, first, a.width, row);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            y[j] += row[j];
        reel_store<P, WIDE>(a.y, start + first, start + a.width, y);
    }
}

void reel_add_row_cuda(struct reel_stream *stream, const struct reel_add_row *a)
{
    int64_t row_chunks = reel_chunks(a->width);
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(reel_is_wide(a->width, a->row, a->y), [&](auto wide) {
            REEL_LAUNCH((add_row_chunks<decltype(dtype)::value, decltype(wide)::value>),
                        reel_flat_blocks(a->rows * row_chunks), REEL_FLAT_THREADS, 0, reel_cuda_queue(stream),
                        *a, row_chunks);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "add_row");
}

template <enum reel_dtype P, bool WIDE> static __global__ void convert_chunks(struct reel_convert a)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < a.count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float x[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.x, first, a.count, x);
        reel_store<P, WIDE>(a.y, first, a.count, x);
    }
}

void reel_convert_cuda(struct reel_stream *stream, const struct reel_convert *a)
{
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(reel_is_wide(a->count, a->x, a->y), [&](auto wide) {
            REEL_LAUNCH((convert_chunks<decltype(dtype)::value, decltype(wide)::value>),
                        reel_flat_blocks(reel_chunks(a->count)), REEL_FLAT_THREADS, 0,
                        reel_cuda_queue(stream), *a);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "convert");
}

template <bool WIDE>
static __global__ void blend_chunks(struct reel_blend a, int64_t row_chunks, float share, float rest)
{
    for (int64_t c = reel_grid_first(); c < a.rows * row_chunks; c += reel_grid_stride()) {
        int64_t r = c / row_chunks, first = (c - r * row_chunks) * REEL_CHUNK;
        int64_t x_start = r * a.x_stride, z_start = r * a.width;
        float x[REEL_CHUNK], z[REEL_CHUNK];
        reel_load<REEL_F32, WIDE>(a.x, x_start + first, x_start + a.width, x);
        reel_load<REEL_F32, WIDE>(a.z, z_start + first, z_start + a.width, z);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            x[j] = reel_blended(x[j], z[j], share, rest);
        reel_store<REEL_F32, WIDE>(a.x, x_start + first, x_start + a.width, x);
    }
}

void reel_blend_cuda(struct reel_stream *stream, const struct reel_blend *a)
{
    float share = static_cast<float>(a->share);
    int64_t row_chunks = reel_chunks(a->width);
    bool wide = reel_is_wide(a->width, a->x, a->z) && a->x_stride % REEL_CHUNK == 0;
    reel_with_flag(wide, [&](auto whole) {
        REEL_LAUNCH((blend_chunks<decltype(whole)::value>), reel_flat_blocks(a->rows * row_chunks),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), *a, row_chunks, share, 1.0f - share);
    });
    reel_cuda_check(stream, cudaGetLastError(), "blend");
}

template <bool WIDE>
static __global__ void nonfinite_chunks(const float *x, int64_t count, unsigned long long *word)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float v[REEL_CHUNK];
        int at = REEL_CHUNK;
        reel_load<REEL_F32, WIDE>(x, first, count, v);
#pragma unroll
        for (int j = REEL_CHUNK - 1; j >= 0; j--)
            if ((reel_bits_of(v[j]) & 0x7f800000u) == 0x7f800000u)
                at = j;
        if (at < REEL_CHUNK)
            atomicMin(word, static_cast<unsigned long long>(first + at));
    }
}

void reel_nonfinite_cuda(struct reel_stream *stream, const float *x, int64_t count, unsigned long long *word)
{
    reel_with_flag(reel_is_wide(count, x), [&](auto wide) {
        REEL_LAUNCH((nonfinite_chunks<decltype(wide)::value>), reel_flat_blocks(reel_chunks(count)),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), x, count, word);
    });
    reel_cuda_check(stream, cudaGetLastError(), "first_nonfinite");
}
