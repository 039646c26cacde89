/* The time of every operation of the forward pass on the CPU, compared with its floor: oneDNN's products
 * alone, or a copy, in the same run.
 *
 *     build/tests/cpu_bench [tiny] [long] [--json FILE]
 *
 * The size is that of SkyReels-V2 1.3B at 240x416, 33 frames: 3,510 tokens. Operation and floor alternate,
 * because a machine's clock rate varies; the results are medians. The floor of a product or of attention is
 * the same shape by oneDNN (baseline.h). The floor of any other operation is its bytes, each array read or
 * written once, at the rate of a copy. That copy is too large for any cache and empties the caches for the
 * next round; an operation that reads more than it writes may be faster.
 *
 * long: also attention to 32,760 tokens, which takes a minute; its floor uses the rate of oneDNN's product of
 * the model's width. tiny: small sizes, to test that the program works. Threads are OpenMP's
 * (OMP_NUM_THREADS). */
#include "baseline.h"
#include "cases.h"
#include "cpu.h"

#include <errno.h>
#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7 };

struct bench {
    int tiny, is_long;
    const char *json; /* NULL: none */
    struct cases_size size;
    int64_t long_tokens;
    struct baseline_copy copy;
    double copy_rates[1024];
    int64_t copies;
    json_t *rows, *scratch;
};

static const char *name_of(enum reel_dtype dtype)
{
    return dtype == REEL_F32 ? "fp32" : "bf16";
}

/* The seconds of one operation. */
static double time_of(struct measure *measure, measure_issue *issue, const void *arguments)
{
    double began = measure_now();
    issue(&measure->stream, arguments);
    reel_finish(&measure->stream);
    if (measure->stream.status != REEL_OK) {
        fprintf(stderr, "%s\n", reel_error_here()->cause);
        exit((int)measure->stream.status);
    }
    return measure_now() - began;
}

static double copy_rate(struct bench *bench)
{
    int64_t max = (int64_t)(sizeof bench->copy_rates / sizeof *bench->copy_rates);
    double rate = baseline_copy_rate(&bench->copy);
    bench->copy_rates[bench->copies++ % max] = rate;
    return rate;
}

static void tell(struct bench *bench, const char *name, const struct measure_work *work, double seconds,
                 double floor)
{
    int is_product = work->rows > 0;
    double rate = 1e-9 * (is_product ? work->flops : work->bytes) / seconds;
    const char *dtype = name_of(bench->size.dtype), *unit = is_product ? "GFLOP/s" : "GB/s";
    printf("%-34s %s  %9.4g  %9.4g  %6.3f  %7.1f %s\n", name, dtype, seconds, floor, floor / seconds, rate,
           unit);
    fflush(stdout);
    json_array_append_new(bench->rows,
                          json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "operation", name, "numbers", dtype,
                                    "seconds", seconds, "floor", floor, "rate", rate, "unit", unit));
}

/* Measures an operation and its floor in turn; the first of each warms up. */
static void meter(struct measure *measure, const char *name, measure_issue *issue, const void *arguments,
                  const struct measure_work *work)
{
    struct bench *bench = measure->meter_context;
    struct baseline baseline;
    double seconds[ROUNDS], floors[ROUNDS];
    int is_product = work->rows > 0;
    if (is_product)
        baseline_open(&baseline, &(struct baseline_work){work->rows, work->in, work->out, work->heads},
                      work->dtype == REEL_BF16);
    for (int r = -1; r < ROUNDS; r++) {
        double once = time_of(measure, issue, arguments),
               floor = is_product ? baseline_seconds(&baseline) : work->bytes / copy_rate(bench);
        if (r < 0)
            continue;
        seconds[r] = once;
        floors[r] = floor;
    }
    if (is_product)
        baseline_close(&baseline);
    int prefix = snprintf(NULL, 0, "%s.%lld.", bench->size.model, (long long)bench->size.tokens);
    tell(bench, name + prefix, work, measure_median(seconds, ROUNDS), measure_median(floors, ROUNDS));
}

/* ---- Attention to many tokens */

static void issue_attention(struct reel_stream *stream, const void *arguments)
{
    reel_attention(stream, *(const struct reel_attention *)arguments);
}

/* The most scratch that attention to this many tokens has written in any thread's part of it, in 4-byte
 * words. The scratch is filled with a pattern before. */
static int64_t scratch_used(struct measure *measure, struct bench *bench, int64_t tokens, double *seconds)
{
    const uint32_t paint = 0xa5c35a3c;
    uint32_t *words = measure->scratch;
    int64_t count = measure->scratch_bytes / (int64_t)sizeof *words,
            of_thread = measure->stream.thread_floats;
    int64_t max = 0;
    struct reel_attention attention =
        cases_attention_of(measure, &bench->size, bench->size.dtype, tokens, tokens, bench->size.heads);
    for (int64_t i = 0; i < count; i++)
        words[i] = paint;
    *seconds = time_of(measure, issue_attention, &attention);
    for (int64_t first = 0; first < count; first += of_thread) {
        int64_t used = 0;
        for (int64_t i = first; i < first + of_thread; i++)
            used += words[i] != paint;
        max = used > max ? used : max;
    }
    measure_drop(measure);
    printf("scratch of attention to %lld tokens in %s: %lld bytes of a thread's %lld\n", (long long)tokens,
           name_of(bench->size.dtype), (long long)max * 4, (long long)of_thread * 4);
    json_array_append_new(bench->scratch, json_pack("{s:I, s:s, s:I, s:I}", "tokens", (json_int_t)tokens,
                                                    "numbers", name_of(bench->size.dtype), "used",
                                                    (json_int_t)max * 4, "held", (json_int_t)of_thread * 4));
    return max;
}

/* Returns 1 if attention to many tokens uses a different amount of scratch than attention to few. Few is a
 * number of whole tiles, because tiles of other numbers may be smaller. */
static int attend_to_many(struct measure *measure, struct bench *bench)
{
    const struct cases_size *size = &bench->size;
    int64_t few = (bench->tiny ? 1 : 12) * REEL_QUERY_TILE, many = bench->long_tokens, width = size->width;
    struct baseline_work product = {size->tokens, width, width, 0};
    double seconds, rates[ROUNDS - 1];
    struct baseline baseline;
    char name[80];
    int64_t few_used = scratch_used(measure, bench, few, &seconds);
    if (!bench->is_long)
        return 0;
    baseline_open(&baseline, &product, size->dtype == REEL_BF16);
    baseline_seconds(&baseline);
    for (int r = 0; r < ROUNDS / 2; r++)
        rates[r] = baseline_flops(&product) / baseline_seconds(&baseline);
    int64_t many_used = scratch_used(measure, bench, many, &seconds);
    for (int r = ROUNDS / 2; r < ROUNDS - 1; r++)
        rates[r] = baseline_flops(&product) / baseline_seconds(&baseline);
    baseline_close(&baseline);
    struct measure_work work = {.flops = 4.0 * (double)many * (double)many * (double)width, .rows = many};
    snprintf(name, sizeof name, "attention.self of %lld", (long long)many);
    tell(bench, name, &work, seconds, work.flops / measure_median(rates, ROUNDS - 1));
    if (many_used == few_used)
        return 0;
    fprintf(stderr, "attention to %lld tokens uses %lld bytes of scratch, and to %lld tokens %lld\n",
            (long long)many, (long long)many_used * 4, (long long)few, (long long)few_used * 4);
    return 1;
}

/* ---- The program */

static int measure_all(struct bench *bench)
{
    struct reel_scratch max = {
        .in = bench->size.ffn, .channels = bench->size.channels, .threads = omp_get_max_threads()};
    struct measure measure;
    measure_open(&measure, &reel_ops_cpu, &max);
    measure.meter = meter;
    measure.meter_context = bench;
    cases_gemm(&measure, &bench->size);
    cases_attention(&measure, &bench->size);
    cases_passes(&measure, &bench->size);
    cases_passes_others(&measure, &bench->size);
    int differs = attend_to_many(&measure, bench);
    measure_close(&measure);
    return differs;
}

static int write_json(struct bench *bench, double rate)
{
    json_t *all = json_pack("{s:s, s:i, s:s, s:f, s:O, s:O}", "library", baseline_library(), "threads",
                            omp_get_max_threads(), "bf16_floor", baseline_has_bf16() ? "bf16" : "fp32",
                            "copy", rate, "rows", bench->rows, "scratch", bench->scratch);
    int failed = !all || json_dump_file(all, bench->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) != 0;
    json_decref(all);
    if (failed)
        fprintf(stderr, "%s cannot be written: %s\n", bench->json, strerror(errno));
    return failed;
}

static int parse(int argc, char **argv, struct bench *bench)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "tiny") == 0)
            bench->tiny = 1;
        else if (strcmp(argv[i], "long") == 0)
            bench->is_long = 1;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            bench->json = argv[++i];
        else
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    static const struct cases_size size = {"1.3b", 1536, 8960, 12, 128, 512, 9, 15, 26, 3510, REEL_F32},
                                   tiny = {"tiny", 128, 352, 4, 32, 20, 3, 10, 12, 360, REEL_F32};
    static struct bench bench;
    int failed = 0;
    if (!parse(argc, argv, &bench)) {
        fprintf(stderr, "usage: cpu_bench [tiny] [long] [--json FILE]\n");
        return REEL_BAD_JOB;
    }
    bench.size = bench.tiny ? tiny : size;
    bench.long_tokens = bench.tiny ? 4 * REEL_QUERY_TILE : 32760; /* this is a number of whole tiles too */
    bench.rows = json_array();
    bench.scratch = json_array();
    baseline_check();
    baseline_copy_open(&bench.copy, bench.tiny ? 1 << 20 : 1 << 28);
    printf("%s, %d threads; bf16 products against oneDNN's in %s\n", baseline_library(),
           omp_get_max_threads(), baseline_has_bf16() ? "bf16" : "fp32, for it has none in bf16 on this CPU");
    printf("%-34s %s  %9s  %9s  %6s  %7s\n", "operation", "    ", "seconds", "floor", "of it", "rate");
    for (int bf16 = 0; bf16 < 2; bf16++) {
        bench.size.dtype = bf16 ? REEL_BF16 : REEL_F32;
        failed |= measure_all(&bench);
    }
    int64_t max = (int64_t)(sizeof bench.copy_rates / sizeof *bench.copy_rates);
    double rate = measure_median(bench.copy_rates, bench.copies < max ? bench.copies : max);
    printf("copy: %.1f GB/s\n", 1e-9 * rate);
    failed |= bench.json && write_json(&bench, rate);
    baseline_copy_close(&bench.copy);
    json_decref(bench.rows);
    json_decref(bench.scratch);
    return failed;
}
