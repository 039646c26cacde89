/* Clocks and arrays of the benchmarks. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEQUENCE = 1 << 22 }; /* random values before they repeat */

double measure_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void *measure_need(void *memory, int64_t bytes)
{
    if (memory)
        return memory;
    fprintf(stderr, "no memory for %lld bytes\n", (long long)bytes);
    exit(10);
}

void measure_open(struct measure *measure, const struct reel_ops *ops, const struct reel_scratch *max)
{
    *measure = (struct measure){.ops = ops, .began = measure_now(), .seconds = 1e9, .round_seconds = 0.02};
    measure->scratch_bytes = reel_scratch_bytes(ops, max);
    measure->scratch = measure_need(ops->allocate(measure->scratch_bytes), measure->scratch_bytes);
    reel_stream_open(&measure->stream, ops, max, measure->scratch);
}

void measure_close(struct measure *measure)
{
    measure_drop(measure);
    reel_stream_close(&measure->stream);
    measure->ops->release(measure->scratch, measure->scratch_bytes);
}

/* Fills with random values: uniform floats, the upper half of such floats, or codes of fp8 without NaN. */
void measure_fill(enum reel_dtype dtype, int64_t count, void *out)
{
    static uint64_t state = 88172645463325252u;
    for (int64_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        float value = (float)(state >> 40) * 0x1p-23f - 1;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (dtype == REEL_F32)
            ((float *)out)[i] = value;
        else if (dtype == REEL_BF16)
            ((uint16_t *)out)[i] = (uint16_t)(bits >> 16);
        else
            ((uint8_t *)out)[i] = (uint8_t)((state >> 40 & 0x80) | (state >> 48) % 0x7f);
    }
}

void *measure_array(struct measure *measure, enum reel_dtype dtype, int64_t count)
{
    int64_t bytes = count * reel_dtype_bytes(dtype), first = count < SEQUENCE ? count : SEQUENCE;
    first *= reel_dtype_bytes(dtype);
    if (measure->array_count == MEASURE_ARRAYS) {
        fprintf(stderr, "an operation has more than %d arrays\n", MEASURE_ARRAYS);
        exit(70);
    }
    char *memory = measure_need(measure->ops->allocate(bytes), bytes);
    void *sequence = measure_need(malloc((size_t)first), first);
    measure_fill(dtype, first / reel_dtype_bytes(dtype), sequence);
    reel_upload(&measure->stream, memory, sequence, first);
    free(sequence);
    for (int64_t done = first, more; done < bytes; done += more) {
        more = done < bytes - done ? done : bytes - done;
        reel_copy(&measure->stream, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                                       .rows = 1,
                                                       .row_bytes = more,
                                                       .from = memory,
                                                       .to = memory + done});
    }
    measure->arrays[measure->array_count].memory = memory;
    measure->arrays[measure->array_count++].bytes = bytes;
    return memory;
}

void measure_drop(struct measure *measure)
{
    reel_finish(&measure->stream);
    while (measure->array_count > 0) {
        measure->array_count--;
        measure->ops->release(measure->arrays[measure->array_count].memory,
                              measure->arrays[measure->array_count].bytes);
    }
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double measure_median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

/* The seconds of `times` operations. */
static double time_of(struct measure *measure, measure_issue *issue, const void *arguments, int64_t times)
{
    double began = measure_now();
    for (int64_t i = 0; i < times; i++)
        issue(&measure->stream, arguments);
    reel_finish(&measure->stream);
    return measure_now() - began;
}

double measure_seconds(struct measure *measure, const char *name, measure_issue *issue, const void *arguments)
{
    double rounds[MEASURE_ROUNDS];
    reel_finish(&measure->stream);
    time_of(measure, issue, arguments, 1);
    double once = time_of(measure, issue, arguments, 1);
    int64_t times = (int64_t)(measure->round_seconds / (once > 1e-6 ? once : 1e-6)) + 1;
    for (int r = 0; r < MEASURE_ROUNDS; r++)
        rounds[r] = time_of(measure, issue, arguments, times) / (double)times;
    if (measure->stream.status != REEL_OK) {
        printf("bench: %s failed: %s\n", name, reel_error_here()->cause);
        measure->stream.status = REEL_OK;
        reel_error_clear();
        return 0;
    }
    return measure_median(rounds, MEASURE_ROUNDS);
}

int measure_wants(struct measure *measure, const char *name)
{
    if (measure->only_names) {
        printf("%s\n", name);
        return 0;
    }
    return measure_now() - measure->began < measure->seconds;
}

void measure_operation(struct measure *measure, const char *name, measure_issue *issue, const void *arguments,
                       struct measure_work work)
{
    if (measure->meter) {
        measure->meter(measure, name, issue, arguments, &work);
        measure_drop(measure);
        return;
    }
    double seconds = measure_seconds(measure, name, issue, arguments), rate = measure->gemm_rate[work.dtype];
    double by_flops = rate > 0 ? work.flops / rate : 0, by_bytes = work.bytes / measure->copy_rate;
    double floor = by_flops > by_bytes ? by_flops : by_bytes;
    if (seconds > 0 && by_flops > by_bytes)
        printf("bench: %s time %.4g rate %.4g TFLOP/s floor %.4g fraction %.3f\n", name, seconds,
               1e-12 * work.flops / seconds, floor, floor / seconds);
    else if (seconds > 0)
        printf("bench: %s time %.4g rate %.4g GB/s floor %.4g fraction %.3f\n", name, seconds,
               1e-9 * work.bytes / seconds, floor, floor / seconds);
    fflush(stdout);
    measure_drop(measure);
}

/* ---- Ceilings */

static void issue_copy(struct reel_stream *stream, const void *arguments)
{
    reel_copy(stream, *(const struct reel_copy *)arguments);
}

static void issue_gemm(struct reel_stream *stream, const void *arguments)
{
    reel_gemm(stream, *(const struct reel_gemm *)arguments);
}

/* Measures and prints the rate of a copy. Each copied byte counts as `counted` bytes moved. */
static double copy_rate(struct measure *measure, const char *name, enum reel_direction direction,
                        int64_t bytes, int counted)
{
    if (!measure_wants(measure, name))
        return 0;
    void *host =
        direction == REEL_ON_DEVICE ? NULL : measure_need(reel_allocate_host(measure->ops, bytes), bytes);
    void *from = measure_array(measure, REEL_F32, bytes / 4),
         *to = measure_array(measure, REEL_F32, bytes / 4);
    if (host)
        memset(host, 1, (size_t)bytes);
    struct reel_copy copy = {.direction = direction,
                             .rows = 1,
                             .row_bytes = bytes,
                             .from = direction == REEL_TO_DEVICE ? host : from,
                             .to = direction == REEL_FROM_DEVICE ? host : to};
    double seconds = measure_seconds(measure, name, issue_copy, &copy);
    double rate = seconds > 0 ? counted * (double)bytes / seconds : 0;
    if (seconds > 0)
        printf("bench: %s time %.4g rate %.4g GB/s floor 0 fraction 0\n", name, seconds, 1e-9 * rate);
    fflush(stdout);
    measure_drop(measure);
    reel_release_host(measure->ops, host, bytes);
    return rate;
}

static double gemm_rate(struct measure *measure, const char *name, int64_t size, enum reel_dtype weights)
{
    if (!measure_wants(measure, name))
        return 0;
    enum reel_dtype dtype = weights == REEL_F8_E4M3 ? REEL_BF16 : weights;
    struct reel_gemm gemm = {.rows = size,
                             .in = size,
                             .out = size,
                             .dtype = dtype,
                             .weight_dtype = weights,
                             .y_dtype = dtype,
                             .weight_scale = 0x1p-8,
                             .x = measure_array(measure, dtype, size * size),
                             .weight = measure_array(measure, weights, size * size),
                             .y = measure_array(measure, dtype, size * size)};
    double seconds = measure_seconds(measure, name, issue_gemm, &gemm);
    double rate = seconds > 0 ? 2.0 * (double)size * (double)size * (double)size / seconds : 0;
    if (seconds > 0)
        printf("bench: %s time %.4g rate %.4g TFLOP/s floor 0 fraction 0\n", name, seconds, 1e-12 * rate);
    fflush(stdout);
    measure_drop(measure);
    return rate;
}

void measure_ceilings(struct measure *measure, int64_t size, int64_t bytes)
{
    measure->copy_rate = copy_rate(measure, "ceiling.copy", REEL_ON_DEVICE, bytes, 2);
    copy_rate(measure, "ceiling.to-device", REEL_TO_DEVICE, bytes / 8, 1);
    copy_rate(measure, "ceiling.from-device", REEL_FROM_DEVICE, bytes / 8, 1);
    measure->gemm_rate[REEL_BF16] = gemm_rate(measure, "ceiling.gemm-bf16", size, REEL_BF16);
    measure->gemm_rate[REEL_F32] = gemm_rate(measure, "ceiling.gemm-fp32", size, REEL_F32);
    measure->gemm_rate[REEL_F8_E4M3] = gemm_rate(measure, "ceiling.gemm-fp8", size, REEL_F8_E4M3);
}
