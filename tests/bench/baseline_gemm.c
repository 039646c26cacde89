/* Matrix products by oneDNN. */
#include "baseline_gemm.h"

#include <stdio.h>
#include <stdlib.h>

static void must(dnnl_status_t status, const char *what)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "oneDNN refused %s with status %d\n", what, (int)status);
    exit(11);
}

/* The primitive uses oneDNN 2's interface. The next version has another one; with it only sgemm is
 * measured. */
#if DNNL_VERSION_MAJOR == 2
enum { OPERANDS = 3 }; /* x, weight, y */

struct baseline_primitive {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t of[OPERANDS];
};

static dnnl_status_t describe(const struct baseline_gemm *p, dnnl_data_type_t type,
                              dnnl_memory_desc_t of[OPERANDS])
{
    const dnnl_dims_t x = {p->rows, p->in}, weight = {p->in, p->out}, y = {p->rows, p->out};
    const dnnl_dims_t x_strides = {p->in, 1}, y_strides = {p->out, 1},
                      weight_strides = {p->transposed ? 1 : p->out, p->transposed ? p->in : 1};
    dnnl_status_t status = dnnl_memory_desc_init_by_strides(&of[0], 2, x, type, x_strides);
    if (status == dnnl_success)
        status = dnnl_memory_desc_init_by_strides(&of[1], 2, weight, type, weight_strides);
    return status == dnnl_success ? dnnl_memory_desc_init_by_strides(&of[2], 2, y, type, y_strides) : status;
}

static dnnl_status_t make(const struct baseline_gemm *p, dnnl_data_type_t type,
                          struct baseline_primitive *made)
{
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t chosen = NULL;
    dnnl_status_t status = dnnl_engine_create(&made->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_stream_create(&made->stream, made->engine, dnnl_stream_default_flags);
    if (status == dnnl_success)
        status = describe(p, type, made->of);
    if (status == dnnl_success)
        status = dnnl_matmul_desc_init(&operation, &made->of[0], &made->of[1], NULL, &made->of[2]);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&chosen, &operation, NULL, made->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&made->primitive, chosen);
    dnnl_primitive_desc_destroy(chosen);
    return status;
}

static void destroy(struct baseline_primitive *made)
{
    dnnl_primitive_destroy(made->primitive);
    dnnl_stream_destroy(made->stream);
    dnnl_engine_destroy(made->engine);
}

static struct baseline_primitive *primitive_of(const struct baseline_gemm *p, dnnl_data_type_t type)
{
    struct baseline_primitive *made = calloc(1, sizeof *made);
    must(made ? make(p, type, made) : dnnl_out_of_memory, "a matrix product");
    return made;
}

static void primitive_run(const struct baseline_primitive *made, void *const operands[OPERANDS])
{
    static const int names[OPERANDS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
    dnnl_exec_arg_t given[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) {
        given[i].arg = names[i];
        must(dnnl_memory_create(&given[i].memory, &made->of[i], made->engine, operands[i]), "memory");
    }
    must(dnnl_primitive_execute(made->primitive, made->stream, OPERANDS, given), "to multiply");
    must(dnnl_stream_wait(made->stream), "to multiply");
    for (int i = 0; i < OPERANDS; i++)
        dnnl_memory_destroy(given[i].memory);
}

int baseline_gemm_exists(dnnl_data_type_t type)
{
    const struct baseline_gemm small = {.rows = 16, .in = 16, .out = 16, .transposed = 1};
    struct baseline_primitive made = {.engine = NULL};
    int exists = make(&small, type, &made) == dnnl_success;
    destroy(&made);
    return exists;
}
#else
enum { OPERANDS = 3 };

struct baseline_primitive {
    int none;
};

int baseline_gemm_exists(dnnl_data_type_t type)
{
    (void)type;
    return 0;
}

static struct baseline_primitive *primitive_of(const struct baseline_gemm *p, dnnl_data_type_t type)
{
    (void)p, (void)type;
    must(dnnl_unimplemented, "a matrix product");
    return NULL;
}

static void primitive_run(const struct baseline_primitive *made, void *const operands[OPERANDS])
{
    (void)made, (void)operands;
}

static void destroy(struct baseline_primitive *made)
{
    (void)made;
}
#endif

void baseline_gemm_open(struct baseline_gemm *p, dnnl_data_type_t type)
{
    p->primitive = type == dnnl_data_type_undef ? NULL : primitive_of(p, type);
}

void baseline_gemm_run(const struct baseline_gemm *p, const void *x, const void *weight, void *y)
{
    if (p->primitive)
        primitive_run(p->primitive, (void *const[]){(void *)(uintptr_t)x, (void *)(uintptr_t)weight, y});
    else
        must(dnnl_sgemm('N', p->transposed ? 'T' : 'N', p->rows, p->out, p->in, 1.0f, x, p->in, weight,
                        p->transposed ? p->in : p->out, 0.0f, y, p->out),
             "to multiply");
}

void baseline_gemm_close(struct baseline_gemm *p)
{
    if (p->primitive)
        destroy(p->primitive);
    free(p->primitive);
    p->primitive = NULL;
}
