/* Records spans. */
#include "trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lane {
    int is_queue; /* 1: of a device's queue; 0: of a thread */
    const void *queue;
    char name[REEL_TRACE_NAME_BYTES];
};

static struct reel_trace_span *spans;
static int64_t max;
static atomic_llong begun; /* includes spans for which there was no room */
static atomic_int on;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects the lanes */
static struct lane lanes[REEL_TRACE_LANES];
static int32_t lane_count, queue_count;
static int64_t openings; /* how often a trace was opened: a thread's lane is valid for one opening */

static _Thread_local const char *thread_name = "host";
static _Thread_local int64_t thread_opening;
static _Thread_local int32_t thread_lane;

int64_t reel_trace_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum reel_status reel_trace_open(int64_t count)
{
    reel_trace_close();
    spans = count <= INT64_MAX / (int64_t)sizeof *spans ? calloc((size_t)count, sizeof *spans) : NULL;
    REEL_NEED(spans, REEL_NO_MEMORY, "no memory for a profile of %lld spans", (long long)count);
    max = count;
    openings++;
    return REEL_OK;
}

void reel_trace_close(void)
{
    reel_trace_stop();
    free(spans);
    spans = NULL;
    max = 0;
    atomic_store(&begun, 0);
    lane_count = queue_count = 0;
}

void reel_trace_start(void)
{
    atomic_store(&on, spans != NULL);
}

void reel_trace_stop(void)
{
    atomic_store(&on, 0);
}

int reel_trace_is_on(void)
{
    return atomic_load_explicit(&on, memory_order_relaxed);
}

void reel_trace_thread(const char *name)
{
    thread_name = name;
}

/* Adds a lane; when all are taken, returns the last, which is then shared. The caller holds the lock. */
static int32_t lane_add(int is_queue, const void *queue, const char *name, int64_t number)
{
    if (lane_count == REEL_TRACE_LANES)
        return REEL_TRACE_LANES - 1;
    struct lane *lane = &lanes[lane_count];
    lane->is_queue = is_queue;
    lane->queue = queue;
    if (number > 0)
        snprintf(lane->name, sizeof lane->name, "%s %lld", name, (long long)number);
    else
        snprintf(lane->name, sizeof lane->name, "%s", name);
    return lane_count++;
}

static int32_t lane_of_thread(void)
{
    if (thread_opening == openings)
        return thread_lane;
    pthread_mutex_lock(&lock);
    thread_lane = lane_add(0, NULL, thread_name, 0);
    thread_opening = openings;
    pthread_mutex_unlock(&lock);
    return thread_lane;
}

static int32_t lane_of_queue(const void *queue)
{
    int32_t found = 0;
    pthread_mutex_lock(&lock);
    while (found < lane_count && !(lanes[found].is_queue && lanes[found].queue == queue))
        found++;
    if (found == lane_count)
        found = lane_add(1, queue, "stream", ++queue_count);
    pthread_mutex_unlock(&lock);
    return found;
}

int64_t reel_trace_begin(const struct reel_trace_what *what)
{
    if (!reel_trace_is_on())
        return -1;
    int64_t at = atomic_fetch_add(&begun, 1);
    if (at >= max)
        return -1;
    struct reel_trace_span *span = &spans[at];
    span->kind = what->kind;
    snprintf(span->name, sizeof span->name, "%s", what->name);
    memcpy(span->numbers, what->numbers, sizeof span->numbers);
    span->lane = lane_of_thread();
    span->device_lane = -1;
    span->event[0] = span->event[1] = -1;
    span->end_ns = 0;
    span->begin_ns = reel_trace_now();
    return at;
}

void reel_trace_end(int64_t span)
{
    if (span >= 0)
        spans[span].end_ns = reel_trace_now();
}

void reel_trace_events(int64_t span, const void *queue, int64_t begin, int64_t end)
{
    if (span < 0)
        return;
    spans[span].device_lane = lane_of_queue(queue);
    spans[span].event[0] = begin;
    spans[span].event[1] = end;
}

const struct reel_trace_span *reel_trace_spans(int64_t *count, int64_t *lost)
{
    int64_t all = atomic_load(&begun);
    *count = all < max ? all : max;
    *lost = all - *count;
    return spans;
}

const char *reel_trace_lane(int64_t lane)
{
    return lane < lane_count ? lanes[lane].name : NULL;
}
