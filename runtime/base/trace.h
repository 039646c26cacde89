/* Records where a run spends its time: spans of operations, exchanges and waits, and of the parts of the
 * model around them.
 *
 *     int64_t span = reel_trace_begin(&(struct reel_trace_what){
 *         .kind = REEL_TRACE_EXCHANGE, .name = "keys", .numbers = {{"sent", 4096}, {"to", 1}}});
 *     ... the exchange ...
 *     reel_trace_end(span);
 *
 * A process records between reel_trace_start and reel_trace_stop, into memory that reel_trace_open allocated.
 * A span for which there is no room is counted as lost. While nothing is recorded, reel_trace_begin is one
 * relaxed load.
 *
 * A lane holds the spans of one thread; two spans of a lane are nested or disjoint. A device's queue has a
 * lane of its own (reel_trace_events). open, close, start, stop, spans and lane are called while no other
 * thread calls any function here; any thread may call the others. Not collective. */
#ifndef REEL_TRACE_H
#define REEL_TRACE_H

#include "status.h"

#include <stdint.h>

enum reel_trace_kind { REEL_TRACE_OPERATION, REEL_TRACE_EXCHANGE, REEL_TRACE_WAIT, REEL_TRACE_PART };

enum { REEL_TRACE_NUMBERS = 4, REEL_TRACE_NAME_BYTES = 24, REEL_TRACE_LANES = 64 };

/* A value that a span shows. The label is a static string; NULL: there is none. */
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
    int32_t device_lane;      /* of the queue; -1: the span is not work of a device */
    int64_t begin_ns, end_ns; /* by reel_trace_now; end_ns 0: it has not ended */
    int64_t event[2];         /* the backend's events at its begin and end on the device; -1: none */
};

/* Allocates memory for that many spans, and discards what was recorded before. REEL_NO_MEMORY. */
enum reel_status reel_trace_open(int64_t spans);

/* Stops recording and frees the memory. Allowed when nothing is open. */
void reel_trace_close(void);

/* Start and stop recording. Start does nothing when nothing is open. */
void reel_trace_start(void);
void reel_trace_stop(void);

/* Whether spans are recorded now. */
int reel_trace_is_on(void);

/* Sets the name of the calling thread's lane, a static string; "host" by default. Called before its first
 * span. */
void reel_trace_thread(const char *name);

/* Begins a span of the calling thread and returns it; -1 when it is not recorded. */
int64_t reel_trace_begin(const struct reel_trace_what *what);

/* Ends the span, in the same thread; -1 is allowed. */
void reel_trace_end(int64_t span);

/* The span was work of that queue of a device, between two events of the backend. -1 is allowed for span and
 * events. */
void reel_trace_events(int64_t span, const void *queue, int64_t begin, int64_t end);

/* The recorded spans [*count], in the order in which they began; *lost is how many had no room. Called after
 * stop. */
const struct reel_trace_span *reel_trace_spans(int64_t *count, int64_t *lost);

/* The name of a lane; NULL when lane is not below the number of lanes. */
const char *reel_trace_lane(int64_t lane);

/* Nanoseconds of a clock that never goes back. */
int64_t reel_trace_now(void);

#endif
