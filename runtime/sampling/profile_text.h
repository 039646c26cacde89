/* What one rank has recorded (trace.h), as text of a profile: a Chrome trace, which chrome://tracing and
 * Perfetto show.
 *
 * {"name":"gemm","cat":"operation","ph":"X","pid":1,"tid":0,"ts":812.040,"dur":93.700,"args":{"rows":24,...}}
 *
 * pid is the rank and tid the lane; times are microseconds. A span that was work of a device is there twice:
 * in the lane of its stream for as long as the device was at it, and in that of the thread, as "issue" where
 * it is an operation or an exchange, for as long as the host took to issue it. Not collective. */
#ifndef REEL_PROFILE_TEXT_H
#define REEL_PROFILE_TEXT_H

#include "ops.h"
#include "status.h"
#include "traffic.h"

struct reel_profile_rank {
    int64_t rank;
    const char *device; /* "host a, NVIDIA H100 80GB HBM3" */
    const struct reel_ops *ops;
    int64_t began_ns, ended_ns;   /* of what was recorded, by this rank's clock; the file begins at 0 */
    int64_t ahead_ns, trip_ns;    /* rank 0's clock is so much ahead of this one's; how long it took to ask */
    const int64_t *planned_bytes; /* [REEL_TRAFFIC_CLASSES] that it was to send */
};

/* The caller's to free. */
struct reel_profile_text {
    char *events;  /* of traceEvents, without its brackets */
    char *summary; /* one object: seconds of operations by name, exchanges by purpose, waits, what was lost */
};

/* REEL_NO_MEMORY, and then both are NULL. */
enum reel_status reel_profile_text(const struct reel_profile_rank *rank, struct reel_profile_text *text);

#endif
