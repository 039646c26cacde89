/* Arrays on the host and on the device. */
#include "host_device.h"

#include "dtype.h"
#include "gpu.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ARRAYS_MAX = 64, BLANK = 0x5a, ROOM_BYTES = 1 << 24, ALIGNMENT = 256 };

static struct reel_stream streams[2];
static void *scratch[2];
static int64_t scratch_bytes[2];
static struct host_device_array arrays[ARRAYS_MAX]; /* host_device_free frees their host memory */
static int array_count;
static char *room; /* device memory, which holds the arrays one after another */
static int64_t taken;
static void *fetched;

static const struct reel_ops *const tables[2] = {&reel_ops_cpu, &reel_ops_cuda};

int host_device_open(const struct reel_scratch *max)
{
    char why[REEL_CAUSE_BYTES];
    if (reel_gpu_count(why) == 0) {
        fprintf(stderr, "skipped: %s\n", why);
        return 77;
    }
    CHECK(reel_gpu_use(0) == REEL_OK, "%s", reel_error_here()->cause);
    room = reel_ops_cuda.allocate(ROOM_BYTES);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        scratch_bytes[on] = reel_scratch_bytes(tables[on], max);
        scratch[on] = tables[on]->allocate(scratch_bytes[on]);
        reel_stream_open(&streams[on], tables[on], max, scratch[on]);
        CHECK(streams[on].status == REEL_OK, "%s", reel_error_here()->cause);
    }
    return 0;
}

void host_device_close(void)
{
    host_device_free();
    free(fetched);
    reel_ops_cuda.release(room, ROOM_BYTES);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        reel_finish(&streams[on]);
        CHECK(streams[on].status == REEL_OK, "%s", reel_error_here()->cause);
        reel_stream_close(&streams[on]);
        tables[on]->release(scratch[on], scratch_bytes[on]);
    }
}

struct reel_stream *host_device_stream(int on)
{
    return &streams[on];
}

/* An array of that many bytes with the contents of host, which it owns from now on. */
static struct host_device_array host_device_made(enum reel_dtype dtype, void *host, int64_t bytes)
{
    if (array_count == ARRAYS_MAX || !host || !room || taken + bytes > ROOM_BYTES) {
        fprintf(stderr, "no room for another array of %lld bytes\n", (long long)bytes);
        abort();
    }
    struct host_device_array array = {.dtype = dtype, .bytes = bytes, .at = {host, room + taken}};
    taken += (bytes / ALIGNMENT + 2) * ALIGNMENT;
    reel_upload(&streams[ON_DEVICE], array.at[ON_DEVICE], host, bytes);
    arrays[array_count++] = array;
    return array;
}

struct host_device_array host_device_random(enum reel_dtype dtype, int64_t count, uint32_t seed, float size)
{
    int64_t bytes = count * reel_dtype_bytes(dtype);
    float *wide = malloc((size_t)bytes);
    uint16_t *narrow = (uint16_t *)wide;
    for (int64_t i = 0; wide && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        float value = ((float)(seed >> 8) * 0x1p-23f - 1.0f) * size;
        if (dtype == REEL_F32)
            wide[i] = value;
        else
            narrow[i] = reel_bf16_from_float(value);
    }
    return host_device_made(dtype, wide, bytes);
}

struct host_device_array host_device_blank(enum reel_dtype dtype, int64_t count)
{
    int64_t bytes = count * reel_dtype_bytes(dtype);
    void *blank = malloc((size_t)bytes);
    if (blank)
        memset(blank, BLANK, (size_t)bytes);
    return host_device_made(dtype, blank, bytes);
}

struct host_device_array host_device_bytes(const void *given, int64_t bytes)
{
    void *copy = malloc((size_t)bytes);
    if (copy)
        memcpy(copy, given, (size_t)bytes);
    return host_device_made(REEL_F32, copy, bytes);
}

void host_device_free(void)
{
    reel_finish(&streams[ON_DEVICE]);
    for (int i = 0; i < array_count; i++)
        free(arrays[i].at[ON_HOST]);
    array_count = 0;
    taken = 0;
}

const void *host_device_device(const struct host_device_array *array)
{
    fetched = realloc(fetched, (size_t)array->bytes);
    reel_download(&streams[ON_DEVICE], fetched, array->at[ON_DEVICE], array->bytes);
    CHECK(streams[ON_DEVICE].status == REEL_OK, "%s", reel_error_here()->cause);
    return fetched;
}

void host_device_equal(const char *what, const struct host_device_array *array)
{
    const unsigned char *host = array->at[ON_HOST], *device = host_device_device(array);
    int64_t at = 0;
    while (at < array->bytes && host[at] == device[at])
        at++;
    CHECK(at == array->bytes, "%s: byte %lld of %lld is another", what, (long long)at,
          (long long)array->bytes);
    int64_t blank = 0;
    for (int64_t i = 0; i < array->bytes; i++)
        blank += host[i] == BLANK;
    CHECK(blank < array->bytes, "%s: nothing was written", what);
}

/* Whether two floats differ by rounding alone, in an array whose largest magnitude is `largest`. */
static int is_close(float found, float right, double largest)
{
    return fabs((double)found - (double)right) <= 6e-7 * largest;
}

static void floats_close(const char *what, const float *found, const float *right, int64_t count)
{
    double largest = 0;
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)right[i]));
    for (int64_t i = 0; i < count; i++)
        wrong += !is_close(found[i], right[i], largest);
    CHECK(wrong == 0 && largest > 0, "%s: %lld of %lld are wrong", what, (long long)wrong, (long long)count);
    CHECK(!is_close(right[0] + (float)(2e-6 * largest), right[0], largest), "%s: a perturbed one passes",
          what);
}

/* Whether two bfloat16 values are equal or adjacent. */
static int is_neighbour(uint16_t found, uint16_t right)
{
    return found == right || found == right + 1 || right == found + 1;
}

static void bfloat16_close(const char *what, const uint16_t *found, const uint16_t *right, int64_t count)
{
    int64_t differing = 0, wrong = 0, perturbed = 0;
    for (int64_t i = 0; i < count; i++) {
        differing += found[i] != right[i];
        wrong += !is_neighbour(found[i], right[i]);
        perturbed += !is_neighbour((uint16_t)(found[i] + 2), right[i]);
    }
    CHECK(wrong == 0, "%s: %lld of %lld are wrong", what, (long long)wrong, (long long)count);
    CHECK(differing <= count / 100, "%s: %lld of %lld differ", what, (long long)differing, (long long)count);
    CHECK(perturbed >= count - differing, "%s: a perturbed answer passes", what);
}

void host_device_close_to(const char *what, const struct host_device_array *array)
{
    if (array->dtype == REEL_F32)
        floats_close(what, host_device_device(array), array->at[ON_HOST], array->bytes / 4);
    else
        bfloat16_close(what, host_device_device(array), array->at[ON_HOST], array->bytes / 2);
}

void host_device_same_rows(const char *what, const struct host_device_array *part,
                           const struct host_device_array *whole, int64_t first, int64_t rows,
                           int64_t row_bytes)
{
    size_t bytes = (size_t)(rows * row_bytes);
    void *alone = malloc(bytes);
    if (alone)
        memcpy(alone, (const char *)host_device_device(part) + first * row_bytes, bytes);
    CHECK(alone && memcmp(alone, (const char *)host_device_device(whole) + first * row_bytes, bytes) == 0,
          "%s: rows from %lld on depend on the others", what, (long long)first);
    free(alone);
}
