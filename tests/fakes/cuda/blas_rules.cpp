/* The descriptions of cuBLASLt, and the rules by which it refuses products. */
#include "blas.h"
#include "internal.h"

struct cublasLtContext {
    int device;
};

#define NAME(status)                                                                                         \
    case status:                                                                                             \
        return #status
const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
        NAME(CUBLAS_STATUS_SUCCESS);
        NAME(CUBLAS_STATUS_NOT_INITIALIZED);
        NAME(CUBLAS_STATUS_ALLOC_FAILED);
        NAME(CUBLAS_STATUS_INVALID_VALUE);
        NAME(CUBLAS_STATUS_ARCH_MISMATCH);
        NAME(CUBLAS_STATUS_EXECUTION_FAILED);
        NAME(CUBLAS_STATUS_INTERNAL_ERROR);
        NAME(CUBLAS_STATUS_NOT_SUPPORTED);
    }
    return "CUBLAS_STATUS_UNKNOWN";
}
#undef NAME

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return cublasLtGetStatusName(status);
}

size_t cublasLtGetVersion(void)
{
    return 130100;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    if (int code = reel_fake_refused("cublasLtCreate"))
        return static_cast<cublasStatus_t>(code);
    *handle = new struct cublasLtContext();
    return cudaGetDevice(&(*handle)->device) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                            : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

/* ---- Descriptions. */
cublasStatus_t cublasLtMatrixLayoutInit(cublasLtMatrixLayout_t layout, cudaDataType type, uint64_t rows,
                                        uint64_t cols, int64_t ld)
{
    *reel_blas_of<struct reel_blas_layout>(layout) = {
        REEL_BLAS_LAYOUT, static_cast<int32_t>(type), CUBLASLT_ORDER_COL, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescInit(cublasLtMatmulDesc_t operation, cublasComputeType_t compute,
                                      cudaDataType_t scale)
{
    struct reel_blas_operation mine = {};
    mine.what = REEL_BLAS_OPERATION;
    mine.compute = compute;
    mine.scale = static_cast<int32_t>(scale);
    mine.bias_type = -1;
    mine.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    *reel_blas_of<struct reel_blas_operation>(operation) = mine;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceInit(cublasLtMatmulPreference_t preference)
{
    *reel_blas_of<struct reel_blas_preference>(preference) = {
        REEL_BLAS_PREFERENCE, CUBLASLT_REDUCTION_SCHEME_MASK, 0, {256, 256, 256, 256}, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    *layout = new cublasLtMatrixLayoutOpaque_t();
    return cublasLtMatrixLayoutInit(*layout, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    *operation = new cublasLtMatmulDescOpaque_t();
    return cublasLtMatmulDescInit(*operation, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation)
{
    delete operation;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = new cublasLtMatmulPreferenceOpaque_t();
    return cublasLtMatmulPreferenceInit(*preference);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- Attributes: each has its own size. */
static cublasStatus_t set(void *field, size_t field_bytes, const void *value, size_t bytes)
{
    if (!value || bytes != field_bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
#define SET(field) return set(&(field), sizeof(field), value, bytes)

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                size_t bytes)
{
    struct reel_blas_layout *mine = reel_blas_of<struct reel_blas_layout>(layout);
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
        SET(mine->type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        SET(mine->order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
        SET(mine->rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
        SET(mine->columns);
    case CUBLASLT_MATRIX_LAYOUT_LD:
        SET(mine->stride);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t bytes)
{
    struct reel_blas_operation *mine = reel_blas_of<struct reel_blas_operation>(operation);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
        SET(mine->compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
        SET(mine->scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        SET(mine->pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
        SET(mine->transpose_a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        SET(mine->transpose_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        SET(mine->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        SET(mine->bias);
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
        SET(mine->scale_a);
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
        SET(mine->scale_b);
    case CUBLASLT_MATMUL_DESC_D_SCALE_POINTER:
        SET(mine->scale_d);
    case CUBLASLT_MATMUL_DESC_FAST_ACCUM:
        SET(mine->fast);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        SET(mine->bias_type);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    struct reel_blas_preference *mine = reel_blas_of<struct reel_blas_preference>(preference);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE:
        SET(mine->search);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        SET(mine->workspace_bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        SET(mine->reductions);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        SET(mine->alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        SET(mine->alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        SET(mine->alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        SET(mine->alignment[3]);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- Rules. */
int64_t reel_blas_bytes(int32_t type)
{
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 1;
}

static bool is_known(int32_t type)
{
    return type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_8F_E4M3;
}

/* The table of types in the documentation of cublasLtMatmul. It lists the types that C, D and the bias may
 * have. */
static bool types_go_together(const struct reel_blas_product &p)
{
    int32_t c = p.c.type, d = p.d.type, bias = p.bias_type;
    bool fits = false;
    if (p.a.type != p.b.type)
        return false;
    if (p.a.type == CUDA_R_8F_E4M3) {
        fits = (c == CUDA_R_16BF && (d == CUDA_R_16BF || d == CUDA_R_8F_E4M3)) ||
               (c == CUDA_R_32F && d == CUDA_R_32F);
        return fits && bias == CUDA_R_16BF;
    }
    fits = c == d && (d == CUDA_R_32F || (p.a.type == CUDA_R_16BF && d == CUDA_R_16BF));
    return fits && bias == d;
}

/* F8_E4M3 needs A transposed and B not, dimensions and strides of 16 bytes, and a device that has it. */
static bool fp8_is_possible(const struct reel_blas_product &p)
{
    int device = 0, major = 0, minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    return p.operation.transpose_a == CUBLAS_OP_T && p.operation.transpose_b == CUBLAS_OP_N &&
           p.operation.compute == CUBLAS_COMPUTE_32F && p.k % 16 == 0 &&
           p.m * reel_blas_bytes(p.d.type) % 16 == 0 && p.a.stride % 16 == 0 && p.b.stride % 16 == 0 &&
           p.c.stride * reel_blas_bytes(p.c.type) % 16 == 0 &&
           p.d.stride * reel_blas_bytes(p.d.type) % 16 == 0 && major * 10 + minor >= 89;
}

static bool epilogue_is_known(uint32_t epilogue)
{
    return epilogue == CUBLASLT_EPILOGUE_DEFAULT || epilogue == CUBLASLT_EPILOGUE_BIAS ||
           epilogue == CUBLASLT_EPILOGUE_GELU || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS;
}

static cublasStatus_t look_at_types(const struct reel_blas_product &p)
{
    const struct reel_blas_layout *layouts[4] = {&p.a, &p.b, &p.c, &p.d};
    for (const struct reel_blas_layout *layout : layouts)
        if (!is_known(layout->type) || layout->order != CUBLASLT_ORDER_COL)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    bool is_fp8 = p.a.type == CUDA_R_8F_E4M3;
    if ((p.operation.compute != CUBLAS_COMPUTE_32F && p.operation.compute != CUBLAS_COMPUTE_32F_PEDANTIC) ||
        p.operation.scale != CUDA_R_32F || !epilogue_is_known(p.operation.epilogue) ||
        !types_go_together(p) || (is_fp8 && !fp8_is_possible(p)))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if ((!is_fp8 && (p.operation.scale_a || p.operation.scale_b)) ||
        (p.d.type != CUDA_R_8F_E4M3 && p.operation.scale_d))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t look_at_sizes(const struct reel_blas_product &p)
{
    const struct reel_blas_layout *layouts[4] = {&p.a, &p.b, &p.c, &p.d};
    for (const struct reel_blas_layout *layout : layouts)
        if (layout->stride < static_cast<int64_t>(layout->rows))
            return CUBLAS_STATUS_INVALID_VALUE;
    uint64_t m = p.operation.transpose_a ? p.a.columns : p.a.rows,
             k = p.operation.transpose_a ? p.a.rows : p.a.columns,
             n = p.operation.transpose_b ? p.b.rows : p.b.columns,
             k_of_b = p.operation.transpose_b ? p.b.columns : p.b.rows;
    bool fits = k == k_of_b && p.c.rows == m && p.d.rows == m && p.c.columns == n && p.d.columns == n;
    return fits ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

static int32_t bias_type_of(const struct reel_blas_product &p)
{
    if (!reel_blas_has_bias(p.operation) || p.operation.bias_type < 0)
        return p.a.type == CUDA_R_8F_E4M3 ? static_cast<int32_t>(CUDA_R_16BF) : p.d.type;
    return p.operation.bias_type;
}

cublasStatus_t reel_blas_look(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                              cublasLtMatrixLayout_t d, struct reel_blas_product *product)
{
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!operation || !a || !b || !c || !d)
        return CUBLAS_STATUS_INVALID_VALUE;
    product->operation = *reel_blas_of<struct reel_blas_operation>(operation);
    product->a = *reel_blas_of<struct reel_blas_layout>(a);
    product->b = *reel_blas_of<struct reel_blas_layout>(b);
    product->c = *reel_blas_of<struct reel_blas_layout>(c);
    product->d = *reel_blas_of<struct reel_blas_layout>(d);
    if (product->operation.what != REEL_BLAS_OPERATION || product->a.what != REEL_BLAS_LAYOUT ||
        product->b.what != REEL_BLAS_LAYOUT || product->c.what != REEL_BLAS_LAYOUT ||
        product->d.what != REEL_BLAS_LAYOUT)
        return CUBLAS_STATUS_INVALID_VALUE;
    product->m = static_cast<int64_t>(product->d.rows);
    product->n = static_cast<int64_t>(product->d.columns);
    product->k = static_cast<int64_t>(product->operation.transpose_a ? product->a.rows : product->a.columns);
    product->bias_type = bias_type_of(*product);
    cublasStatus_t sizes = look_at_sizes(*product);
    return sizes == CUBLAS_STATUS_SUCCESS ? look_at_types(*product) : sizes;
}
