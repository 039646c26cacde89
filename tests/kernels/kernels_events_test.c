/* Events of the CUDA backend on the host's clock: trace_cuda.cu on a simulated device, whose clock and
 * failures the test determines. */
#include "ops.h"
#include "test.h"
#include "trace.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdlib.h>

enum { POOL = 1 << 17, SPARE = 16 };

int reel_cuda_events_open(struct reel_stream *stream);
int64_t reel_cuda_event(struct reel_stream *stream);
void reel_cuda_events_settle(struct reel_stream *stream);
int64_t reel_cuda_event_ns(int64_t event);

struct CUevent_st {
    double device_ns;
};

static struct CUevent_st events[POOL + SPARE];
static int64_t event_count, refused_creation = -1, refused_record = -1, records;
static int64_t now_ns; /* the host's clock; reading it takes a microsecond */

/* The device's clock began at another time, and runs 50 millionths too fast. */
static double device_ns(int64_t host_ns)
{
    return 7e12 + 1.00005 * (double)host_ns;
}

int64_t reel_trace_now(void)
{
    return now_ns += 1000;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    if (event_count == refused_creation)
        return cudaErrorMemoryAllocation;
    *event = &events[event_count++];
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t queue)
{
    (void)queue;
    if (records++ == refused_record)
        return cudaErrorUnknown;
    event->device_ns = device_ns(now_ns);
    return cudaSuccess;
}

/* Takes between 2 and 60 microseconds. */
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    static int64_t turn;
    (void)event;
    now_ns += 2000 + turn++ * 7919 % 58000;
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    *milliseconds = (float)(1e-6 * (to->device_ns - from->device_ns));
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

static int queues[2];
static struct reel_stream one = {.queue = &queues[0]}, two = {.queue = &queues[1]};

static void what_cannot_be_opened_marks_nothing(void)
{
    struct reel_stream closed = {.queue = NULL};
    CHECK(reel_cuda_event(&one) == -1, "a mark before any were opened");
    CHECK(!reel_cuda_events_open(&closed), "opened on a stream that is not open");
    refused_creation = 1000;
    CHECK(!reel_cuda_events_open(&one) && reel_cuda_event(&one) == -1, "opened without events");
    reel_cuda_events_settle(&one);
    refused_creation = -1;
    CHECK(reel_cuda_events_open(&one) && reel_cuda_event(&closed) == -1 && reel_cuda_event(&one) == 0,
          "not opened with events, or another first mark");
}

/* Pairs of events two microseconds apart, a pair every three milliseconds, on two queues, for a hundred
 * seconds. */
static void marks_are_on_the_hosts_clock(void)
{
    enum { PAIRS = 33000 };
    static int64_t truth[2 * PAIRS];
    int64_t coarse = 0, late = 0, apart = 0, back = 0, mixed = 0;
    CHECK(reel_cuda_events_open(&one), "not opened");
    int64_t began = now_ns;
    for (int64_t i = 0; i < PAIRS; i++) {
        now_ns += 3000000;
        for (int64_t k = 0; k < 2; k++, now_ns += 2000) {
            truth[2 * i + k] = now_ns;
            mixed += reel_cuda_event(i % 2 ? &one : &two) != 2 * i + k;
        }
    }
    CHECK(mixed == 0, "%lld marks are not in the order of the calls", (long long)mixed);
    reel_cuda_events_settle(&one);
    for (int64_t i = 0; i < PAIRS; i++) {
        int64_t first = reel_cuda_event_ns(2 * i), second = reel_cuda_event_ns(2 * i + 1);
        late += llabs(first - truth[2 * i]) > 5000;
        apart += llabs(second - first - 2000) > 100;
        back += i > 1 && first < reel_cuda_event_ns(2 * i - 3);
        /* a single float since the beginning could not tell the pairs apart so well */
        float a = (float)(1e-6 * (double)(truth[2 * i] - began)),
              b = (float)(1e-6 * (double)(truth[2 * i + 1] - began));
        coarse += fabs(1e6 * (double)(b - a) - 2000) > 100;
    }
    CHECK(late == 0, "%lld pairs are more than 5 us from where they were", (long long)late);
    CHECK(apart == 0, "%lld pairs are not two microseconds apart", (long long)apart);
    CHECK(back == 0, "%lld pairs are before what was before them", (long long)back);
    CHECK(coarse > PAIRS / 2, "%lld pairs would be coarse by one float", (long long)coarse);
}

static void a_mark_that_cuda_refuses_is_not_known(void)
{
    CHECK(reel_cuda_events_open(&one), "not opened");
    for (int64_t i = 0; i < 5; i++) {
        refused_record = i == 2 ? records : -1;
        now_ns += 1000000;
        CHECK(reel_cuda_event(&one) == i, "mark %lld", (long long)i);
    }
    refused_record = -1;
    CHECK(reel_cuda_event_ns(1) == -1, "known before they were settled");
    reel_cuda_events_settle(&one);
    CHECK(reel_cuda_event_ns(2) == -1 && reel_cuda_event_ns(5) == -1 && reel_cuda_event_ns(-1) == -1,
          "a time of nothing");
    CHECK(llabs(reel_cuda_event_ns(3) - reel_cuda_event_ns(1) - 2000000) < 1000, "%lld ns from 1 to 3",
          (long long)(reel_cuda_event_ns(3) - reel_cuda_event_ns(1)));
}

static void the_pool_has_an_end(void)
{
    CHECK(reel_cuda_events_open(&one), "not opened");
    for (int64_t i = 0; i < POOL; i++)
        if (reel_cuda_event(&one) != i) {
            CHECK(0, "mark %lld", (long long)i);
            return;
        }
    CHECK(reel_cuda_event(&one) == -1 && reel_cuda_event(&two) == -1, "more marks than events");
    CHECK(event_count == POOL + 3, "%lld events were made", (long long)event_count);
}

int main(void)
{
    RUN(what_cannot_be_opened_marks_nothing);
    RUN(marks_are_on_the_hosts_clock);
    RUN(a_mark_that_cuda_refuses_is_not_known);
    RUN(the_pool_has_an_end);
    return test_end();
}
