/* What the parts of the shadow backend share: clocks of streams, regions of memory, and operations that
 * are being checked.
 *
 * Everything is behind one lock, which an operation holds from reel_shadow_begin to reel_shadow_end. */
#ifndef REEL_SHADOW_STATE_H
#define REEL_SHADOW_STATE_H

#include "shadow.h"

#include <pthread.h>

enum { REEL_SHADOW_STREAMS = 32, REEL_SHADOW_NOBODY = -1 };

extern pthread_mutex_t reel_shadow_lock;

/* How many operations of each stream have ended, for somebody. */
struct reel_clock {
    uint32_t time[REEL_SHADOW_STREAMS];
};

/* One of the streams that are open; `queue` of the stream points to it. */
struct reel_shadow_stream {
    int open, place, failed;
    struct reel_clock done;     /* what has ended when an operation that is issued now begins */
    struct reel_clock known;    /* what the host thread that used it last knew */
    struct reel_clock paced[2]; /* `done` at the last two calls of reel_throttle */
    int64_t paces;
    const char *scratch;
    int64_t scratch_bytes;
};

/* An operation between begin and end. */
struct reel_shadow_step {
    const char *what;
    struct reel_shadow_stream *by;
    uint32_t now; /* its number on the stream */
    int unchecked;
};

/* What happened to a byte. */
struct reel_past {
    int32_t writer;   /* the place of the stream that wrote it last, or nobody */
    uint32_t written; /* which of its operations */
    uint32_t readers; /* bit s: stream s has read it since, */
    uint32_t
        read[REEL_SHADOW_STREAMS]; /* in that operation, and no other read is known to have ended after it */
};

/* Bytes of a region from `first` to the first of the next extent that have the same past. */
struct reel_extent {
    int64_t first;
    struct reel_past past;
};

/* Memory as it was allocated. */
struct reel_region {
    char *memory;
    int64_t bytes, mapped_bytes;
    struct reel_extent *extents; /* [count], neighbours differ */
    int64_t count, room;
};

/* Prints the sentence and aborts. */
void reel_shadow_abort(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- shadow_order.c: streams. ---- */

/* Takes the lock, and the next number on the stream; aborts on a stream that was not opened. */
struct reel_shadow_step reel_shadow_begin(struct reel_stream *stream, const char *what);
void reel_shadow_end(const struct reel_shadow_step *step);

/* The host waits for the stream, with the lock held by the step: the calling thread knows what has ended. */
void reel_shadow_wait(const struct reel_shadow_step *step);

/* The name of an operation of the stream in that place, "an operation" where it was too long ago. */
const char *reel_shadow_name(int place, uint32_t number);

void reel_shadow_open(struct reel_stream *stream, const struct reel_scratch *max);
void reel_shadow_close(struct reel_stream *stream);
void reel_shadow_stream_wait(struct reel_stream *later, struct reel_stream *earlier);
void reel_shadow_throttle(struct reel_stream *stream);
void reel_shadow_finish(struct reel_stream *stream);

/* ---- shadow_memory.c: regions. ---- */

void *reel_shadow_allocate(int64_t bytes);
void reel_shadow_release(void *memory, int64_t bytes);

/* The region that holds that byte, or NULL; with the lock held. */
struct reel_region *reel_shadow_region(const void *at);

/* ---- shadow_extents.c: who reads and writes what, within a step. ---- */

/* The region of fresh memory; extents are freed with it. */
void reel_extents_open(struct reel_region *region);

/* Each checks the range; reads and writes are then taken note of. `update` is a read and a write of the
 * same bytes. */
void reel_shadow_read(const struct reel_shadow_step *step, struct reel_shadow_range range);
void reel_shadow_write(const struct reel_shadow_step *step, struct reel_shadow_range range);
void reel_shadow_update(const struct reel_shadow_step *step, struct reel_shadow_range range);

/* Aborts where that is device memory. */
void reel_shadow_host(const struct reel_shadow_step *step, const char *name, const void *at, int64_t bytes);

/* ---- shadow_ranges.c, shadow_steps.c: what each operation reads and writes. ---- */

#define REEL_SHADOW_OPERATIONS(EACH)                                                                         \
    EACH(gemm)                                                                                               \
    EACH(layer_norm)                                                                                         \
    EACH(modulate)                                                                                           \
    EACH(gated_add)                                                                                          \
    EACH(squares)                                                                                            \
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
