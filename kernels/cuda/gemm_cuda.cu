/* GEMM on the GPU: by the library where it has an algorithm for a shape (gemm_cublas.h), which multiplies, adds
 * the bias and takes the tanh GELU where its types allow; the rest of an activation, or a bias of other
 * precision than the result, is a pass of our own over results in float, which are rounded once. Where the
 * library has none, a plain kernel does all.
 *
 * Which of these it is depends on everything but the number of rows, so that a row's bits do not depend on
 * it. */
#include "row_cuda.h"
#include "gemm_workspace_cuda.h"

extern "C" {
#include "gemm_algorithms.h"
#include "attention_cudnn.h"
#include "gemm_cublas.h"
}

namespace
{

/* How a GEMM is computed. */
struct way {
    bool by_library;
    struct reel_cublas_gemm product;
    bool finishes; /* our own pass follows over results in float */
    bool side;     /* which lie in scratch memory until then, for y is not of float */
};

/* ---- Our own kernels */

/* y = x, rounded to F8_E4M3. y is aligned to 16. */
template <enum reel_precision dtype, bool wide>
__global__ void narrow(const void *x, int64_t count, uint8_t *y)
{
    for (int64_t first = reel_grid_first() * REEL_CHUNK; first < count;
         first += reel_grid_stride() * REEL_CHUNK) {
        float values[REEL_CHUNK];
        uint32_t four[2] = {0, 0};
        reel_load<dtype, wide>(x, first, count, values);
#pragma unroll
        for (int j = 0; j < REEL_CHUNK; j++)
            four[j / 4] |= static_cast<uint32_t>(reel_round_e4m3(values[j])) << (8 * (j % 4));
        if constexpr (wide) {
            *reinterpret_cast<uint2 *>(y + first) = make_uint2(four[0], four[1]);
        } else {
#pragma unroll
            for (int j = 0; j < REEL_CHUNK; j++)
                if (first + j < count)
                    y[first + j] = static_cast<uint8_t>(four[j / 4] >> (8 * (j % 4)));
        }
    }
}

/* y = activation(z + bias), rows of z follow each other. y may be z. Thread (c, r) begins with column c of
 * row r. */
__global__ void finish(const float *z, int64_t rows, int64_t out, const void *bias,
                       enum reel_precision bias_as, enum reel_activation activation, void *y,
                       enum reel_precision result)
{
    int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= out)
        return;
    float b = bias ? reel_number(bias, column, bias_as) : 0;
    for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
        float value = bias ? z[row * out + column] + b : z[row * out + column];
        reel_set_number(y, row * out + column, result, reel_activated(value, activation));
    }
}

constexpr int tile = 64, depth = 16, side = 16, each = tile / side, pitch = tile + 1;

/* A slice of `depth` columns of 64 rows, turned; zeros where there is none. */
template <enum reel_precision inputs>
__device__ inline void slice(float *to, const void *from, int64_t first, int64_t rows, int64_t in, int64_t k)
{
    for (int i = static_cast<int>(threadIdx.x); i < tile * depth; i += side * side) {
        int row = i / depth, column = i % depth;
        to[column * pitch + row] = first + row < rows && k + column < in
                                       ? reel_number(from, (first + row) * in + k + column, inputs)
                                       : 0;
    }
}

/* y = activation(scale x weight^T + bias), one sum in the order of `in` for each number. Block (c, r): 64 x
 * 64 of them. */
template <enum reel_precision inputs>
__global__ void __launch_bounds__(side *side) multiply(const struct reel_gemm a, float scale, const void *x)
{
    REEL_SHARED(float, xs);
    float *ws = xs + depth * pitch, sum[each][each] = {};
    int ty = static_cast<int>(threadIdx.x) / side, tx = static_cast<int>(threadIdx.x) % side;
    int64_t first = static_cast<int64_t>(blockIdx.y) * tile, column = static_cast<int64_t>(blockIdx.x) * tile;
    for (int64_t k = 0; k < a.in; k += depth) {
        slice<inputs>(xs, x, first, a.rows, a.in, k);
        slice<inputs>(ws, a.weight, column, a.out, a.in, k);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < depth; i++)
#pragma unroll
            for (int m = 0; m < each; m++)
#pragma unroll
                for (int n = 0; n < each; n++)
                    sum[m][n] = fmaf(xs[i * pitch + ty + side * m], ws[i * pitch + tx + side * n], sum[m][n]);
        __syncthreads();
    }
#pragma unroll
    for (int m = 0; m < each; m++)
#pragma unroll
        for (int n = 0; n < each; n++) {
            int64_t row = first + ty + side * m, out = column + tx + side * n;
            if (row >= a.rows || out >= a.out)
                continue;
            float z = sum[m][n] * scale;
            z = a.bias ? z + reel_number(a.bias, out, a.dtype) : z;
            reel_set_number(a.y, row * a.out + out, a.y_dtype, reel_activated(z, a.activation));
        }
}

/* ---- The way of a GEMM */

struct reel_cublas *products_of(const struct reel_stream *stream)
{
    return static_cast<struct reel_cublas *>(static_cast<struct reel_cuda_queue *>(stream->queue)->gemm);
}

const char *word_for(enum reel_precision precision)
{
    return precision == REEL_FP32 ? "fp32" : precision == REEL_BFLOAT16 ? "bf16" : "fp8";
}

struct way way_of(const struct reel_stream *stream, const struct reel_gemm *a)
{
    struct way way = {};
    bool bias_fits =
        !a->bias || (a->weight_dtype == REEL_FP8 ? a->dtype == REEL_BFLOAT16 : a->dtype == a->y_dtype);
    bool activation_fits =
        a->activation == REEL_IDENTITY || (a->activation == REEL_GELU_TANH && a->y_dtype == REEL_BFLOAT16);
    way.product.in = a->in;
    way.product.out = a->out;
    way.product.x_dtype = a->weight_dtype;
    way.product.y_dtype = a->y_dtype;
    way.product.bias_dtype = a->dtype;
    way.product.has_bias = a->bias != nullptr;
    way.product.gelu = a->activation == REEL_GELU_TANH;
    way.by_library = bias_fits && activation_fits && reel_cublas_know(products_of(stream), &way.product);
    if (way.by_library)
        return way;
    way.product.y_dtype = REEL_FP32;
    way.product.has_bias = way.product.gelu = 0;
    way.by_library = reel_cublas_know(products_of(stream), &way.product);
    way.side = way.by_library && a->y_dtype != REEL_FP32;
    way.finishes = way.by_library && (way.side || a->bias || a->activation != REEL_IDENTITY);
    if (!way.by_library)
        reel_gemm_algorithms_note("gemm %lld to %lld %s: plain", static_cast<long long>(a->in),
                                  static_cast<long long>(a->out), word_for(a->weight_dtype));
    return way;
}

/* ---- The parts of one piece of rows */

void start_narrow(struct reel_stream *stream, const struct reel_gemm *a, uint8_t *y)
{
    int64_t count = a->rows * a->in;
    reel_with_precision(a->dtype, [&](auto dtype) {
        reel_with_flag(reel_is_wide(count, a->x), [&](auto wide) {
            REEL_LAUNCH((narrow<decltype(dtype)::value, decltype(wide)::value>),
                        reel_flat_blocks(reel_chunks(count)), REEL_FLAT_THREADS, 0, reel_cuda_queue(stream),
                        a->x, count, y);
        });
    });
    reel_cuda_check(stream, cudaGetLastError(), "rounding to fp8");
}

void start_finish(struct reel_stream *stream, const struct reel_gemm *a, const float *z)
{
    dim3 grid(static_cast<unsigned>((a->out + 255) / 256),
              static_cast<unsigned>(a->rows < 4096 ? a->rows : 4096));
    REEL_LAUNCH(finish, grid, 256, 0, reel_cuda_queue(stream), z, a->rows, a->out, a->bias, a->dtype,
                a->activation, a->y, a->y_dtype);
    reel_cuda_check(stream, cudaGetLastError(), "bias and activation");
}

void start_multiply(struct reel_stream *stream, const struct reel_gemm *a, const void *x, float scale)
{
    constexpr size_t bytes = 2 * depth * pitch * sizeof(float);
    dim3 grid(static_cast<unsigned>((a->out + tile - 1) / tile),
              static_cast<unsigned>((a->rows + tile - 1) / tile));
    if (a->weight_dtype == REEL_FP32)
        REEL_LAUNCH(multiply<REEL_FP32>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale, x);
    else if (a->weight_dtype == REEL_BFLOAT16)
        REEL_LAUNCH(multiply<REEL_BFLOAT16>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale, x);
    else
        REEL_LAUNCH(multiply<REEL_FP8>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale, x);
    reel_cuda_check(stream, cudaGetLastError(), "plain gemm");
}

void start_product(struct reel_stream *stream, const struct reel_gemm *a, const struct way *way,
                   const void *x, float scale)
{
    struct reel_gemm_workspace scratch = reel_gemm_workspace_of(stream);
    struct reel_cublas_arrays arrays = {};
    arrays.rows = a->rows;
    arrays.scale = scale;
    arrays.x = x;
    arrays.weight = a->weight;
    arrays.bias = a->bias;
    arrays.y = way->side ? scratch.wide : a->y;
    arrays.workspace = scratch.workspace;
    arrays.queue = reel_cuda_queue(stream);
    const char *refusal = reel_cublas_run(products_of(stream), &way->product, &arrays);
    if (refusal)
        reel_stream_fail(stream, REEL_BAD_DEVICE,
                         "cuBLASLt refused a %s GEMM of %lld rows, %lld in, %lld out: %s",
                         word_for(a->weight_dtype), static_cast<long long>(a->rows),
                         static_cast<long long>(a->in), static_cast<long long>(a->out), refusal);
    else if (way->finishes)
        start_finish(stream, a, static_cast<const float *>(arrays.y));
}

void start_piece(struct reel_stream *stream, const struct reel_gemm *a, const struct way *way)
{
    uint8_t *narrowed = reel_gemm_workspace_of(stream).narrow;
    float scale = a->weight_dtype == REEL_FP8 ? static_cast<float>(a->weight_scale) : 1.0f;
    const void *x = a->x;
    if (a->weight_dtype == REEL_FP8) {
        start_narrow(stream, a, narrowed);
        x = narrowed;
    }
    if (stream->status != REEL_OK)
        return;
    if (way->by_library)
        start_product(stream, a, way, x, scale);
    else
        start_multiply(stream, a, x, scale);
}

/* Rows that go through scratch memory, or a grid, at once. */
int64_t max_rows(const struct reel_gemm *a, const struct way *way)
{
    int64_t max = a->weight_dtype == REEL_FP8 ? REEL_NARROW_ROWS : way->by_library ? a->rows : 65535 * tile;
    int64_t wide = REEL_WIDE_BYTES / (a->out * static_cast<int64_t>(sizeof(float)));
    return way->side && wide < max ? (wide > 0 ? wide : 1) : max;
}

} // namespace

void reel_gemm_cuda(struct reel_stream *stream, const struct reel_gemm *a)
{
    struct way way = way_of(stream, a);
    struct reel_gemm piece = *a;
    int64_t max = max_rows(a, &way);
    for (int64_t first = 0; first < a->rows && stream->status == REEL_OK; first += max) {
        piece.rows = a->rows - first < max ? a->rows - first : max;
        piece.x = static_cast<const char *>(a->x) + first * a->in * reel_precision_bytes(a->dtype);
        piece.y = static_cast<char *>(a->y) + first * a->out * reel_precision_bytes(a->y_dtype);
        start_piece(stream, &piece, &way);
    }
}

struct reel_gemm_workspace reel_gemm_workspace_of(const struct reel_stream *stream)
{
    struct reel_gemm_workspace scratch;
    uintptr_t begin = (reinterpret_cast<uintptr_t>(stream->scratch) + 255) / 256 * 256;
    scratch.workspace = reinterpret_cast<char *>(begin);
    scratch.wide = scratch.workspace + REEL_CUBLAS_WORKSPACE_BYTES;
    scratch.narrow = reinterpret_cast<uint8_t *>(scratch.wide + REEL_WIDE_BYTES);
    return scratch;
}

/* Without cuDNN attention has other ways, and says once which. */
void reel_gemm_cuda_open(struct reel_stream *stream, const struct reel_scratch *max)
{
    struct reel_cuda_queue *queue = static_cast<struct reel_cuda_queue *>(stream->queue);
    const char *why = "";
    (void)max;
    queue->gemm = reel_cublas_open(&why);
    if (!queue->gemm)
        reel_stream_fail(stream, REEL_BAD_DEVICE, "cuBLASLt cannot be used: %s", why);
    queue->attention = reel_sdpa_open(queue->stream, &why);
    if (!queue->attention)
        reel_gemm_algorithms_note("attention by tiles, without cuDNN: %s", why);
}

void reel_gemm_cuda_close(struct reel_stream *stream)
{
    struct reel_cuda_queue *queue = static_cast<struct reel_cuda_queue *>(stream->queue);
    reel_sdpa_close(static_cast<struct reel_sdpa *>(queue->attention));
    reel_cublas_close(static_cast<struct reel_cublas *>(queue->gemm));
    queue->attention = queue->gemm = nullptr;
}
