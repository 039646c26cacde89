/* Which operations have written and read which bytes, and whether another one may. The extents of a region
 * are sorted and cover it. */
#include "shadow_state.h"

#include <stdlib.h>
#include <string.h>

/* The new extents of a range, before they replace the old ones. */
static struct {
    struct reel_extent *extents;
    int64_t count, room;
} fresh;

enum intent { READ, WRITE };

/* A range in its region: rows [first + r * stride, first + r * stride + row_bytes); end is the end of the
 * last row. */
struct rows {
    struct reel_region *region;
    const char *name;
    int64_t first, row_bytes, stride, end;
};

static struct reel_extent *with_room(struct reel_extent *extents, int64_t *room, int64_t count)
{
    if (count <= *room)
        return extents;
    *room = 2 * count + 16;
    extents = realloc(extents, (size_t)*room * sizeof *extents);
    if (!extents)
        reel_shadow_abort("no memory for %lld extents", (long long)*room);
    return extents;
}

void reel_extents_open(struct reel_region *region)
{
    region->extents = with_room(NULL, &region->room, 1);
    region->count = 1;
    region->extents[0] = (struct reel_extent){.past.writer = REEL_SHADOW_NOBODY};
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t end_of(const struct reel_region *region, int64_t extent)
{
    return extent + 1 < region->count ? region->extents[extent + 1].first : region->bytes;
}

/* The index of the extent that holds that byte. */
static int64_t extent_at(const struct reel_region *region, int64_t byte)
{
    int64_t low = 0, high = region->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (region->extents[middle].first <= byte)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int alike(const struct reel_past *a, const struct reel_past *b)
{
    int same = a->writer == b->writer && a->written == b->written && a->readers == b->readers;
    for (uint32_t left = a->readers; same && left; left &= left - 1)
        same = a->read[__builtin_ctz(left)] == b->read[__builtin_ctz(left)];
    return same;
}

static struct rows rows_of(const struct reel_shadow_step *step, const struct reel_shadow_range *range)
{
    struct reel_region *region = reel_shadow_region(range->at);
    int64_t rows = range->rows > 1 ? range->rows : 1;
    if (!region)
        reel_shadow_abort("%s: %s is not device memory", step->what, range->name);
    if (rows > 1 && range->stride_bytes < range->row_bytes)
        reel_shadow_abort("%s: rows of %s overlap each other", step->what, range->name);
    struct rows found = {.region = region,
                         .name = range->name,
                         .first = (const char *)range->at - region->memory,
                         .row_bytes = range->row_bytes,
                         .stride = rows > 1 ? range->stride_bytes : range->row_bytes};
    found.end = found.first + (rows - 1) * found.stride + found.row_bytes;
    if (found.end > region->bytes)
        reel_shadow_abort("%s: %s begins at byte %lld of its region and goes %lld bytes beyond its end",
                          step->what, range->name, (long long)found.first,
                          (long long)(found.end - region->bytes));
    if (found.stride == found.row_bytes) /* dense rows are one row */
        found.row_bytes = found.stride = found.end - found.first;
    return found;
}

static void refuse_access(const struct reel_shadow_step *step, const struct rows *rows, int64_t byte,
                          enum intent intent, const char *other, int place, uint32_t number)
{
    reel_shadow_abort("%s on stream %d %s %s at byte %lld of its region, which %s on stream %d may still %s: "
                      "neither reel_stream_wait nor a wait of the host orders the two",
                      step->what, step->by->place, intent == READ ? "reads" : "writes", rows->name,
                      (long long)byte, reel_shadow_name(place, number), place, other);
}

/* Checks a byte with this past. Everything that other operations have done to it must have ended, and this
 * operation must not both read and write it, or write it twice. */
static void judge_bytes(const struct reel_shadow_step *step, const struct rows *rows, int64_t byte,
                        enum intent intent, const struct reel_past *past)
{
    const uint32_t *done = step->by->done.time;
    int me = step->by->place;
    int own_write = past->writer == me && past->written == step->now,
        own_read = past->readers >> me & 1 && past->read[me] == step->now;
    if (own_write || (intent == WRITE && own_read))
        reel_shadow_abort("%s on stream %d %s %s at byte %lld of its region, which it %s as another array",
                          step->what, me, intent == READ ? "reads" : "writes", rows->name, (long long)byte,
                          own_write ? "writes" : "reads");
    if (past->writer == REEL_SHADOW_NOBODY && intent == READ)
        reel_shadow_abort("%s on stream %d reads %s at byte %lld of its region, which nobody has written",
                          step->what, me, rows->name, (long long)byte);
    if (past->writer != REEL_SHADOW_NOBODY && past->written > done[past->writer])
        refuse_access(step, rows, byte, intent, "write", past->writer, past->written);
    for (uint32_t left = intent == WRITE ? past->readers : 0; left; left &= left - 1) {
        int reader = __builtin_ctz(left);
        if (past->read[reader] > done[reader])
            refuse_access(step, rows, byte, intent, "read", reader, past->read[reader]);
    }
}

static void check_range(const struct reel_shadow_step *step, const struct rows *rows, enum intent intent)
{
    const struct reel_region *region = rows->region;
    int64_t e = extent_at(region, rows->first);
    for (int64_t row = rows->first; row < rows->end && !step->unchecked; row += rows->stride) {
        while (end_of(region, e) <= row)
            e++;
        for (;;) {
            const struct reel_extent *extent = &region->extents[e];
            judge_bytes(step, rows, extent->first > row ? extent->first : row, intent, &extent->past);
            if (end_of(region, e) >= row + rows->row_bytes)
                break;
            e++;
        }
    }
}

/* The past after this step. It forgets reads that had ended when the step began: whatever is ordered after
 * the step is ordered after them too. */
static struct reel_past followed(const struct reel_shadow_step *step, struct reel_past past,
                                 enum intent intent)
{
    int me = step->by->place;
    if (intent == WRITE)
        return (struct reel_past){.writer = me, .written = step->now};
    for (uint32_t left = past.readers; left; left &= left - 1) {
        int reader = __builtin_ctz(left);
        if (past.read[reader] <= step->by->done.time[reader])
            past.readers &= ~(1u << reader);
    }
    past.readers |= 1u << me;
    past.read[me] = step->now;
    return past;
}

/* Appends an extent to `fresh`, unless it has the same past as the last one. */
static void emit_extent(int64_t first, const struct reel_past *past)
{
    if (fresh.count > 0 && alike(&fresh.extents[fresh.count - 1].past, past))
        return;
    fresh.extents = with_room(fresh.extents, &fresh.room, fresh.count + 1);
    fresh.extents[fresh.count].first = first;
    fresh.extents[fresh.count++].past = *past;
}

/* Replaces the extents [from, to) of the region by the new ones. */
static void splice_extents(struct reel_region *region, int64_t from, int64_t to)
{
    int64_t count = region->count + fresh.count - (to - from);
    region->extents = with_room(region->extents, &region->room, count);
    memmove(region->extents + from + fresh.count, region->extents + to,
            (size_t)(region->count - to) * sizeof *region->extents);
    memcpy(region->extents + from, fresh.extents, (size_t)fresh.count * sizeof *region->extents);
    region->count = count;
}

static void record_range(const struct reel_shadow_step *step, const struct rows *rows, enum intent intent)
{
    struct reel_region *region = rows->region;
    int64_t e = extent_at(region, rows->first), from = e > 0 ? e - 1 : e;
    int64_t at = region->extents[e].first, row = rows->first;
    fresh.count = 0;
    if (from < e) /* the first new extent may have the same past as this one */
        emit_extent(region->extents[from].first, &region->extents[from].past);
    while (at < rows->end) {
        int inside = at >= row;
        int64_t end = end_of(region, e), row_end = row + rows->row_bytes,
                stop = smaller(end, inside ? row_end : row);
        struct reel_past past = region->extents[e].past;
        if (inside)
            past = followed(step, past, intent);
        emit_extent(at, &past);
        row += inside && stop == row_end ? rows->stride : 0;
        e += stop == end;
        at = stop;
    }
    if (e < region->count) /* the rest of the range's last extent, or the next extent */
        emit_extent(at, &region->extents[e].past);
    splice_extents(region, from, e < region->count ? e + 1 : e);
}

void reel_shadow_read(const struct reel_shadow_step *step, struct reel_shadow_range range)
{
    if (range.row_bytes == 0)
        return;
    struct rows rows = rows_of(step, &range);
    check_range(step, &rows, READ);
    record_range(step, &rows, READ);
}

void reel_shadow_write(const struct reel_shadow_step *step, struct reel_shadow_range range)
{
    if (range.row_bytes == 0)
        return;
    struct rows rows = rows_of(step, &range);
    check_range(step, &rows, WRITE);
    record_range(step, &rows, WRITE);
}

void reel_shadow_update(const struct reel_shadow_step *step, struct reel_shadow_range range)
{
    if (range.row_bytes == 0)
        return;
    struct rows rows = rows_of(step, &range);
    check_range(step, &rows, READ);
    check_range(step, &rows, WRITE);
    record_range(step, &rows, WRITE);
}

void reel_shadow_host(const struct reel_shadow_step *step, const char *name, const void *at, int64_t bytes)
{
    if (reel_shadow_region(at) || reel_shadow_region((const char *)at + bytes - 1))
        reel_shadow_abort("%s: %s is device memory, expected host memory", step->what, name);
}
