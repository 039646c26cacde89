/* Spans on the clocks of the host and the device. */
#include "span.h"

#include <stdarg.h>
#include <stdio.h>

struct reel_span reel_span_begin(struct reel_stream *stream, const struct reel_trace_what *what)
{
    struct reel_span span = {.trace = reel_trace_begin(what), .event = -1};
    if (span.trace >= 0 && stream->ops->event)
        span.event = stream->ops->event(stream);
    return span;
}

void reel_span_end(struct reel_stream *stream, struct reel_span span)
{
    if (span.trace < 0)
        return;
    if (stream->ops->event)
        reel_trace_events(span.trace, stream->queue, span.event, stream->ops->event(stream));
    reel_trace_end(span.trace);
}

struct reel_span reel_part_begin(struct reel_stream *stream, const char *format, ...)
{
    char name[REEL_TRACE_NAME_BYTES];
    va_list arguments;
    if (!stream->ops->range_push && !reel_trace_is_on())
        return (struct reel_span){.trace = -1, .event = -1};
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (stream->ops->range_push)
        stream->ops->range_push(name);
    return reel_span_begin(stream, &(struct reel_trace_what){.kind = REEL_TRACE_PART, .name = name});
}

void reel_part_end(struct reel_stream *stream, struct reel_span part)
{
    reel_span_end(stream, part);
    if (stream->ops->range_pop)
        stream->ops->range_pop();
}
