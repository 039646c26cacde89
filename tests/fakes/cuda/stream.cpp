/* Streams and events: work is done when something waits for it. */
#include "internal.h"

#include <deque>
#include <memory>
#include <set>
#include <time.h>
#include <vector>

/* A point in a stream. It is past when everything issued before it is done. */
struct moment {
    cudaStream_t queue;
    bool is_past;
    double seconds;
};
typedef std::shared_ptr<struct moment> moment_pointer;

/* Exactly one of the three is set. */
struct task {
    std::function<void()> work;
    moment_pointer marks, waits;
};

struct CUstream_st {
    std::deque<struct task> tasks;
    unsigned flags;
    int priority, device;
    bool is_closed;  /* closed by the caller; there may be work left */
    bool is_running; /* its task waits for another rank */
};

struct CUevent_st {
    unsigned flags;
    moment_pointer last; /* NULL: never recorded */
};

static std::set<cudaStream_t> queues;
static std::set<cudaEvent_t> events;
static struct CUstream_st default_queue;

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void reel_fake_need_stream(const char *call, cudaStream_t queue)
{
    if (queue && (queues.count(queue) == 0 || queue->is_closed))
        reel_fake_fail("%s: %p is not an open stream", call, static_cast<void *>(queue));
}

static void need_event(const char *call, cudaEvent_t event)
{
    if (events.count(event) == 0)
        reel_fake_fail("%s: %p is not an event", call, static_cast<void *>(event));
}

int reel_fake_stream_device(cudaStream_t queue)
{
    int device = 0;
    cudaGetDevice(&device);
    return queue ? queue->device : device;
}

/* Whether the first task waits for a moment that is not past. */
static bool is_blocked(cudaStream_t queue)
{
    return queue->tasks.front().waits && !queue->tasks.front().waits->is_past;
}

/* Does the first task of a stream that is not blocked. */
static void step(cudaStream_t queue)
{
    struct task task = std::move(queue->tasks.front());
    queue->tasks.pop_front();
    if (task.work) {
        queue->is_running = true;
        reel_fake_memory_open();
        task.work();
        reel_fake_memory_close();
        queue->is_running = false;
    }
    if (task.marks) {
        task.marks->seconds = now_seconds();
        task.marks->is_past = true;
    }
}

/* Does one task towards the end of a stream that has work: its own, or one of the stream for which it
 * waits. */
static void step_towards(cudaStream_t queue)
{
    while (is_blocked(queue))
        queue = queue->tasks.front().waits->queue;
    step(queue);
}

/* Does one task of a random stream that is not blocked. */
static void step_anywhere(void)
{
    std::vector<cudaStream_t> ready;
    for (cudaStream_t queue : queues)
        if (!queue->is_running && !queue->tasks.empty() && !is_blocked(queue))
            ready.push_back(queue);
    if (!ready.empty())
        step(ready[reel_fake_draw(ready.size())]);
}

void reel_fake_yield(void)
{
    if (reel_fake_is_drawn())
        step_anywhere();
}

/* Frees the streams that are closed and have nothing left to do. */
static void forget_closed(void)
{
    for (auto at = queues.begin(); at != queues.end();)
        if ((*at)->is_closed && (*at)->tasks.empty()) {
            delete *at;
            at = queues.erase(at);
        } else {
            ++at;
        }
}

static void reach(const moment_pointer &moment)
{
    reel_fake_memory_open();
    while (!moment->is_past)
        if (reel_fake_is_drawn() && reel_fake_draw(2) == 0)
            step_anywhere();
        else
            step_towards(moment->queue);
    reel_fake_memory_close();
    forget_closed();
}

static moment_pointer future(cudaStream_t queue)
{
    moment_pointer end = std::make_shared<struct moment>();
    end->queue = queue;
    return end;
}

/* A moment at the present end of a stream. */
static moment_pointer mark(cudaStream_t queue)
{
    moment_pointer end = future(queue);
    queue->tasks.push_back({nullptr, end, nullptr});
    return end;
}

void reel_fake_drain(cudaStream_t queue)
{
    reach(mark(queue ? queue : &default_queue));
}

void reel_fake_drain_all()
{
    std::vector<moment_pointer> ends;
    for (cudaStream_t queue : queues)
        ends.push_back(mark(queue));
    for (const moment_pointer &end : ends)
        reach(end);
}

/* Work of the default stream is done at once, after that of every stream that is not
 * cudaStreamNonBlocking. */
static void push_default(struct task task)
{
    std::vector<moment_pointer> ends;
    for (cudaStream_t queue : queues)
        if (!(queue->flags & cudaStreamNonBlocking))
            ends.push_back(mark(queue));
    for (const moment_pointer &end : ends)
        reach(end);
    default_queue.tasks.push_back(std::move(task));
    reel_fake_drain(nullptr);
}

static void push(cudaStream_t queue, struct task task)
{
    if (!queue)
        return push_default(std::move(task));
    queue->tasks.push_back(std::move(task));
    if (reel_fake_is_drawn())
        for (uint64_t steps = reel_fake_draw(4); steps > 0; steps--)
            step_anywhere();
}

void reel_fake_push(cudaStream_t queue, std::function<void()> work)
{
    push(queue, {std::move(work), nullptr, nullptr});
}

void reel_fake_enqueue(cudaStream_t queue, void (*work)(void *), void *argument)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("reel_fake_enqueue", queue);
    reel_fake_push(queue, [=] { work(argument); });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t queue, void (*work)(void *), void *argument)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaLaunchHostFunc"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    reel_fake_enqueue(queue, work, argument);
    return cudaSuccess;
}

/* ---- Streams. */
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *queue, unsigned flags, int priority)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaStreamCreate"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!queue || flags > cudaStreamNonBlocking)
        return reel_fake_answer(cudaErrorInvalidValue);
    *queue = new struct CUstream_st();
    (*queue)->flags = flags;
    (*queue)->priority = priority;
    (*queue)->device = reel_fake_stream_device(nullptr);
    queues.insert(*queue);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *queue, unsigned flags)
{
    return cudaStreamCreateWithPriority(queue, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *queue)
{
    return cudaStreamCreateWithPriority(queue, cudaStreamDefault, 0);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    if (least)
        *least = 0;
    if (greatest)
        *greatest = -5;
    return cudaSuccess;
}

/* The work left in the stream is still done, later. */
cudaError_t cudaStreamDestroy(cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    if (!queue)
        return reel_fake_answer(cudaErrorInvalidResourceHandle);
    reel_fake_need_stream("cudaStreamDestroy", queue);
    queue->is_closed = true;
    forget_closed();
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("cudaStreamQuery", queue);
    if (int code = reel_fake_refused("cudaStreamQuery"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!queue || queue->tasks.empty())
        return cudaSuccess;
    step_towards(queue);
    return reel_fake_answer(cudaErrorNotReady);
}

cudaError_t cudaStreamSynchronize(cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("cudaStreamSynchronize", queue);
    if (int code = reel_fake_refused("cudaStreamSynchronize"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (queue)
        reel_fake_drain(queue);
    else
        push_default({nullptr, nullptr, nullptr});
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaDeviceSynchronize"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    reel_fake_drain_all();
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t queue, cudaEvent_t event, unsigned flags)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("cudaStreamWaitEvent", queue);
    need_event("cudaStreamWaitEvent", event);
    if (int code = reel_fake_refused("cudaStreamWaitEvent"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (flags != cudaEventWaitDefault)
        return reel_fake_answer(cudaErrorInvalidValue);
    if (event->last && !event->last->is_past)
        push(queue, {nullptr, nullptr, event->last});
    return cudaSuccess;
}

/* ---- Events. */
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaEventCreate"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!event || flags > (cudaEventBlockingSync | cudaEventDisableTiming))
        return reel_fake_answer(cudaErrorInvalidValue);
    *event = new CUevent_st{flags, nullptr};
    events.insert(*event);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    reel_fake_guard guard(reel_fake_lock());
    if (!event)
        return reel_fake_answer(cudaErrorInvalidResourceHandle);
    need_event("cudaEventDestroy", event);
    events.erase(event);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream("cudaEventRecord", queue);
    need_event("cudaEventRecord", event);
    if (int code = reel_fake_refused("cudaEventRecord"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    event->last = future(queue ? queue : &default_queue);
    push(queue, {nullptr, event->last, nullptr});
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    reel_fake_guard guard(reel_fake_lock());
    need_event("cudaEventQuery", event);
    if (int code = reel_fake_refused("cudaEventQuery"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!event->last || event->last->is_past)
        return cudaSuccess;
    step_towards(event->last->queue);
    return reel_fake_answer(cudaErrorNotReady);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    reel_fake_guard guard(reel_fake_lock());
    need_event("cudaEventSynchronize", event);
    if (int code = reel_fake_refused("cudaEventSynchronize"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (event->last)
        reach(event->last);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    reel_fake_guard guard(reel_fake_lock());
    need_event("cudaEventElapsedTime", from);
    need_event("cudaEventElapsedTime", to);
    if (int code = reel_fake_refused("cudaEventElapsedTime"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!from->last || !to->last || ((from->flags | to->flags) & cudaEventDisableTiming))
        return reel_fake_answer(cudaErrorInvalidResourceHandle);
    if (!from->last->is_past || !to->last->is_past)
        return reel_fake_answer(cudaErrorNotReady);
    *milliseconds = static_cast<float>(1e3 * (to->last->seconds - from->last->seconds));
    return cudaSuccess;
}
