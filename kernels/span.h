/* Spans of a stream's work for a profile (trace.h), and ranges of the model's parts for the device's tools.
 *
 *     struct reel_span part = reel_part_begin(stream, "block %lld", (long long)layer);
 *     ... operations ...
 *     reel_part_end(stream, part);
 *
 * The span covers what is issued to the stream between begin and end. It is timed by the host's clock, and
 * also by the device's where operations continue after their calls have returned. Not collective. */
#ifndef REEL_SPAN_H
#define REEL_SPAN_H

#include "ops.h"
#include "trace.h"

struct reel_span {
    int64_t trace; /* -1: not recorded */
    int64_t event; /* the event of its begin on the device; -1: none */
};

/* Call begin before issuing the work, and end after the last call. */
struct reel_span reel_span_begin(struct reel_stream *stream, const struct reel_trace_what *what);
void reel_span_end(struct reel_stream *stream, struct reel_span span);

/* The same for a part of the model. The part is also a range of the backend, whether or not a profile is
 * recorded. Parts end in reverse order of their begins. */
struct reel_span reel_part_begin(struct reel_stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reel_part_end(struct reel_stream *stream, struct reel_span part);

#endif
