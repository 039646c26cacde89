/* The times on the host's clock at which the device reaches events; and NVTX ranges. */
#include "trace_cuda.h"

#include <atomic>
#include <nvtx3/nvToolsExt.h>

extern "C" {
#include "trace.h"
}

namespace
{

constexpr int64_t EVENTS = 1 << 17;
constexpr int TRIES = 16, QUEUES = 16;

/* An event with a known time on the host's clock. */
struct anchor {
    cudaEvent_t event;
    int64_t host_ns;
};

cudaEvent_t events[EVENTS];
const void *queues[EVENTS]; /* of each event */
int64_t times[EVENTS];      /* of each event, on the host's clock, once settled; -1: not known */
int64_t made, settled;
std::atomic<int64_t> used{EVENTS}; /* all, so that none can be had before reel_cuda_events_open */
bool is_opened;
struct anchor first, last;
cudaEvent_t spare;

bool is_open(const struct reel_stream *stream)
{
    return stream->queue && reel_cuda_queue(stream);
}

/* Creates the events of the pool and of the anchors, unless they exist. */
bool make_events()
{
    cudaEvent_t *const others[] = {&first.event, &last.event, &spare};
    for (cudaEvent_t *event : others)
        if (!*event && cudaEventCreate(event) != cudaSuccess)
            return false;
    while (made < EVENTS && cudaEventCreate(&events[made]) == cudaSuccess)
        made++;
    return made == EVENTS;
}

/* Sets an anchor. The device reaches the event between two readings of the host's clock; of several tries the
 * one with the closest readings counts. */
bool drop_anchor(struct reel_stream *stream, struct anchor *anchor)
{
    int64_t narrowest = INT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        int64_t before = reel_trace_now();
        if (cudaEventRecord(spare, reel_cuda_queue(stream)) != cudaSuccess ||
            cudaEventSynchronize(spare) != cudaSuccess)
            return false;
        int64_t after = reel_trace_now();
        if (after - before >= narrowest)
            continue;
        narrowest = after - before;
        anchor->host_ns = before + narrowest / 2;
        cudaEvent_t other = anchor->event;
        anchor->event = spare;
        spare = other;
    }
    return true;
}

/* The device's nanoseconds from one event to another; negative where the other came first. */
bool elapsed(cudaEvent_t from, cudaEvent_t to, double *ns)
{
    float milliseconds = 0;
    if (cudaEventElapsedTime(&milliseconds, from, to) != cudaSuccess)
        return false;
    *ns = 1e6 * static_cast<double>(milliseconds);
    return true;
}

/* The latest time of a queue. Rounding must not put an event before an earlier one of its queue. */
struct latest {
    const void *queue;
    int64_t ns;
};

int64_t not_before(struct latest *all, const void *queue, int64_t ns)
{
    int found = 0;
    while (found < QUEUES - 1 && all[found].queue && all[found].queue != queue)
        found++;
    if (all[found].queue != queue || ns > all[found].ns)
        all[found] = {queue, ns};
    return all[found].ns;
}

} // namespace

int reel_cuda_events_open(struct reel_stream *stream)
{
    settled = 0;
    used = EVENTS;
    reel_cuda_enter();
    is_opened = is_open(stream) && make_events() && drop_anchor(stream, &first);
    if (is_opened)
        used = 0;
    cudaGetLastError(); /* without events the run goes on */
    return is_opened;
}

int64_t reel_cuda_event(struct reel_stream *stream)
{
    int64_t event = is_open(stream) ? used.fetch_add(1) : EVENTS;
    if (event >= EVENTS)
        return -1;
    reel_cuda_enter();
    queues[event] = reel_cuda_queue(stream);
    times[event] = 0;
    if (cudaEventRecord(events[event], reel_cuda_queue(stream)) != cudaSuccess) {
        cudaGetLastError(); /* if the device is broken, the operations report it */
        times[event] = -1;
    }
    return event;
}

/* CUDA gives times in milliseconds as floats, which are coarse after a minute. So each event is measured from
 * another one shortly before it. The first and the last anchor map the device's clock to the host's. */
void reel_cuda_events_settle(struct reel_stream *stream)
{
    const double far_ns = 250e6;
    int64_t count = !is_opened ? 0 : used.load() < EVENTS ? used.load() : EVENTS;
    double whole = 0, rate = 1, at = 0, ns = 0;
    cudaEvent_t from = first.event;
    reel_cuda_enter();
    struct latest latest[QUEUES] = {};
    if (count > 0 && drop_anchor(stream, &last) && elapsed(first.event, last.event, &whole) && whole > 0)
        rate = static_cast<double>(last.host_ns - first.host_ns) / whole;
    for (int64_t event = 0; event < count; event++) {
        if (times[event] < 0 || !elapsed(from, events[event], &ns)) {
            times[event] = -1;
            continue;
        }
        times[event] =
            not_before(latest, queues[event], first.host_ns + static_cast<int64_t>(rate * (at + ns)));
        if (ns > far_ns) {
            at += ns;
            from = events[event];
        }
    }
    settled = count;
    cudaGetLastError();
}

int64_t reel_cuda_event_ns(int64_t event)
{
    return event >= 0 && event < settled ? times[event] : -1;
}

void reel_cuda_range_push(const char *name)
{
    nvtxRangePushA(name);
}

void reel_cuda_range_pop(void)
{
    nvtxRangePop();
}
