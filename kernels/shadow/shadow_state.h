/* What the parts of the shadow backend share: the streams' clocks, the regions of memory, and the operations
 * that are being checked.
 *
 * One lock protects everything. An operation holds it from reel_shadow_begin to reel_shadow_end. */
#ifndef REEL_SHADOW_STATE_H
#define REEL_SHADOW_STATE_H

#include "shadow.h"

#include <pthread.h>

enum { REEL_SHADOW_STREAMS = 32, REEL_SHADOW_NOBODY = -1 };

extern pthread_mutex_t reel_shadow_lock;

/* A vector clock: how many operations of each stream have ended, as far as its owner knows. */
struct reel_clock {
    uint32_t time[REEL_SHADOW_STREAMS];
};

/* An open stream; reel_stream's `queue` points to it. */
struct reel_shadow_stream {
    int open, place, failed;
    struct reel_clock done;         /* what has ended when an operation issued now begins */
    struct reel_clock known;        /* what the last host thread that used it knew */
    struct reel_clock throttled[2]; /* `done` at the last two calls of reel_throttle */
    int64_t throttles;
    const char *scratch;
    int64_t scratch_bytes;
};

/* An operation between begin and end. */
struct reel_shadow_step {
    const char *what;
    struct reel_shadow_stream *by;
    uint32_t now; /* the operation's number on the stream */
    int unchecked;
};

/* What happened to a byte. */
struct reel_past {
    int32_t writer;   /* index of the stream that wrote it last, or REEL_SHADOW_NOBODY */
    uint32_t written; /* the number of the operation that wrote it */
    uint32_t readers; /* bit s: stream s has read it since */
    /* read[s]: the number of that operation. A read is dropped once a later read is ordered after it. */
    uint32_t read[REEL_SHADOW_STREAMS];
};

/* Bytes with the same past, from `first` of a region to the first byte of the next extent. */
struct reel_extent {
    int64_t first;
    struct reel_past past;
};

/* One allocation. */
struct reel_region {
    char *memory;
    int64_t bytes, mapped_bytes;
    struct reel_extent *extents; /* [count], sorted; neighbours have different pasts */
    int64_t count, room;
};

/* Prints the message and aborts. */
void reel_shadow_abort(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- shadow_order.c: streams. ---- */

/* Takes the lock and the next number on the stream. Aborts if the stream is not open. */
struct reel_shadow_step reel_shadow_begin(struct reel_stream *stream, const char *what);
void reel_shadow_end(const struct reel_shadow_step *step);

/* The calling thread waits for the stream: it then knows that the operations so far have ended. The step
 * holds the lock. */
void reel_shadow_wait(const struct reel_shadow_step *step);

/* The name of an operation of the stream with index `place`; "an operation" where it is too old. */
const char *reel_shadow_name(int place, uint32_t number);

void reel_shadow_open(struct reel_stream *stream, const struct reel_scratch *max);
void reel_shadow_close(struct reel_stream *stream);
void reel_shadow_stream_wait(struct reel_stream *later, struct reel_stream *earlier);
void reel_shadow_throttle(struct reel_stream *stream);
void reel_shadow_finish(struct reel_stream *stream);

/* ---- shadow_memory.c: regions. ---- */

void *reel_shadow_allocate(int64_t bytes);
void reel_shadow_release(void *memory, int64_t bytes);

/* The region that holds that byte, or NULL. The caller holds the lock. */
struct reel_region *reel_shadow_region(const void *at);

/* ---- shadow_extents.c: what an operation reads and writes. ---- */

/* Gives a new region one extent that nobody has written. The extents are freed with the region. */
void reel_extents_open(struct reel_region *region);

/* Check the range, then record the read or the write. `update` reads and writes the same bytes. */
void reel_shadow_read(const struct reel_shadow_step *step, struct reel_shadow_range range);
void reel_shadow_write(const struct reel_shadow_step *step, struct reel_shadow_range range);
void reel_shadow_update(const struct reel_shadow_step *step, struct reel_shadow_range range);

/* Aborts if this is device memory. */
void reel_shadow_host(const struct reel_shadow_step *step, const char *name, const void *at, int64_t bytes);

/* ---- shadow_ranges.c, shadow_steps.c: what each operation reads and writes. ---- */

#define REEL_SHADOW_OPERATIONS(EACH)                                                                         \
    EACH(gemm)                                                                                               \
    EACH(layer_norm)                                                                                         \
    EACH(modulate)                                                                                           \
    EACH(gated_add)                                                                                          \
    EACH(rms_squares)                                                                                        \
    EACH(split_heads)                                                                                        \
    EACH(merge_heads)                                                                                        \
    EACH(attention)                                                                                          \
    EACH(patchify)                                                                                           \
    EACH(unpatchify)                                                                                         \
    EACH(guide)                                                                                              \
    EACH(solve)                                                                                              \
    EACH(silu)                                                                                               \
    EACH(sum_parts)                                                                                          \
    EACH(expand)                                                                                             \
    EACH(distances)                                                                                          \
    EACH(keep_residual)                                                                                      \
    EACH(add_residual)                                                                                       \
    EACH(add_row)                                                                                            \
    EACH(convert)                                                                                            \
    EACH(copy)                                                                                               \
    EACH(clear)                                                                                              \
    EACH(blend)

#define REEL_SHADOW_RANGES(name)                                                                             \
    void reel_shadow_##name(const struct reel_shadow_step *step, const struct reel_##name *a);
REEL_SHADOW_OPERATIONS(REEL_SHADOW_RANGES)
#undef REEL_SHADOW_RANGES

#endif
