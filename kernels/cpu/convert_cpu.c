/* Conversion between dtypes, on the host. */
#include "cpu.h"
#include "elements.h"

REEL_SIMD
void reel_widen_cpu(const void *from, int64_t count, enum reel_dtype dtype, float *to)
{
    if (dtype == REEL_BF16)
        for (int64_t i = 0; i < count; i++)
            to[i] = reel_number(from, i, REEL_BF16);
    else if (dtype == REEL_F8_E4M3)
        for (int64_t i = 0; i < count; i++)
            to[i] = reel_number(from, i, REEL_F8_E4M3);
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

REEL_SIMD
void reel_narrow_cpu(const float *from, int64_t count, enum reel_dtype dtype, void *to)
{
    if (dtype == REEL_BF16)
        for (int64_t i = 0; i < count; i++)
            reel_set_number(to, i, REEL_BF16, from[i]);
    else
        memcpy(to, from, (size_t)count * sizeof *from);
}

void reel_convert_cpu(struct reel_stream *stream, const struct reel_convert *a)
{
    enum { CHUNK = 1 << 14 };
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t first = 0; first < a->count; first += CHUNK)
        reel_narrow_cpu(a->x + first, a->count - first < CHUNK ? a->count - first : CHUNK, a->dtype,
                        reel_at(a->y, first, a->dtype));
}
