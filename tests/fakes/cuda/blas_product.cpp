/* cublasLtMatmul: its checks when it is called, and its sums when the stream reaches them. */
#include "blas.h"
#include "cuda_bf16.h"
#include "cuda_fp8.h"
#include "internal.h"

#include <vector>

static const size_t WORKSPACE_ALIGNMENT = 256;

struct call {
    struct reel_blas_product product;
    struct reel_blas_algorithm algorithm;
    const char *a, *b, *c;
    char *d;
    const float *alpha, *beta; /* in device memory; or NULL: the values count */
    float alpha_value, beta_value;
};

static float read(const char *array, int64_t index, int32_t type)
{
    const char *at = array + index * reel_blas_bytes(type);
    if (type == CUDA_R_32F)
        return *reinterpret_cast<const float *>(at);
    if (type == CUDA_R_16BF)
        return static_cast<float>(*reinterpret_cast<const __nv_bfloat16 *>(at));
    return reel_fake_from_fp8(static_cast<__nv_fp8_storage_t>(*at));
}

static void write(char *array, int64_t index, int32_t type, float value)
{
    char *at = array + index * reel_blas_bytes(type);
    if (type == CUDA_R_32F)
        *reinterpret_cast<float *>(at) = value;
    else if (type == CUDA_R_16BF)
        *reinterpret_cast<__nv_bfloat16 *>(at) = __nv_bfloat16(value);
    else
        *at = static_cast<char>(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3));
}

/* op(A) as [k][m]: the values of one step of the sums are contiguous. */
static std::vector<float> unfold(const char *array, const struct reel_blas_layout &layout, bool is_transposed,
                                 int64_t m, int64_t k)
{
    std::vector<float> numbers(static_cast<size_t>(m * k));
    for (int64_t inner = 0; inner < k; inner++)
        for (int64_t row = 0; row < m; row++)
            numbers[static_cast<size_t>(inner * m + row)] =
                read(array, is_transposed ? row * layout.stride + inner : inner * layout.stride + row,
                     layout.type);
    return numbers;
}

/* sums[m] += over [first, last) of a[inner][m] b[inner]. */
static void add(const float *a, const float *b, int64_t m, int64_t first, int64_t last, float *sums)
{
    for (int64_t inner = first; inner < last; inner++) {
        const float *row = a + inner * m;
        float factor = b[inner];
        for (int64_t i = 0; i < m; i++)
            sums[i] += row[i] * factor;
    }
}

/* One column of the sums, in the order of the algorithm: the sums of its parts are added one after the
 * other. */
static void sum_column(const struct call &call, const float *a, const float *b, std::vector<float> &part,
                       std::vector<float> &sums)
{
    int64_t m = call.product.m, k = call.product.k, split = call.algorithm.split;
    int64_t step = call.algorithm.step ? call.algorithm.step : (k + split - 1) / split;
    sums.assign(static_cast<size_t>(m), 0.0f);
    for (int64_t first = 0; first < k; first += step) {
        part.assign(static_cast<size_t>(m), 0.0f);
        add(a, b, m, first, first + step < k ? first + step : k, part.data());
        for (size_t i = 0; i < part.size(); i++)
            sums[i] += part[i];
    }
}

static float gelu(float z)
{
    return 0.5f * z * (1.0f + tanhf(0.7978845608f * (z + 0.044715f * z * z * z)));
}

static void finish_column(const struct call &call, int64_t column, const std::vector<float> &sums)
{
    const struct reel_blas_product &p = call.product;
    const struct reel_blas_operation &operation = p.operation;
    float alpha = call.alpha ? *call.alpha : call.alpha_value,
          beta = call.beta ? *call.beta : call.beta_value;
    float scale = alpha * (operation.scale_a ? *operation.scale_a : 1.0f) *
                  (operation.scale_b ? *operation.scale_b : 1.0f);
    for (int64_t row = 0; row < p.m; row++) {
        float value = scale * sums[static_cast<size_t>(row)];
        if (beta != 0.0f)
            value += beta * read(call.c, column * p.c.stride + row, p.c.type);
        if (reel_blas_has_bias(operation))
            value += read(static_cast<const char *>(operation.bias), row, p.bias_type);
        if (operation.epilogue & CUBLASLT_EPILOGUE_GELU)
            value = gelu(value);
        if (operation.scale_d)
            value *= *operation.scale_d;
        write(call.d, column * p.d.stride + row, p.d.type, value);
    }
}

static void multiply(const struct call &call)
{
    const struct reel_blas_product &p = call.product;
    std::vector<float> a = unfold(call.a, p.a, p.operation.transpose_a, p.m, p.k);
    std::vector<float> b(static_cast<size_t>(p.k)), part, sums;
    for (int64_t column = 0; column < p.n; column++) {
        for (int64_t inner = 0; inner < p.k; inner++)
            b[static_cast<size_t>(inner)] = read(
                call.b, p.operation.transpose_b ? inner * p.b.stride + column : column * p.b.stride + inner,
                p.b.type);
        sum_column(call, a.data(), b.data(), part, sums);
        finish_column(call, column, sums);
    }
}

static bool lies_at(const void *pointer, size_t alignment)
{
    return reinterpret_cast<uintptr_t>(pointer) % alignment == 0;
}

static size_t span_of(const struct reel_blas_layout &layout)
{
    return static_cast<size_t>(
        (layout.stride * (static_cast<int64_t>(layout.columns) - 1) + static_cast<int64_t>(layout.rows)) *
        reel_blas_bytes(layout.type));
}

/* Checks that all arrays lie wholly on the device, aligned as the algorithm requires. */
static cublasStatus_t look_at_arrays(const struct call &call, const void *workspace, size_t workspace_bytes)
{
    const struct reel_blas_product &p = call.product;
    const struct reel_blas_algorithm &algorithm = call.algorithm;
    size_t needed = reel_blas_workspace(algorithm);
    if (!call.a || !call.b || !call.c || !call.d || (reel_blas_has_bias(p.operation) && !p.operation.bias) ||
        needed > workspace_bytes || (needed > 0 && !workspace))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!lies_at(call.a, algorithm.alignments[0]) || !lies_at(call.b, algorithm.alignments[1]) ||
        !lies_at(call.c, algorithm.alignments[2]) || !lies_at(call.d, algorithm.alignments[3]) ||
        !lies_at(workspace, WORKSPACE_ALIGNMENT))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (reel_blas_has_bias(p.operation)) {
        if (!lies_at(p.operation.bias, algorithm.alignments[4]))
            return CUBLAS_STATUS_INVALID_VALUE;
        reel_fake_need("cublasLtMatmul, bias", p.operation.bias,
                       static_cast<size_t>(p.m * reel_blas_bytes(p.bias_type)), REEL_DEVICE);
    }
    reel_fake_need("cublasLtMatmul, A", call.a, span_of(p.a), REEL_DEVICE);
    reel_fake_need("cublasLtMatmul, B", call.b, span_of(p.b), REEL_DEVICE);
    reel_fake_need("cublasLtMatmul, C", call.c, span_of(p.c), REEL_DEVICE);
    reel_fake_need("cublasLtMatmul, D", call.d, span_of(p.d), REEL_DEVICE);
    if (needed > 0)
        reel_fake_need("cublasLtMatmul, workspace", workspace, needed, REEL_DEVICE);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes,
                              cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("cublasLtMatmul", queue);
    if (int code = reel_fake_refused("cublasLtMatmul"))
        return static_cast<cublasStatus_t>(code);
    struct call call = {};
    cublasStatus_t status =
        reel_blas_look(handle, operation, a_layout, b_layout, c_layout, d_layout, &call.product);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!alpha || !beta)
        return CUBLAS_STATUS_INVALID_VALUE;
    call.a = static_cast<const char *>(a);
    call.b = static_cast<const char *>(b);
    call.c = static_cast<const char *>(c);
    call.d = static_cast<char *>(d);
    bool is_host = call.product.operation.pointer_mode == CUBLASLT_POINTER_MODE_HOST;
    call.alpha = is_host ? nullptr : static_cast<const float *>(alpha);
    call.beta = is_host ? nullptr : static_cast<const float *>(beta);
    call.alpha_value = is_host ? *static_cast<const float *>(alpha) : 0.0f;
    call.beta_value = is_host ? *static_cast<const float *>(beta) : 0.0f;
    if (algorithm)
        call.algorithm = *reel_blas_of<struct reel_blas_algorithm>(algorithm);
    else
        status = reel_blas_first(call.product, workspace_bytes, &call.algorithm);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = reel_blas_fits(call.algorithm, call.product);
    if (status == CUBLAS_STATUS_SUCCESS && (call.product.m == 0 || call.product.n == 0))
        return status;
    if (status == CUBLAS_STATUS_SUCCESS)
        status = look_at_arrays(call, workspace, workspace_bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        reel_fake_push(queue, [call] { multiply(call); });
    return status;
}
