/* The algorithms of this fake, the heuristic that chooses among them, and their attributes. */
#include "blas.h"
#include "internal.h"

/* In the order of the heuristic for many columns; for few columns the order is reversed. */
static const struct {
    int32_t id, split;
    uint32_t tile, reduction; /* CUBLASLT_MATMUL_TILE_128x256, _128x128, _64x64 */
    uint16_t step;
    size_t workspace_bytes;
} known[] = {
    {66, 1, 23, CUBLASLT_REDUCTION_SCHEME_NONE, 0, 0},
    {67, 1, 20, CUBLASLT_REDUCTION_SCHEME_NONE, 32, 1 << 20},
    {21, 4, 15, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 0, 4 << 20},
};
static const int KNOWN = sizeof known / sizeof *known, MANY_COLUMNS = 1024;
static const uint32_t MAX_ALIGNMENT = 16;

static int find(int32_t id)
{
    for (int i = 0; i < KNOWN; i++)
        if (known[i].id == id)
            return i;
    return -1;
}

size_t reel_blas_workspace(const struct reel_blas_algorithm &algorithm)
{
    return known[find(algorithm.id)].workspace_bytes;
}

static void describe_product(const struct reel_blas_product &product, struct reel_blas_algorithm *algorithm)
{
    const int32_t types[4] = {product.a.type, product.b.type, product.c.type, product.d.type};
    for (int i = 0; i < 4; i++)
        algorithm->types[i] = static_cast<uint8_t>(types[i]);
    algorithm->transposed =
        static_cast<uint8_t>(product.operation.transpose_a | product.operation.transpose_b << 1);
    algorithm->epilogue = static_cast<uint8_t>(product.operation.epilogue);
    algorithm->compute = static_cast<uint8_t>(product.operation.compute);
}

static struct reel_blas_algorithm make(int which, const struct reel_blas_product &product,
                                       const struct reel_blas_preference &preference)
{
    struct reel_blas_algorithm algorithm = {};
    algorithm.what = REEL_BLAS_ALGORITHM;
    algorithm.id = known[which].id;
    algorithm.split = known[which].split;
    algorithm.tile = known[which].tile;
    algorithm.reduction = known[which].reduction;
    algorithm.step = known[which].step;
    for (int i = 0; i < 4; i++)
        algorithm.alignments[i] = static_cast<uint8_t>(
            preference.alignment[i] < MAX_ALIGNMENT ? preference.alignment[i] : MAX_ALIGNMENT);
    uintptr_t bias = reinterpret_cast<uintptr_t>(product.operation.bias) | MAX_ALIGNMENT;
    algorithm.alignments[4] = static_cast<uint8_t>(bias & -bias);
    describe_product(product, &algorithm);
    return algorithm;
}

cublasStatus_t reel_blas_fits(const struct reel_blas_algorithm &algorithm,
                              const struct reel_blas_product &product)
{
    struct reel_blas_algorithm expected = algorithm;
    describe_product(product, &expected);
    bool fits = algorithm.what == REEL_BLAS_ALGORITHM && find(algorithm.id) >= 0 &&
                memcmp(&expected, &algorithm, sizeof expected) == 0;
    return fits ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

/* The algorithms that the preference allows; NOT_SUPPORTED if there are none. */
static cublasStatus_t name_candidates(const struct reel_blas_product &product,
                                      const struct reel_blas_preference &preference, int max,
                                      cublasLtMatmulHeuristicResult_t results[], int *count)
{
    *count = 0;
    for (int i = 0; i < KNOWN && *count < max; i++) {
        int which = product.n >= MANY_COLUMNS ? i : KNOWN - 1 - i;
        bool is_allowed = known[which].workspace_bytes <= preference.workspace_bytes &&
                          (known[which].reduction & ~preference.reductions) == 0;
        if (!is_allowed)
            continue;
        cublasLtMatmulHeuristicResult_t *result = &results[(*count)++];
        *result = {};
        *reel_blas_of<struct reel_blas_algorithm>(&result->algo) = make(which, product, preference);
        result->workspaceSize = known[which].workspace_bytes;
        result->state = CUBLAS_STATUS_SUCCESS;
        result->wavesCount = 1.0f;
    }
    return *count > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t reel_blas_first(const struct reel_blas_product &product, size_t workspace_bytes,
                               struct reel_blas_algorithm *algorithm)
{
    cublasLtMatmulPreferenceOpaque_t preference;
    cublasLtMatmulHeuristicResult_t first;
    int count = 0;
    cublasLtMatmulPreferenceInit(&preference);
    reel_blas_of<struct reel_blas_preference>(&preference)->workspace_bytes = workspace_bytes;
    cublasStatus_t status =
        name_candidates(product, *reel_blas_of<struct reel_blas_preference>(&preference), 1, &first, &count);
    if (status == CUBLAS_STATUS_SUCCESS)
        *algorithm = *reel_blas_of<struct reel_blas_algorithm>(&first.algo);
    return status;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int max,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    struct reel_blas_product product = {};
    if (int code = reel_fake_refused("cublasLtMatmulAlgoGetHeuristic"))
        return static_cast<cublasStatus_t>(code);
    cublasStatus_t status = reel_blas_look(handle, operation, a, b, c, d, &product);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!preference || max <= 0 || !results || !count ||
        reel_blas_of<struct reel_blas_preference>(preference)->what != REEL_BLAS_PREFERENCE)
        return CUBLAS_STATUS_INVALID_VALUE;
    return name_candidates(product, *reel_blas_of<struct reel_blas_preference>(preference), max, results,
                           count);
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    struct reel_blas_product product = {};
    if (int code = reel_fake_refused("cublasLtMatmulAlgoCheck"))
        return static_cast<cublasStatus_t>(code);
    cublasStatus_t status = reel_blas_look(handle, operation, a, b, c, d, &product);
    if (status == CUBLAS_STATUS_SUCCESS && (!algorithm || !result))
        status = CUBLAS_STATUS_INVALID_VALUE;
    if (status == CUBLAS_STATUS_SUCCESS)
        status = reel_blas_fits(*reel_blas_of<struct reel_blas_algorithm>(algorithm), product);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    result->workspaceSize = reel_blas_workspace(*reel_blas_of<struct reel_blas_algorithm>(algorithm));
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1.0f;
    return CUBLAS_STATUS_SUCCESS;
}

/* Copies a number to *value if bytes is its size, and sets *written to that size. bytes may be 0, to ask for
 * the size alone. */
template <typename T> static cublasStatus_t get(T number, void *value, size_t bytes, size_t *written)
{
    if (bytes != 0 && (bytes != sizeof number || !value))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes != 0)
        memcpy(value, &number, sizeof number);
    if (written)
        *written = sizeof number;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t bytes, size_t *written)
{
    const struct reel_blas_algorithm *mine = reel_blas_of<struct reel_blas_algorithm>(algorithm);
    if (mine->what != REEL_BLAS_ALGORITHM)
        return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
    case CUBLASLT_ALGO_CONFIG_ID:
        return get(mine->id, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_TILE_ID:
        return get(mine->tile, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
        return get(mine->split, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
        return get(mine->reduction, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
    case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
        return get<uint32_t>(0, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_STAGES_ID: /* CUBLASLT_MATMUL_STAGES_64x4 */
        return get<uint32_t>(16, value, bytes, written);
    case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
    case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
        return get<uint16_t>(0, value, bytes, written);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}
