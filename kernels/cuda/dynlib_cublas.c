/* The functions of cuBLASLt that reel calls; dynlib.h finds each when it is first called. */
#include "dynlib.h"

#include <cublasLt.h>

static struct reel_dynlib library = {.names = {REEL_CUBLASLT_NAME, REEL_CUBLASLT_FILE},
                                     .lock = PTHREAD_MUTEX_INITIALIZER};

#define DYNLIB(name, parameters, arguments)                                                                  \
    REEL_DYNLIB_FUNCTION(library, cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED, name, parameters, arguments)

DYNLIB(cublasLtCreate, (cublasLtHandle_t * handle), (handle))
DYNLIB(cublasLtDestroy, (cublasLtHandle_t handle), (handle))
DYNLIB(cublasLtMatmul,
       (cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void *alpha, const void *a,
        cublasLtMatrixLayout_t of_a, const void *b, cublasLtMatrixLayout_t of_b, const void *beta,
        const void *c, cublasLtMatrixLayout_t of_c, void *d, cublasLtMatrixLayout_t of_d,
        const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes, cudaStream_t stream),
       (handle, product, alpha, a, of_a, b, of_b, beta, c, of_c, d, of_d, algorithm, workspace,
        workspace_bytes, stream))
DYNLIB(cublasLtMatmulAlgoCheck,
       (cublasLtHandle_t handle, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t of_a,
        cublasLtMatrixLayout_t of_b, cublasLtMatrixLayout_t of_c, cublasLtMatrixLayout_t of_d,
        const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulHeuristicResult_t *result),
       (handle, product, of_a, of_b, of_c, of_d, algorithm, result))
DYNLIB(cublasLtMatmulAlgoConfigGetAttribute,
       (const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t attribute, void *value,
        size_t bytes, size_t *written),
       (algorithm, attribute, value, bytes, written))
DYNLIB(cublasLtMatmulAlgoGetHeuristic,
       (cublasLtHandle_t handle, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t of_a,
        cublasLtMatrixLayout_t of_b, cublasLtMatrixLayout_t of_c, cublasLtMatrixLayout_t of_d,
        cublasLtMatmulPreference_t preference, int max, cublasLtMatmulHeuristicResult_t results[],
        int *count),
       (handle, product, of_a, of_b, of_c, of_d, preference, max, results, count))
DYNLIB(cublasLtMatmulDescInit_internal,
       (cublasLtMatmulDesc_t product, size_t bytes, cublasComputeType_t compute, cudaDataType_t scale),
       (product, bytes, compute, scale))
DYNLIB(cublasLtMatmulDescSetAttribute,
       (cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute, const void *value,
        size_t bytes),
       (product, attribute, value, bytes))
DYNLIB(cublasLtMatmulPreferenceInit_internal, (cublasLtMatmulPreference_t preference, size_t bytes),
       (preference, bytes))
DYNLIB(cublasLtMatmulPreferenceSetAttribute,
       (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
        const void *value, size_t bytes),
       (preference, attribute, value, bytes))
DYNLIB(cublasLtMatrixLayoutInit_internal,
       (cublasLtMatrixLayout_t layout, size_t bytes, cudaDataType type, uint64_t rows, uint64_t columns,
        int64_t stride),
       (layout, bytes, type, rows, columns, stride))
REEL_DYNLIB_FUNCTION(library, size_t, 0, cublasLtGetVersion, (void), ())
REEL_DYNLIB_FUNCTION(library, const char *, library.why, cublasLtGetStatusString, (cublasStatus_t status),
                     (status))
