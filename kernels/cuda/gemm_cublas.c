/* Matrix products by cuBLASLt, whose matrices are column-major. Read that way, weight is [in, out], x is
 * [in, rows] and y is [out, rows]; the product is y = weight^T x. */
#include "gemm_cublas.h"

#include "gemm_algorithms.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdlib.h>

enum { CANONICAL_ROWS = 4096, TRIED_COUNTS = 7, CANDIDATES = 64, MAX_ALIGNMENT = 16 };

/* The algorithm chosen for a product, or the fact that there is none. */
struct choice {
    struct choice *next;
    struct reel_cublas_gemm product;
    int known; /* whether there is an algorithm */
    cublasComputeType_t compute;
    cublasLtMatmulAlgo_t algorithm;
};

struct reel_cublas {
    cublasLtHandle_t library;
    struct choice *choices;
};

/* The descriptors of a product that the library takes. */
struct description {
    cublasLtMatmulDescOpaque_t operation;
    cublasLtMatrixLayoutOpaque_t weight, x, y;
};

struct reel_cublas *reel_cublas_open(const char **why)
{
    struct reel_cublas *products = calloc(1, sizeof *products);
    cublasStatus_t done = products ? cublasLtCreate(&products->library) : CUBLAS_STATUS_ALLOC_FAILED;
    if (done == CUBLAS_STATUS_SUCCESS)
        return products;
    *why = cublasLtGetStatusString(done);
    free(products);
    return NULL;
}

void reel_cublas_close(struct reel_cublas *products)
{
    if (!products)
        return;
    while (products->choices) {
        struct choice *choice = products->choices;
        products->choices = choice->next;
        free(choice);
    }
    cublasLtDestroy(products->library);
    free(products);
}

static cudaDataType_t type_of(enum reel_dtype dtype)
{
    return dtype == REEL_F32 ? CUDA_R_32F : dtype == REEL_BF16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
}

/* The alignment in bytes, at most MAX_ALIGNMENT, of all rows of a dense array whose rows have that many
 * elements. The heuristic relies on it, and reel_cublas_run checks the arrays for it. */
static uint32_t alignment_of(int64_t count, enum reel_dtype dtype)
{
    int64_t bytes = count * reel_dtype_bytes(dtype), lowest = bytes & -bytes;
    return (uint32_t)(lowest < MAX_ALIGNMENT ? lowest : MAX_ALIGNMENT);
}

#define SET(description, attribute, value)                                                                   \
    cublasLtMatmulDescSetAttribute(&(description)->operation, (attribute), &(value), sizeof(value))

static cublasStatus_t describe_operation(struct description *d, const struct reel_cublas_gemm *product,
                                         cublasComputeType_t compute, const void *bias)
{
    int32_t transposed = CUBLAS_OP_T, bias_type = type_of(product->bias_dtype);
    uint32_t epilogue = product->gelu
                            ? (product->has_bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU)
                            : (product->has_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT);
    cublasStatus_t done = cublasLtMatmulDescInit(&d->operation, compute, CUDA_R_32F);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = SET(d, CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = SET(d, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (product->has_bias && done == CUBLAS_STATUS_SUCCESS)
        done = SET(d, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, bias_type);
    if (product->has_bias && done == CUBLAS_STATUS_SUCCESS)
        done = SET(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    return done;
}

static cublasStatus_t describe_gemm(struct description *d, const struct reel_cublas_gemm *product,
                                    cublasComputeType_t compute, int64_t rows, const void *bias)
{
    uint64_t in = (uint64_t)product->in, out = (uint64_t)product->out;
    cudaDataType_t inputs = type_of(product->x_dtype), result = type_of(product->y_dtype);
    cublasStatus_t done = describe_operation(d, product, compute, bias);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = cublasLtMatrixLayoutInit(&d->weight, inputs, in, out, product->in);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = cublasLtMatrixLayoutInit(&d->x, inputs, in, (uint64_t)rows, product->in);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = cublasLtMatrixLayoutInit(&d->y, result, out, (uint64_t)rows, product->out);
    return done;
}

static cublasStatus_t set_preferences(cublasLtMatmulPreferenceOpaque_t *preference,
                                      const struct reel_cublas_gemm *product)
{
    struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t value;
    } attributes[] = {
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_NONE},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product->in, product->x_dtype)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product->in, product->x_dtype)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(product->out, product->y_dtype)},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(product->out, product->y_dtype)},
    };
    uint64_t workspace = REEL_CUBLAS_WORKSPACE_BYTES;
    cublasStatus_t done = cublasLtMatmulPreferenceInit(preference);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &workspace, sizeof workspace);
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes && done == CUBLAS_STATUS_SUCCESS; i++)
        done = cublasLtMatmulPreferenceSetAttribute(preference, attributes[i].attribute, &attributes[i].value,
                                                    sizeof attributes[i].value);
    return done;
}

/* One value of an algorithm's configuration, of 2 or 4 bytes; -1 where the library has no such value. */
static int64_t config_value(const cublasLtMatmulAlgo_t *algorithm,
                            cublasLtMatmulAlgoConfigAttributes_t attribute)
{
    uint32_t wide = 0;
    uint16_t narrow = 0;
    size_t written = 0;
    if (cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, &wide, sizeof wide, &written) ==
        CUBLAS_STATUS_SUCCESS)
        return wide;
    if (cublasLtMatmulAlgoConfigGetAttribute(algorithm, attribute, &narrow, sizeof narrow, &written) ==
        CUBLAS_STATUS_SUCCESS)
        return narrow;
    return -1;
}

/* Whether an algorithm does not split `in` into parts. One that has no value for the number of parts, or for
 * the reduction scheme, does not. */
static int sums_in_one_sequence(const cublasLtMatmulAlgo_t *algorithm)
{
    return config_value(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
           config_value(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) <= CUBLASLT_REDUCTION_SCHEME_NONE;
}

static const char *word_for(enum reel_dtype dtype)
{
    return dtype == REEL_F32 ? "fp32" : dtype == REEL_BF16 ? "bf16" : "fp8";
}

static void note_choice(const struct choice *choice, int64_t workspace_bytes, int canonical)
{
    const struct reel_cublas_gemm *p = &choice->product;
    const cublasLtMatmulAlgo_t *algorithm = &choice->algorithm;
    reel_gemm_algorithms_note(
        "gemm %lld to %lld %s to %s%s%s: cublasLt %zu algorithm %lld tile %lld stages %lld "
        "inner %lld cluster %lld "
        "custom %lld swizzle %lld workspace %lld%s%s",
        (long long)p->in, (long long)p->out, word_for(p->x_dtype), word_for(p->y_dtype),
        p->has_bias ? " bias" : "", p->gelu ? " gelu" : "", cublasLtGetVersion(),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_ID),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_STAGES_ID),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
        (long long)config_value(algorithm, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING), (long long)workspace_bytes,
        choice->compute == CUBLAS_COMPUTE_32F_PEDANTIC ? " pedantic" : "",
        canonical ? " not for all numbers of rows" : "");
}

/* Describes a product for queries, which read no arrays: only the alignment of the bias's address counts. */
static cublasStatus_t describe_for_query(struct description *d, const struct choice *choice, int64_t rows)
{
    const void *aligned = (const void *)(uintptr_t)MAX_ALIGNMENT;
    return describe_gemm(d, &choice->product, choice->compute, rows, aligned);
}

/* The numbers of rows that an algorithm is tried with: the canonical one first, then few, odd ones, and as
 * many as a long video has. All but the first are limited so that no array has more than 2^31 elements. */
static int64_t tried_rows(const struct reel_cublas_gemm *product, int which)
{
    static const int64_t rows[TRIED_COUNTS] = {CANONICAL_ROWS, 1, 2, 17, 511, 4095, 131071};
    int64_t max = INT32_MAX / (product->in > product->out ? product->in : product->out);
    return which == 0 || rows[which] < max ? rows[which] : max;
}

/* The bytes of workspace that an algorithm needs for that many rows; -1 where the library refuses it. */
static int64_t workspace_for(struct reel_cublas *products, const struct choice *choice,
                             const cublasLtMatmulAlgo_t *algorithm, int64_t rows)
{
    cublasLtMatmulHeuristicResult_t checked;
    struct description d;
    if (describe_for_query(&d, choice, rows) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoCheck(products->library, &d.operation, &d.weight, &d.x, &d.y, &d.y, algorithm,
                                &checked) != CUBLAS_STATUS_SUCCESS)
        return -1;
    return (int64_t)checked.workspaceSize;
}

/* Takes the first candidate that sums in one sequence and that the library accepts with at most max_bytes of
 * workspace for the first `counts` of the tried numbers of rows. Returns whether there was one. */
static int take_candidate(struct reel_cublas *products, struct choice *choice,
                          const cublasLtMatmulHeuristicResult_t *candidates, int count, int64_t max_bytes,
                          int counts)
{
    for (int i = 0; i < count; i++) {
        const cublasLtMatmulAlgo_t *algorithm = &candidates[i].algo;
        if (candidates[i].state != CUBLAS_STATUS_SUCCESS || !sums_in_one_sequence(algorithm))
            continue;
        int64_t wanted = 0, max_wanted = 0;
        for (int r = 0; r < counts && wanted >= 0; r++) {
            wanted = workspace_for(products, choice, algorithm, tried_rows(&choice->product, r));
            max_wanted = wanted > max_wanted ? wanted : max_wanted;
        }
        if (wanted < 0 || max_wanted > max_bytes)
            continue;
        choice->algorithm = *algorithm;
        choice->known = 1;
        note_choice(choice, max_wanted, counts < TRIED_COUNTS);
        return 1;
    }
    return 0;
}

/* Chooses among the candidates of one call of the heuristic, for sums of type `compute`. The first
 * round takes candidates that do few and many rows. The second takes candidates that are only known to do
 * the canonical number; the library may refuse them when they are used. In both rounds candidates without
 * workspace come first. */
static void choose_algorithm(struct reel_cublas *products, struct choice *choice, cublasComputeType_t compute)
{
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
    cublasLtMatmulPreferenceOpaque_t preference;
    struct description d;
    int count = 0;
    choice->compute = compute;
    if (describe_for_query(&d, choice, CANONICAL_ROWS) != CUBLAS_STATUS_SUCCESS ||
        set_preferences(&preference, &choice->product) != CUBLAS_STATUS_SUCCESS ||
        cublasLtMatmulAlgoGetHeuristic(products->library, &d.operation, &d.weight, &d.x, &d.y, &d.y,
                                       &preference, CANDIDATES, candidates, &count) != CUBLAS_STATUS_SUCCESS)
        count = 0;
    for (int counts = TRIED_COUNTS; counts > 0 && !choice->known; counts -= TRIED_COUNTS - 1)
        if (!take_candidate(products, choice, candidates, count, 0, counts))
            take_candidate(products, choice, candidates, count, REEL_CUBLAS_WORKSPACE_BYTES, counts);
}

static int same_product(const struct reel_cublas_gemm *a, const struct reel_cublas_gemm *b)
{
    return a->in == b->in && a->out == b->out && a->x_dtype == b->x_dtype && a->y_dtype == b->y_dtype &&
           a->has_bias == b->has_bias && a->gelu == b->gelu &&
           (!a->has_bias || a->bias_dtype == b->bias_dtype);
}

/* The choice for a product, made at the first call for it; NULL where there is no memory for it. */
static struct choice *choice_for(struct reel_cublas *products, const struct reel_cublas_gemm *product)
{
    struct choice *choice = products->choices;
    while (choice && !same_product(&choice->product, product))
        choice = choice->next;
    if (choice)
        return choice;
    choice = calloc(1, sizeof *choice);
    if (!choice)
        return NULL;
    choice->product = *product;
    /* Pedantic, so that no environment variable turns float products into TF32. */
    if (product->x_dtype == REEL_F32)
        choose_algorithm(products, choice, CUBLAS_COMPUTE_32F_PEDANTIC);
    if (!choice->known)
        choose_algorithm(products, choice, CUBLAS_COMPUTE_32F);
    cudaGetLastError(); /* or the next kernel launch would report the error that a refusal left */
    choice->next = products->choices;
    products->choices = choice;
    return choice;
}

int reel_cublas_know(struct reel_cublas *products, const struct reel_cublas_gemm *product)
{
    const struct choice *choice = choice_for(products, product);
    return choice && choice->known;
}

static int lies_at(const void *array, uint32_t alignment)
{
    return (uintptr_t)array % alignment == 0;
}

const char *reel_cublas_run(struct reel_cublas *products, const struct reel_cublas_gemm *product,
                            const struct reel_cublas_arrays *arrays)
{
    const struct choice *choice = choice_for(products, product);
    const float nothing = 0;
    struct description d;
    uint32_t inputs = alignment_of(product->in, product->x_dtype),
             result = alignment_of(product->out, product->y_dtype);
    if (!choice || !choice->known)
        return "it has no algorithm that sums in one sequence";
    if (!lies_at(arrays->x, inputs) || !lies_at(arrays->weight, inputs) || !lies_at(arrays->y, result) ||
        (product->has_bias && !lies_at(arrays->bias, MAX_ALIGNMENT)))
        return "an array does not begin at a multiple of 16 bytes";
    cublasStatus_t done = describe_gemm(&d, product, choice->compute, arrays->rows, arrays->bias);
    if (done == CUBLAS_STATUS_SUCCESS)
        done = cublasLtMatmul(products->library, &d.operation, &arrays->scale, arrays->weight, &d.weight,
                              arrays->x, &d.x, &nothing, arrays->y, &d.y, arrays->y, &d.y, &choice->algorithm,
                              arrays->workspace, REEL_CUBLAS_WORKSPACE_BYTES, (cudaStream_t)arrays->queue);
    return done == CUBLAS_STATUS_SUCCESS ? NULL : cublasLtGetStatusString(done);
}
