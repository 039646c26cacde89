/* Arrays on both sides of a GPU. */
#include "matrix_fixture.h"

#include "elements.h"
#include "gpu.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct reel_scratch max = {
    .in = 16384, .channels = 128, .threads = 2, .weight_dtype = REEL_F8_E4M3};
struct reel_stream fixture_cpu, fixture_gpu;

int fixture_begin(void)
{
    char why[REEL_CAUSE_BYTES];
    if (reel_gpu_count(why) == 0) {
        printf("skipped: %s\n", why);
        return 77;
    }
    if (reel_gpu_use(0) != REEL_OK) {
        fprintf(stderr, "%s\n", reel_error_here()->cause);
        return 1;
    }
    reel_stream_open(&fixture_cpu, &reel_ops_cpu, &max,
                     reel_ops_cpu.allocate(reel_scratch_bytes(&reel_ops_cpu, &max)));
    reel_stream_open(&fixture_gpu, &reel_ops_cuda, &max,
                     reel_ops_cuda.allocate(reel_scratch_bytes(&reel_ops_cuda, &max)));
    return 0;
}

void fixture_end(void)
{
    void *of_cpu = fixture_cpu.scratch, *of_gpu = fixture_gpu.scratch;
    reel_stream_close(&fixture_cpu);
    reel_stream_close(&fixture_gpu);
    reel_ops_cpu.release(of_cpu, reel_scratch_bytes(&reel_ops_cpu, &max));
    reel_ops_cuda.release(of_gpu, reel_scratch_bytes(&reel_ops_cuda, &max));
}

static int64_t bytes_of(const struct fixture_array *array)
{
    return array->count * reel_dtype_bytes(array->dtype);
}

static struct fixture_array array_of(int64_t count, enum reel_dtype dtype)
{
    struct fixture_array array = {.count = count, .dtype = dtype};
    array.host = malloc((size_t)bytes_of(&array));
    array.device = reel_ops_cuda.allocate(bytes_of(&array));
    return array;
}

struct fixture_array fixture_noise(int64_t count, enum reel_dtype dtype, uint32_t seed)
{
    struct fixture_array array = array_of(count, dtype);
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        reel_set_number(array.host, i, dtype, (float)(seed >> 8) * 0x1p-23f - 1.0f);
    }
    reel_upload(&fixture_gpu, array.device, array.host, bytes_of(&array));
    return array;
}

struct fixture_array fixture_room(int64_t count, enum reel_dtype dtype)
{
    struct fixture_array array = array_of(count, dtype);
    memset(array.host, 0xff, (size_t)bytes_of(&array));
    reel_upload(&fixture_gpu, array.device, array.host, bytes_of(&array));
    return array;
}

struct fixture_array fixture_widened(const struct fixture_array *array)
{
    struct fixture_array wide = {
        .count = array->count, .dtype = REEL_F32, .host = fixture_floats(array->count)};
    for (int64_t i = 0; i < array->count; i++)
        reel_set_number(wide.host, i, REEL_F32, reel_number(array->host, i, array->dtype));
    return wide;
}

void fixture_free(struct fixture_array *array)
{
    free(array->host);
    if (array->device)
        reel_ops_cuda.release(array->device, bytes_of(array));
}

void fixture_fetch(struct fixture_array *array)
{
    reel_download(&fixture_gpu, array->host, array->device, bytes_of(array));
    reel_finish(&fixture_gpu);
}

float *fixture_found(struct fixture_array *array)
{
    fixture_fetch(array);
    return fixture_widened(array).host;
}

float *fixture_floats(int64_t count)
{
    return malloc((size_t)count * sizeof(float));
}

void fixture_compare(const char *what, const float *found, const float *right, const float *wrong,
                     int64_t count, double tolerance)
{
    char name[48];
    double error = test_relative_error(found, right, count);
    CHECK(error <= tolerance, "%s of %lld numbers is off by %g", what, (long long)count, error);
    snprintf(name, sizeof name, "%.*s@%g", (int)strcspn(what, " "), what, tolerance);
    if (tolerance > 0 && error <= tolerance)
        test_measured(name, error, nextafter(tolerance, 1));
    if (wrong) {
        double refused = test_relative_error(wrong, right, count);
        CHECK(refused > tolerance, "a wrong %s of %lld numbers is off by %g only", what, (long long)count,
              refused);
    }
}
