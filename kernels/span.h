/* Spans of a stream's work for a profile (trace.h), and ranges of the model's parts for the tools of a
 * device.
 *
 *     struct reel_span part = reel_part_begin(stream, "block %lld", (long long)layer);
 *     ... operations ...
 *     reel_part_end(stream, part);
 *
 * What is issued to the stream between the two is in the span: by the clock of the host, and, where
 * operations go on after they have returned, by that of the device as well. Not collective. */
#ifndef REEL_SPAN_H
#define REEL_SPAN_H

#include "ops.h"
#include "trace.h"

struct reel_span {
    int64_t trace; /* -1: not recorded */
    int64_t event; /* of its begin on the device; -1: not marked */
};

/* Work of the stream begins, and has been issued. */
struct reel_span reel_span_begin(struct reel_stream *stream, const struct reel_trace_what *what);
void reel_span_end(struct reel_stream *stream, struct reel_span span);

/* The same for a part of the model, which is a range of the backend too, whether a profile is made or not.
 * Ends come in reverse order of begins. */
struct reel_span reel_part_begin(struct reel_stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reel_part_end(struct reel_stream *stream, struct reel_span part);

#endif
