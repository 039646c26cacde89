/* Shorthands for ranges of arrays, counted in elements of a dtype. */
#ifndef REEL_SHADOW_RANGES_H
#define REEL_SHADOW_RANGES_H

#include "shadow_state.h"

#include <string.h>

static inline struct reel_shadow_range dense(const char *name, const void *at, int64_t bytes)
{
    return (struct reel_shadow_range){.name = name, .at = at, .row_bytes = bytes};
}

static inline struct reel_shadow_range elements(const char *name, const void *at, int64_t count,
                                                enum reel_dtype dtype)
{
    return dense(name, at, count * reel_dtype_bytes(dtype));
}

/* `rows` rows of `width` elements, `stride` elements apart. */
static inline struct reel_shadow_range strided(const char *name, const void *at, int64_t rows, int64_t width,
                                               int64_t stride, enum reel_dtype dtype)
{
    struct reel_shadow_range range = elements(name, at, width, dtype);
    range.rows = rows;
    range.stride_bytes = stride * reel_dtype_bytes(dtype);
    return range;
}

static inline void write_or_update(const struct reel_shadow_step *step, struct reel_shadow_range range,
                                   int updates)
{
    if (updates)
        reel_shadow_update(step, range);
    else
        reel_shadow_write(step, range);
}

/* Reads `from` and writes `to`. Both may be the same array if they have the same dtype. */
static inline void from_to(const struct reel_shadow_step *step, struct reel_shadow_range from,
                           struct reel_shadow_range to)
{
    int in_place = from.at == to.at && from.row_bytes == to.row_bytes;
    if (!in_place)
        reel_shadow_read(step, from);
    write_or_update(step, to, in_place);
}

#endif
