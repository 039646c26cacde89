/* The spans that one rank recorded (trace.h), as the text of a Chrome trace, for chrome://tracing and
 * Perfetto.
 *
 * {"name":"gemm","cat":"operation","ph":"X","pid":1,"tid":0,"ts":812.040,"dur":93.700,"args":{"rows":24,...}}
 *
 * pid is the rank and tid the lane; times are in microseconds. A span of device work appears twice. In the
 * lane of its stream it lasts as long as the device worked on it. In the lane of the thread it lasts as long
 * as the host took to issue it; there its category is "issue" if it is an operation or an exchange. Not
 * collective. */
#ifndef REEL_PROFILE_TEXT_H
#define REEL_PROFILE_TEXT_H

#include "ops.h"
#include "status.h"
#include "traffic.h"

struct reel_profile_rank {
    int64_t rank;
    const char *device; /* "host a, NVIDIA H100 80GB HBM3" */
    const struct reel_ops *ops;
    int64_t began_ns, ended_ns;   /* of the recording, by this rank's clock; began_ns is 0 in the file */
    int64_t ahead_ns, trip_ns;    /* rank 0's clock minus this rank's; the round trip that measured it */
    const int64_t *planned_bytes; /* [REEL_TRAFFIC_CLASSES] that the plan says it sends */
};

/* The caller frees both. */
struct reel_profile_text {
    char *events;  /* the elements of traceEvents, without the brackets */
    char *summary; /* one object: operations by name, exchanges by traffic class, waits, lost spans */
};

/* Makes both texts. On REEL_NO_MEMORY both are NULL. */
enum reel_status reel_profile_text(const struct reel_profile_rank *rank, struct reel_profile_text *text);

#endif
