/* cuDNN's scaled dot-product attention through the C API of its backend, which consists of descriptors with
 * attributes. */
#include "attention_cudnn.h"

#include "gemm_algorithms.h"

#include <cudnn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 64, MAX_ENGINES = 16, DESCRIPTORS = 11, OLDEST = 91301 };

enum tensor { Q = 1, K, V, OUT, SCALE, LSE };

/* The plan for a shape, with the descriptors that it is made of, which must live as long as the plan does.
 * Where no engine can run the shape, it has no executable. */
struct plan {
    struct reel_sdpa_shape shape;
    cudnnBackendDescriptor_t executable; /* one of the descriptors; NULL: no engine */
    cudnnBackendDescriptor_t descriptors[DESCRIPTORS];
    int count;
};

struct reel_sdpa {
    cudnnHandle_t library;
    cudaStream_t queue;
    struct plan plans[PLANS];
    int64_t made; /* plans made so far; a new one replaces the oldest */
};

/* The library found at run time may be another version than that of the build. cudnn-frontend uses this
 * operation from 9.13.1 on, so older libraries are refused. */
struct reel_sdpa *reel_sdpa_open(void *queue, const char **why)
{
    if (cudnnGetVersion() < OLDEST) {
        *why = "the library is older than 9.13.1";
        return NULL;
    }
    struct reel_sdpa *sdpa = calloc(1, sizeof *sdpa);
    cudnnStatus_t done = sdpa ? cudnnCreate(&sdpa->library) : CUDNN_STATUS_ALLOC_FAILED;
    if (done == CUDNN_STATUS_SUCCESS) {
        sdpa->queue = queue;
        done = cudnnSetStream(sdpa->library, sdpa->queue);
        if (done == CUDNN_STATUS_SUCCESS)
            return sdpa;
        cudnnDestroy(sdpa->library);
    }
    *why = cudnnGetErrorString(done);
    cudaGetLastError(); /* or the next kernel launch would report the error that cuDNN left */
    free(sdpa);
    return NULL;
}

static void destroy_plan(struct plan *plan)
{
    while (plan->count > 0)
        cudnnBackendDestroyDescriptor(plan->descriptors[--plan->count]);
    memset(plan, 0, sizeof *plan);
}

void reel_sdpa_close(struct reel_sdpa *sdpa)
{
    if (!sdpa)
        return;
    for (int i = 0; i < PLANS; i++)
        destroy_plan(&sdpa->plans[i]);
    cudnnDestroy(sdpa->library);
    free(sdpa);
}

/* A new descriptor, which the plan owns; NULL where cuDNN gives none. */
static cudnnBackendDescriptor_t create_descriptor(struct plan *plan, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t descriptor;
    if (plan->count == DESCRIPTORS || cudnnBackendCreateDescriptor(type, &descriptor) != CUDNN_STATUS_SUCCESS)
        return NULL;
    plan->descriptors[plan->count++] = descriptor;
    return descriptor;
}

static int set_attribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    return cudnnBackendSetAttribute(descriptor, name, type, count, values) == CUDNN_STATUS_SUCCESS;
}

static int set_descriptor(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                          const cudnnBackendDescriptor_t *value)
{
    return *value && set_attribute(descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, value);
}

/* A tensor [1, 1, rows, columns] whose rows are `stride` elements apart; NULL where cuDNN refuses it. There
 * is one head, but cuDNN asks for the stride of heads: it is `columns`, as if heads lay side by side in a
 * row. For the log-sum-exps, which have one column, it is `rows`, as if each head had its own array. */
static cudnnBackendDescriptor_t tensor(struct plan *plan, enum tensor which, cudnnDataType_t type,
                                       int64_t rows, int64_t columns, int64_t stride)
{
    int64_t name = which, alignment = which == SCALE || which == LSE ? 4 : 16;
    int64_t sizes[4] = {1, 1, rows, columns},
            strides[4] = {rows * stride, which == LSE ? rows : columns, stride, 1};
    bool by_value = which == SCALE;
    cudnnBackendDescriptor_t made = create_descriptor(plan, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    if (made && set_attribute(made, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type) &&
        set_attribute(made, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes) &&
        set_attribute(made, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides) &&
        set_attribute(made, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name) &&
        set_attribute(made, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment) &&
        set_attribute(made, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value) &&
        cudnnBackendFinalize(made) == CUDNN_STATUS_SUCCESS)
        return made;
    return NULL;
}

/* The operation graph, which holds attention alone; NULL where cuDNN refuses it. */
static cudnnBackendDescriptor_t graph(struct reel_sdpa *sdpa, struct plan *plan)
{
    const struct reel_sdpa_shape *s = &plan->shape;
    cudnnBackendDescriptor_t q = tensor(plan, Q, CUDNN_DATA_BFLOAT16, s->queries, s->channels, s->q_stride),
                             k = tensor(plan, K, CUDNN_DATA_BFLOAT16, s->keys, s->channels, s->kv_stride),
                             v = tensor(plan, V, CUDNN_DATA_BFLOAT16, s->keys, s->channels, s->kv_stride),
                             out = tensor(plan, OUT, CUDNN_DATA_BFLOAT16, s->queries, s->channels,
                                          s->out_stride),
                             scale = tensor(plan, SCALE, CUDNN_DATA_FLOAT, 1, 1, 1), lse = NULL;
    if (s->with_lse)
        lse = tensor(plan, LSE, CUDNN_DATA_FLOAT, s->queries, 1, 1);
    cudnnBackendDescriptor_t operation = create_descriptor(plan, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    if (!operation || !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, &q) ||
        !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, &k) ||
        !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, &v) ||
        !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, &out) ||
        !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, &scale) ||
        (s->with_lse && !set_descriptor(operation, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, &lse)) ||
        cudnnBackendFinalize(operation) != CUDNN_STATUS_SUCCESS)
        return NULL;
    cudnnBackendDescriptor_t made = create_descriptor(plan, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (made && set_attribute(made, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &sdpa->library) &&
        set_descriptor(made, CUDNN_ATTR_OPERATIONGRAPH_OPS, &operation) &&
        cudnnBackendFinalize(made) == CUDNN_STATUS_SUCCESS)
        return made;
    return NULL;
}

static cudnnBackendDescriptor_t heuristic(struct plan *plan, cudnnBackendDescriptor_t of)
{
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    cudnnBackendDescriptor_t made = create_descriptor(plan, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    if (made && set_descriptor(made, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &of) &&
        set_attribute(made, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) &&
        cudnnBackendFinalize(made) == CUDNN_STATUS_SUCCESS)
        return made;
    return NULL;
}

/* The index of a configuration's engine; -1 where the engine is not deterministic or cannot be queried. */
static int64_t engine_of(cudnnBackendDescriptor_t configuration)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t engine;
    int64_t count = 0, engine_index = -1;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return -1;
    if (cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &count, &engine) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count,
                                 &engine_index) != CUDNN_STATUS_SUCCESS)
        engine_index = -1;
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) != CUDNN_STATUS_SUCCESS)
        count = 0;
    for (int64_t i = 0; i < count && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
            engine_index = -1;
    cudnnBackendDestroyDescriptor(engine);
    return engine_index;
}

static void note_plan(const struct plan *plan, int64_t engine)
{
    const struct reel_sdpa_shape *s = &plan->shape;
    char way[64] = "no engine, so by tiles";
    if (plan->executable)
        snprintf(way, sizeof way, "engine %lld", (long long)engine);
    reel_gemm_algorithms_note("attention %lld queries %lld keys %lld channels%s: cuDNN %zu: %s",
                              (long long)s->queries, (long long)s->keys, (long long)s->channels,
                              s->with_lse ? " with log-sum-exp" : "", cudnnGetVersion(), way);
}

/* Makes the plan with one configuration and returns whether that worked. Where it did not, destroys the
 * descriptor that it created. */
static int build_plan(struct reel_sdpa *sdpa, struct plan *plan, cudnnBackendDescriptor_t configuration)
{
    int64_t engine = engine_of(configuration), workspace = 0, count = 0;
    cudnnBackendDescriptor_t made =
        engine >= 0 ? create_descriptor(plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) : NULL;
    if (!made)
        return 0;
    /* The attribute is deprecated, because the graph holds the handle: a library that refuses it does not
     * need it. */
    (void)set_attribute(made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &sdpa->library);
    if (set_descriptor(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &configuration) &&
        cudnnBackendFinalize(made) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                 &workspace) == CUDNN_STATUS_SUCCESS &&
        workspace <= REEL_SDPA_WORKSPACE_BYTES) {
        plan->executable = made;
        note_plan(plan, engine);
        return 1;
    }
    cudnnBackendDestroyDescriptor(plan->descriptors[--plan->count]);
    return 0;
}

/* Takes the first configuration that makes a plan, and destroys the others. */
static void choose_configuration(struct reel_sdpa *sdpa, struct plan *plan)
{
    cudnnBackendDescriptor_t configurations[MAX_ENGINES], of = graph(sdpa, plan);
    cudnnBackendDescriptor_t results = of ? heuristic(plan, of) : NULL;
    int64_t made = 0, count = 0;
    while (results && made < MAX_ENGINES &&
           cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configurations[made]) ==
               CUDNN_STATUS_SUCCESS)
        made++;
    if (made > 0 &&
        cudnnBackendGetAttribute(results, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made,
                                 &count, configurations) != CUDNN_STATUS_SUCCESS)
        count = 0;
    int64_t taken = -1;
    for (int64_t i = 0; i < count && i < made && taken < 0; i++)
        if (build_plan(sdpa, plan, configurations[i]))
            taken = i;
    for (int64_t i = 0; i < made; i++)
        if (i != taken)
            cudnnBackendDestroyDescriptor(configurations[i]);
    if (taken < 0) {
        note_plan(plan, -1);
    } else { /* descriptors are destroyed from the last on, and the executable must go first */
        plan->descriptors[plan->count - 1] = configurations[taken];
        plan->descriptors[plan->count++] = plan->executable;
    }
}

static int same_shape(const struct reel_sdpa_shape *a, const struct reel_sdpa_shape *b)
{
    return a->queries == b->queries && a->keys == b->keys && a->channels == b->channels &&
           a->q_stride == b->q_stride && a->kv_stride == b->kv_stride && a->out_stride == b->out_stride &&
           a->with_lse == b->with_lse;
}

static struct plan *plan_for(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape)
{
    for (int i = 0; i < PLANS; i++)
        if (same_shape(&sdpa->plans[i].shape, shape))
            return &sdpa->plans[i];
    struct plan *plan = &sdpa->plans[sdpa->made++ % PLANS];
    /* The old plan may be running. If it fails, the stream's next wait reports that. */
    if (plan->executable)
        cudaStreamSynchronize(sdpa->queue);
    destroy_plan(plan);
    plan->shape = *shape;
    choose_configuration(sdpa, plan);
    cudaGetLastError(); /* the error that a refused engine may have left */
    return plan;
}

int reel_sdpa_know(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape)
{
    return plan_for(sdpa, shape)->executable != NULL;
}

const char *reel_sdpa_run(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape,
                          const struct reel_sdpa_arrays *arrays)
{
    const struct plan *plan = plan_for(sdpa, shape);
    float scale = arrays->scale;
    int64_t names[] = {Q, K, V, OUT, SCALE, LSE}, count = shape->with_lse ? 6 : 5;
    void *pointers[] = {(void *)(uintptr_t)arrays->q,
                        (void *)(uintptr_t)arrays->k,
                        (void *)(uintptr_t)arrays->v,
                        arrays->out,
                        &scale,
                        arrays->lse};
    void *workspace = arrays->workspace;
    cudnnBackendDescriptor_t pack;
    if (!plan->executable)
        return "it has no engine for this shape";
    cudnnStatus_t done = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (done != CUDNN_STATUS_SUCCESS)
        return cudnnGetErrorString(done);
    if (set_attribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, names) &&
        set_attribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers) &&
        set_attribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace))
        done = cudnnBackendFinalize(pack);
    else
        done = CUDNN_STATUS_BAD_PARAM;
    if (done == CUDNN_STATUS_SUCCESS)
        done = cudnnBackendExecute(sdpa->library, plan->executable, pack);
    cudnnBackendDestroyDescriptor(pack);
    return done == CUDNN_STATUS_SUCCESS ? NULL : cudnnGetErrorString(done);
}
