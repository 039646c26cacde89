/* GEMM on the GPU. cuBLASLt computes it where it has an algorithm for the shape (gemm_cublas.h). Where the
 * dtypes allow it, cuBLASLt also adds the bias and applies the tanh GELU. Otherwise it writes float results,
 * and the kernel finish_rows then adds the bias, applies the activation and rounds once. Where cuBLASLt has
 * no algorithm, the plain kernel multiply_tile does everything.
 *
 * This choice depends on everything except the number of rows, so that a row's bits do not depend on it. */
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
    bool by_library; /* by cuBLASLt, as `product` */
    struct reel_cublas_gemm product;
    bool finishes; /* finish_rows adds the bias and applies the activation to float results */
    bool side;     /* the float results are in scratch memory until then, because y is not float */
};

/* ---- The kernels */

/* y = x, rounded to F8_E4M3. y is aligned to 16 bytes. */
template <enum reel_dtype dtype, bool wide>
__global__ void round_to_fp8(const void *x, int64_t count, uint8_t *y)
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

/* y = activation(z + bias), with dense z and y [rows, out]. y may be z. Thread (c, r) does column c of row r
 * and of every gridDim.y-th row after it. */
__global__ void finish_rows(const float *z, int64_t rows, int64_t out, const void *bias,
                            enum reel_dtype bias_as, enum reel_activation activation, void *y,
                            enum reel_dtype result)
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

/* Loads columns [k, k + depth) of 64 rows, transposed; zeros where there is no element. */
template <enum reel_dtype inputs>
__device__ inline void load_slice(float *to, const void *from, int64_t first, int64_t rows, int64_t in,
                                  int64_t k)
{
    for (int i = static_cast<int>(threadIdx.x); i < tile * depth; i += side * side) {
        int row = i / depth, column = i % depth;
        to[column * pitch + row] = first + row < rows && k + column < in
                                       ? reel_number(from, (first + row) * in + k + column, inputs)
                                       : 0;
    }
}

/* y = activation(scale x weight^T + bias). Each element is one sum in the order of `in`. Block (c, r)
 * computes 64 x 64 elements: columns from 64 c, rows from 64 r. */
template <enum reel_dtype inputs>
__global__ void __launch_bounds__(side *side)
    multiply_tile(const struct reel_gemm a, float scale, const void *x)
{
    REEL_SHARED(float, xs);
    float *ws = xs + depth * pitch, sum[each][each] = {};
    int ty = static_cast<int>(threadIdx.x) / side, tx = static_cast<int>(threadIdx.x) % side;
    int64_t first = static_cast<int64_t>(blockIdx.y) * tile, column = static_cast<int64_t>(blockIdx.x) * tile;
    for (int64_t k = 0; k < a.in; k += depth) {
        load_slice<inputs>(xs, x, first, a.rows, a.in, k);
        load_slice<inputs>(ws, a.weight, column, a.out, a.in, k);
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

/* ---- The choice of how a GEMM is computed */

struct reel_cublas *products_of(const struct reel_stream *stream)
{
    return static_cast<struct reel_cublas *>(static_cast<struct reel_cuda_queue *>(stream->queue)->gemm);
}

const char *word_for(enum reel_dtype dtype)
{
    return dtype == REEL_F32 ? "fp32" : dtype == REEL_BF16 ? "bf16" : "fp8";
}

struct way way_of(const struct reel_stream *stream, const struct reel_gemm *a)
{
    struct way way = {};
    bool bias_fits =
        !a->bias || (a->weight_dtype == REEL_F8_E4M3 ? a->dtype == REEL_BF16 : a->dtype == a->y_dtype);
    bool activation_fits =
        a->activation == REEL_IDENTITY || (a->activation == REEL_GELU_TANH && a->y_dtype == REEL_BF16);
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
    way.product.y_dtype = REEL_F32;
    way.product.has_bias = way.product.gelu = 0;
    way.by_library = reel_cublas_know(products_of(stream), &way.product);
    way.side = way.by_library && a->y_dtype != REEL_F32;
    way.finishes = way.by_library && (way.side || a->bias || a->activation != REEL_IDENTITY);
    if (!way.by_library)
        reel_gemm_algorithms_note("gemm %lld to %lld %s: plain", static_cast<long long>(a->in),
                                  static_cast<long long>(a->out), word_for(a->weight_dtype));
    return way;
}

/* ---- The steps for one piece of rows */

void start_narrow(struct reel_stream *stream, const struct reel_gemm *a, uint8_t *y)
{
    int64_t count = a->rows * a->in;
    reel_with_dtype(a->dtype, [&](auto dtype) {
        reel_with_flag(reel_is_wide(count, a->x), [&](auto wide) {
            REEL_LAUNCH((round_to_fp8<decltype(dtype)::value, decltype(wide)::value>),
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
    REEL_LAUNCH(finish_rows, grid, 256, 0, reel_cuda_queue(stream), z, a->rows, a->out, a->bias, a->dtype,
                a->activation, a->y, a->y_dtype);
    reel_cuda_check(stream, cudaGetLastError(), "bias and activation");
}

void start_multiply(struct reel_stream *stream, const struct reel_gemm *a, const void *x, float scale)
{
    constexpr size_t bytes = 2 * depth * pitch * sizeof(float);
    dim3 grid(static_cast<unsigned>((a->out + tile - 1) / tile),
              static_cast<unsigned>((a->rows + tile - 1) / tile));
    if (a->weight_dtype == REEL_F32)
        REEL_LAUNCH(multiply_tile<REEL_F32>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale, x);
    else if (a->weight_dtype == REEL_BF16)
        REEL_LAUNCH(multiply_tile<REEL_BF16>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale,
                    x);
    else
        REEL_LAUNCH(multiply_tile<REEL_F8_E4M3>, grid, side * side, bytes, reel_cuda_queue(stream), *a, scale,
                    x);
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
    float scale = a->weight_dtype == REEL_F8_E4M3 ? static_cast<float>(a->weight_scale) : 1.0f;
    const void *x = a->x;
    if (a->weight_dtype == REEL_F8_E4M3) {
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

/* The most rows that fit into scratch memory, or into a grid, at once. */
int64_t max_rows(const struct reel_gemm *a, const struct way *way)
{
    int64_t max = a->weight_dtype == REEL_F8_E4M3 ? REEL_NARROW_ROWS
                  : way->by_library               ? a->rows
                                                  : 65535 * tile;
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
        piece.x = static_cast<const char *>(a->x) + first * a->in * reel_dtype_bytes(a->dtype);
        piece.y = static_cast<char *>(a->y) + first * a->out * reel_dtype_bytes(a->y_dtype);
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

/* cuDNN is optional. Without it attention uses tiles or the plain kernel, and reel_gpu_gemm_algorithms says
 * so. */
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
