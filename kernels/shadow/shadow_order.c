/* The order of the shadow's streams: a clock for each stream, and one for every host thread. */
#include "shadow_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 256 }; /* the names of a stream's last operations are kept */

pthread_mutex_t reel_shadow_lock = PTHREAD_MUTEX_INITIALIZER;

/* Entries outlive their streams: operation numbers continue where the entry's previous stream ended. */
static struct reel_shadow_stream streams[REEL_SHADOW_STREAMS];
static uint32_t issued[REEL_SHADOW_STREAMS];
static const char *names[REEL_SHADOW_STREAMS][NAMES];

/* What every thread knows to have ended, and what this thread knows. */
static struct reel_clock everybody;
static _Thread_local struct reel_clock host;

void reel_shadow_abort(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("shadow: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    fflush(stderr);
    abort();
}

static void join_clock(struct reel_clock *clock, const struct reel_clock *other)
{
    for (int s = 0; s < REEL_SHADOW_STREAMS; s++)
        if (clock->time[s] < other->time[s])
            clock->time[s] = other->time[s];
}

/* The calling thread takes over the stream and learns what its previous user knew. The caller holds the
 * lock. */
static struct reel_shadow_stream *take_stream(struct reel_stream *stream, const char *what)
{
    struct reel_shadow_stream *s = stream->queue;
    if (!s || s < streams || s >= streams + REEL_SHADOW_STREAMS || !s->open)
        reel_shadow_abort("%s on a stream that is not open", what);
    s->failed |= stream->status != REEL_OK;
    join_clock(&host, &s->known);
    join_clock(&host, &everybody);
    join_clock(&s->done, &host);
    return s;
}

/* Leaves what the calling thread knows with the stream, for its next user. */
static void put_stream(struct reel_shadow_stream *s)
{
    s->known = host;
}

static int any_failed(void)
{
    int failed = 0;
    for (int s = 0; s < REEL_SHADOW_STREAMS; s++)
        failed |= streams[s].open && streams[s].failed;
    return failed;
}

struct reel_shadow_step reel_shadow_begin(struct reel_stream *stream, const char *what)
{
    pthread_mutex_lock(&reel_shadow_lock);
    struct reel_shadow_stream *s = take_stream(stream, what);
    uint32_t now = ++issued[s->place];
    s->done.time[s->place] = now;
    names[s->place][now % NAMES] = what;
    return (struct reel_shadow_step){.what = what, .by = s, .now = now, .unchecked = any_failed()};
}

void reel_shadow_end(const struct reel_shadow_step *step)
{
    put_stream(step->by);
    pthread_mutex_unlock(&reel_shadow_lock);
}

void reel_shadow_wait(const struct reel_shadow_step *step)
{
    join_clock(&host, &step->by->done);
}

const char *reel_shadow_name(int place, uint32_t number)
{
    return number + NAMES > issued[place] ? names[place][number % NAMES] : "an operation";
}

/* Records the stream's scratch memory, which every GEMM and attention of the stream writes. */
static void give_scratch(struct reel_shadow_stream *s, const struct reel_stream *stream,
                         const struct reel_scratch *max)
{
    const struct reel_region *region = reel_shadow_region(stream->scratch);
    s->scratch = stream->scratch;
    s->scratch_bytes = reel_scratch_bytes(stream->ops, max);
    if (!region)
        reel_shadow_abort("a stream is opened on scratch memory that is not device memory");
    if (s->scratch + s->scratch_bytes > region->memory + region->bytes)
        reel_shadow_abort(
            "a stream is opened on %lld bytes of scratch memory, and its region ends after %lld",
            (long long)s->scratch_bytes, (long long)(region->memory + region->bytes - s->scratch));
}

void reel_shadow_open(struct reel_stream *stream, const struct reel_scratch *max)
{
    int place = 0;
    pthread_mutex_lock(&reel_shadow_lock);
    while (place < REEL_SHADOW_STREAMS && streams[place].open)
        place++;
    if (place == REEL_SHADOW_STREAMS)
        reel_shadow_abort("a stream is opened while %d others are open: some were not closed",
                          REEL_SHADOW_STREAMS);
    struct reel_shadow_stream *s = &streams[place];
    *s = (struct reel_shadow_stream){.open = 1, .place = place};
    if (max)
        give_scratch(s, stream, max);
    stream->queue = s;
    pthread_mutex_unlock(&reel_shadow_lock);
}

/* The host waits for the stream; all threads learn that it has ended. */
static struct reel_shadow_stream *finish_stream(struct reel_stream *stream, const char *what)
{
    struct reel_shadow_stream *s = take_stream(stream, what);
    join_clock(&host, &s->done);
    join_clock(&everybody, &s->done);
    put_stream(s);
    return s;
}

void reel_shadow_finish(struct reel_stream *stream)
{
    pthread_mutex_lock(&reel_shadow_lock);
    finish_stream(stream, "finish");
    pthread_mutex_unlock(&reel_shadow_lock);
}

void reel_shadow_close(struct reel_stream *stream)
{
    pthread_mutex_lock(&reel_shadow_lock);
    finish_stream(stream, "close")->open = 0;
    pthread_mutex_unlock(&reel_shadow_lock);
}

void reel_shadow_stream_wait(struct reel_stream *later, struct reel_stream *earlier)
{
    pthread_mutex_lock(&reel_shadow_lock);
    struct reel_shadow_stream *after = take_stream(later, "stream_wait"),
                              *before = take_stream(earlier, "stream_wait");
    join_clock(&after->done, &before->done);
    put_stream(after);
    put_stream(before);
    pthread_mutex_unlock(&reel_shadow_lock);
}

void reel_shadow_throttle(struct reel_stream *stream)
{
    pthread_mutex_lock(&reel_shadow_lock);
    struct reel_shadow_stream *s = take_stream(stream, "throttle");
    struct reel_clock *oldest = &s->throttled[s->throttles++ % 2];
    join_clock(&host, oldest);
    *oldest = s->done;
    put_stream(s);
    pthread_mutex_unlock(&reel_shadow_lock);
}
