/* What a stretch of a run is made of, in time: spans of operations, exchanges and waits, and the parts of the
 * model around them.
 *
 *     int64_t span = reel_trace_begin(&(struct reel_trace_what){
 *         .kind = REEL_TRACE_EXCHANGE, .name = "keys", .numbers = {{"sent", 4096}, {"to", 1}}});
 *     ... the exchange ...
 *     reel_trace_end(span);
 *
 * A process records between start and stop, into memory that was taken before; a span that finds no room is
 * counted as lost. While nothing is recorded, begin is one relaxed load. The spans of a thread are a lane, in
 * which each is inside another or beside it; work of a device is in lanes of its own (reel_trace_events).
 * begin, end and marks may be called by any thread, the others by one that is alone with them. Not
 * collective. */
#ifndef REEL_TRACE_H
#define REEL_TRACE_H

#include "status.h"

#include <stdint.h>

enum reel_trace_kind { REEL_TRACE_OPERATION, REEL_TRACE_EXCHANGE, REEL_TRACE_WAIT, REEL_TRACE_PART };

enum { REEL_TRACE_NUMBERS = 4, REEL_TRACE_NAME_BYTES = 24, REEL_TRACE_LANES = 64 };

/* What a span says of itself: the label is a static string; NULL: nothing. */
struct reel_trace_number {
    const char *label;
    int64_t value;
};

struct reel_trace_what {
    enum reel_trace_kind kind;
    const char *name; /* cut to REEL_TRACE_NAME_BYTES */
    struct reel_trace_number numbers[REEL_TRACE_NUMBERS];
};

struct reel_trace_span {
    enum reel_trace_kind kind;
    char name[REEL_TRACE_NAME_BYTES];
    struct reel_trace_number numbers[REEL_TRACE_NUMBERS];
    int32_t lane;             /* of the thread */
    int32_t device_lane;      /* of the queue; -1: no work of a device */
    int64_t begin_ns, end_ns; /* reel_trace_now; end 0: it has not ended */
    int64_t event[2];         /* of its begin and end on the device, by the backend; -1: not marked */
};

/* Takes memory for that many spans, and forgets what was recorded. REEL_NO_MEMORY. */
enum reel_status reel_trace_open(int64_t spans);

/* Frees it; nothing may be recorded any more. Allowed when it was not opened. */
void reel_trace_close(void);

void reel_trace_start(void);
void reel_trace_stop(void);

/* Whether spans are recorded now. */
int reel_trace_is_on(void);

/* What a thread is called in its lane: a static string. "host" where it says nothing. */
void reel_trace_thread(const char *name);

/* A span of the calling thread begins; -1 when it is not recorded. */
int64_t reel_trace_begin(const struct reel_trace_what *what);

/* It ends, in the same thread; -1 is allowed. */
void reel_trace_end(int64_t span);

/* The span was work of that queue of a device, between two marks. -1 is allowed for span and marks. */
void reel_trace_events(int64_t span, const void *queue, int64_t begin, int64_t end);

/* What was recorded until stop: [*count] in the order in which they began, and how many found no room. */
const struct reel_trace_span *reel_trace_spans(int64_t *count, int64_t *lost);

/* The name of a lane; NULL where there are no more. */
const char *reel_trace_lane(int64_t lane);

/* Nanoseconds of a clock that only goes forward. */
int64_t reel_trace_now(void);

#endif
