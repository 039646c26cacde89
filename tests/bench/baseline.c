/* The matrix products of an operation and nothing else. */
#include "baseline.h"

#include "baseline_gemm.h"
#include "measure.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 512, ALIGNMENT = 1 << 21, ISA_BYTES = 24 };

/* The products of a thread: the scores of a part of the queries, its weighted sums, and both for a head's
 * last part. Without heads only the first, which is the whole product. */
enum { SCORES, SUMS, LAST_SCORES, LAST_SUMS, PRODUCTS };

int baseline_has_bf16(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16 &&
           baseline_gemm_exists(dnnl_bf16);
}

const char *baseline_library(void)
{
    static const struct {
        unsigned isa;
        char name[ISA_BYTES];
    } all[] = {{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
               {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
               {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
               {dnnl_cpu_isa_avx512_core, "avx512_core"},
               {dnnl_cpu_isa_avx2, "avx2"},
               {dnnl_cpu_isa_avx, "avx"},
               {dnnl_cpu_isa_sse41, "sse41"}};
    static char text[80];
    const dnnl_version_t *version = dnnl_version();
    unsigned isa = dnnl_get_effective_cpu_isa();
    size_t at = 0, last = sizeof all / sizeof all[0] - 1;
    while (at < last && (isa & all[at].isa) != all[at].isa)
        at++;
    snprintf(text, sizeof text, "oneDNN %d.%d.%d, %s", version->major, version->minor, version->patch,
             all[at].name);
    return text;
}

double baseline_flops(const struct baseline_work *w)
{
    double once = 2.0 * (double)w->rows * (double)w->in * (double)w->out;
    return w->heads > 0 ? 2 * once * (double)w->heads : once;
}

static int64_t number_bytes(const struct baseline *a)
{
    return a->bf16 ? 2 : 4;
}

/* Random values, in large pages like the arrays of a run. */
static void *array(const struct baseline *a, int64_t count)
{
    int64_t bytes = count * number_bytes(a);
    void *memory = measure_need(reel_ops_cpu.allocate(bytes), bytes);
    measure_fill(a->bf16 ? REEL_BF16 : REEL_F32, count, memory);
    return memory;
}

static int64_t last_rows(const struct baseline *a)
{
    return (a->work.rows - 1) % a->piece_rows + 1;
}

/* Each thread makes its own products, for one thread. */
static void make_pieces(struct baseline *a)
{
    const struct baseline_work *w = &a->work;
    dnnl_data_type_t type = a->bf16 ? dnnl_bf16 : dnnl_data_type_undef;
#pragma omp parallel num_threads((int)a->threads)
    {
        struct baseline_gemm *own = a->products + PRODUCTS * omp_get_thread_num();
        omp_set_num_threads(1);
        for (int p = 0; p < PRODUCTS; p += 2) {
            int64_t rows = p == SCORES ? a->piece_rows : last_rows(a);
            own[p] = (struct baseline_gemm){.rows = rows, .in = w->in, .out = w->out, .transposed = 1};
            own[p + 1] = (struct baseline_gemm){.rows = rows, .in = w->out, .out = w->in};
            baseline_gemm_open(&own[p], type);
            baseline_gemm_open(&own[p + 1], type);
        }
    }
}

static void open_attention(struct baseline *a)
{
    const struct baseline_work *w = &a->work;
    a->piece_rows = w->rows < PIECE ? w->rows : PIECE;
    a->x = array(a, w->heads * w->rows * w->in);
    a->weight = array(a, w->heads * w->out * w->in);
    a->values = array(a, w->heads * w->out * w->in);
    a->y = array(a, w->heads * w->rows * w->in);
    a->scores = array(a, a->threads * a->piece_rows * w->out);
    make_pieces(a);
}

void baseline_open(struct baseline *a, const struct baseline_work *work, int bf16)
{
    *a = (struct baseline){
        .work = *work, .bf16 = bf16 && baseline_has_bf16(), .threads = omp_get_max_threads()};
    int64_t bytes = a->threads * PRODUCTS * (int64_t)sizeof *a->products;
    a->products = measure_need(calloc(1, (size_t)bytes), bytes);
    if (work->heads > 0) {
        open_attention(a);
        return;
    }
    a->x = array(a, work->rows * work->in);
    a->weight = array(a, work->out * work->in);
    a->y = array(a, work->rows * work->out);
    a->products[0] =
        (struct baseline_gemm){.rows = work->rows, .in = work->in, .out = work->out, .transposed = 1};
    baseline_gemm_open(&a->products[0], a->bf16 ? dnnl_bf16 : dnnl_data_type_undef);
}

static void *at(const struct baseline *a, void *dtype, int64_t index)
{
    return (char *)dtype + index * number_bytes(a);
}

static void attend(struct baseline *a)
{
    const struct baseline_work *w = &a->work;
    int64_t pieces = (w->rows + a->piece_rows - 1) / a->piece_rows;
#pragma omp parallel num_threads((int)a->threads)
    {
        const struct baseline_gemm *own = a->products + PRODUCTS * omp_get_thread_num();
        void *scores = at(a, a->scores, omp_get_thread_num() * a->piece_rows * w->out);
        omp_set_num_threads(
            1); /* also where the team has one thread, which oneDNN does not see as a parallel region */
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t head = 0; head < w->heads; head++)
            for (int64_t piece = 0; piece < pieces; piece++) {
                const struct baseline_gemm *both = own + (piece == pieces - 1 ? LAST_SCORES : SCORES);
                int64_t first = (head * w->rows + piece * a->piece_rows) * w->in,
                        keys = head * w->out * w->in;
                baseline_gemm_run(&both[0], at(a, a->x, first), at(a, a->weight, keys), scores);
                baseline_gemm_run(&both[1], scores, at(a, a->values, keys), at(a, a->y, first));
            }
    }
}

double baseline_seconds(struct baseline *a)
{
    double began = measure_now();
    if (a->work.heads > 0)
        attend(a);
    else
        baseline_gemm_run(&a->products[0], a->x, a->weight, a->y);
    return measure_now() - began;
}

void baseline_close(struct baseline *a)
{
    void *const arrays[] = {a->x, a->weight, a->values, a->y, a->scores};
    for (int64_t p = 0; p < a->threads * PRODUCTS; p++)
        baseline_gemm_close(&a->products[p]);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        reel_ops_cpu.release(arrays[i], 0);
    free(a->products);
    memset(a, 0, sizeof *a);
}

void baseline_copy_open(struct baseline_copy *copy, int64_t bytes)
{
    copy->bytes = bytes;
    copy->from = measure_need(reel_ops_cpu.allocate(bytes), bytes);
    copy->to = measure_need(reel_ops_cpu.allocate(bytes), bytes);
    memset(copy->from, 1, (size_t)bytes);
    memset(copy->to, 2, (size_t)bytes);
}

double baseline_copy_rate(struct baseline_copy *copy)
{
    double began = measure_now();
#pragma omp parallel
    {
        int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        int64_t first = copy->bytes * thread / threads, end = copy->bytes * (thread + 1) / threads;
        memcpy(copy->to + first, copy->from + first, (size_t)(end - first));
    }
    return 2.0 * (double)copy->bytes / (measure_now() - began);
}

void baseline_copy_close(struct baseline_copy *copy)
{
    reel_ops_cpu.release(copy->from, copy->bytes);
    reel_ops_cpu.release(copy->to, copy->bytes);
}

void baseline_check(void)
{
    enum { rows = 24, in = 40, out = 56 };
    static float x[rows * in], weight[out * in], by_sgemm[rows * out], by_primitive[rows * out];
    struct baseline_gemm product = {.rows = rows, .in = in, .out = out, .transposed = 1};
    if (!baseline_gemm_exists(dnnl_f32))
        return;
    measure_fill(REEL_F32, rows * in, x);
    measure_fill(REEL_F32, out * in, weight);
    baseline_gemm_open(&product, dnnl_data_type_undef);
    baseline_gemm_run(&product, x, weight, by_sgemm);
    baseline_gemm_open(&product, dnnl_f32);
    baseline_gemm_run(&product, x, weight, by_primitive);
    baseline_gemm_close(&product);
    for (int i = 0; i < rows * out; i++)
        if (!(fabsf(by_sgemm[i] - by_primitive[i]) < 1e-4f)) {
            fprintf(stderr, "element %d of a product is %g by oneDNN's sgemm and %g by its primitive\n", i,
                    (double)by_sgemm[i], (double)by_primitive[i]);
            exit(70);
        }
}
