/* Arrays for an operation under test. */
#include "arrays.h"

#include <stdlib.h>
#include <string.h>

enum { ARRAYS_MAX = 24 };

const struct reel_ops *ops;
struct reel_stream stream;
int64_t inputs, hole = -1, hole_is_last;
unsigned char results[1 << 16];
int64_t result_bytes;

static struct {
    void *memory;
    int64_t bytes;
} arrays[ARRAYS_MAX];
static int count;

void arrays_open(const struct reel_scratch *max)
{
    inputs = result_bytes = 0;
    reel_stream_open(&stream, ops, max, room(reel_scratch_bytes(ops, max)));
}

void arrays_close(void)
{
    reel_stream_close(&stream);
    while (count > 0) {
        count--;
        ops->release(arrays[count].memory, arrays[count].bytes);
    }
}

void *room(int64_t bytes)
{
    arrays[count].bytes = bytes;
    arrays[count].memory = ops->allocate(bytes);
    if (!arrays[count].memory)
        exit(1);
    return arrays[count++].memory;
}

/* Writes the rows of an input, except for the byte of its hole. */
void *bytes_in(const void *values, int64_t rows, int64_t row_bytes, int64_t stride_bytes)
{
    char *at = room((rows - 1) * stride_bytes + row_bytes);
    int holed = inputs++ == hole;
    for (int64_t r = 0; r < rows; r++) {
        int64_t first = holed && !hole_is_last && r == 0,
                last = row_bytes - (holed && hole_is_last && r == rows - 1);
        reel_upload(&stream, at + r * stride_bytes + first, (const char *)values + r * row_bytes + first,
                    last - first);
    }
    return at;
}

/* Values in [-1, 1) that bfloat16 represents exactly, held as fp32 or bfloat16. */
void *strided_in(int64_t rows, int64_t width, int64_t stride, enum reel_dtype held)
{
    static union {
        float wide[4096];
        uint16_t narrow[8192];
    } values;
    uint32_t state = (uint32_t)inputs + 1;
    for (int64_t i = 0; i < rows * width; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t bits;
        float value = (float)(state >> 24) * 0x1p-7f - 1;
        memcpy(&bits, &value, sizeof bits);
        if (held == REEL_F32)
            values.wide[i] = value;
        else
            values.narrow[i] = (uint16_t)(bits >> 16);
    }
    int64_t each = reel_dtype_bytes(held);
    return bytes_in(&values, rows, width * each, stride * each);
}

void *numbers_in(int64_t width, enum reel_dtype held)
{
    return strided_in(1, width, width, held);
}

void *floats_in(int64_t width)
{
    return numbers_in(width, REEL_F32);
}

void *doubles_in(int64_t width)
{
    double values[64];
    for (int64_t i = 0; i < width; i++)
        values[i] = 1 + (double)i;
    return bytes_in(values, 1, width * (int64_t)sizeof *values, 0);
}

void result_rows(const void *at, int64_t rows, int64_t row_bytes, int64_t stride_bytes)
{
    for (int64_t r = 0; r < rows; r++) {
        reel_download(&stream, results + result_bytes, (const char *)at + r * stride_bytes, row_bytes);
        result_bytes += row_bytes;
    }
}

/* Collects a whole array, which must hold nothing but results. */
void result(const void *at)
{
    for (int i = 0; i < count; i++)
        if (arrays[i].memory == at)
            result_rows(at, 1, arrays[i].bytes, 0);
}
