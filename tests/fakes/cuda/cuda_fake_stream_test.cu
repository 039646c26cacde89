/* The streams of the fake: late if nothing waits, in order if events demand it; a missing event shows. */
#include <cuda_runtime.h>

#include "testing.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SEEDS = 40;

__global__ void add(int count, int number, int *x)
{
    int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count)
        x[at] += number;
}

__global__ void double_of(int count, const int *x, int *y)
{
    int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (at < count)
        y[at] = 2 * x[at];
}

/* Two streams, and an event that a test may use to order them. */
struct pair {
    cudaStream_t first, second;
    cudaEvent_t event;
    pair()
    {
        cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
        cudaStreamCreateWithPriority(&second, cudaStreamNonBlocking, -1);
        cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    }
    ~pair()
    {
        cudaStreamDestroy(first);
        cudaStreamDestroy(second);
        cudaEventDestroy(event);
    }
};

/* x = 5 on one stream, y = 2 x on the other. Returns whether y is right when the second stream has ended. */
static int second_sees_the_first(int has_event)
{
    pair streams;
    array<int> x(std::vector<int>(100, 2)), y(100);
    REEL_LAUNCH(add, 1, 128, 0, streams.first, 100, 3, x.at);
    if (has_event) {
        cudaEventRecord(streams.event, streams.first);
        cudaStreamWaitEvent(streams.second, streams.event, 0);
    }
    REEL_LAUNCH(double_of, 1, 128, 0, streams.second, 100, x.at, y.at);
    std::vector<int> got(100);
    cudaMemcpyAsync(got.data(), y.at, 400, cudaMemcpyDeviceToHost, streams.second);
    return got[0] == 10 && got[99] == 10;
}

static void a_missing_event_shows(void)
{
    int right[2] = {0, 0};
    CHECK(second_sees_the_first(1), "with an event");
    CHECK(!second_sees_the_first(0), "without");
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        reel_fake_seed(seed);
        right[0] += second_sees_the_first(0);
        right[1] += second_sees_the_first(1);
    }
    reel_fake_seed(0);
    CHECK(right[0] > 0 && right[0] < static_cast<int>(SEEDS), "without an event, %d of the seeds", right[0]);
    CHECK(right[1] == static_cast<int>(SEEDS), "with an event, %d of the seeds", right[1]);
}

/* A wait is for the latest record of the event at that time, not for a later one. */
static void an_event_stands_for_the_moment_when_it_was_recorded(void)
{
    pair streams;
    array<int> x(std::vector<int>(4, 0)), y(4);
    REEL_LAUNCH(add, 1, 32, 0, streams.first, 4, 1, x.at);
    cudaEventRecord(streams.event, streams.first);
    cudaStreamWaitEvent(streams.second, streams.event, 0);
    REEL_LAUNCH(add, 1, 32, 0, streams.first, 4, 10, x.at);
    cudaEventRecord(streams.event, streams.first);
    REEL_LAUNCH(double_of, 1, 32, 0, streams.second, 4, x.at, y.at);
    cudaStreamSynchronize(streams.second);
    CHECK(cudaEventQuery(streams.event) == cudaErrorNotReady, "the later one is to come");
    CHECK(cudaGetLastError() == cudaErrorNotReady, "which is the last error");
    CHECK(y.read()[0] == 2, "%d", y.read()[0]);
    CHECK(cudaEventSynchronize(streams.event) == cudaSuccess, "waits");
    CHECK(cudaEventQuery(streams.event) == cudaSuccess, "has come");
    int got = 0;
    cudaMemcpyAsync(&got, x.at, 4, cudaMemcpyDeviceToHost, streams.first);
    CHECK(got == 11, "%d", got);
}

static void queries_bring_work_to_its_end(void)
{
    pair streams;
    array<int> x(std::vector<int>(4, 0));
    CHECK(cudaStreamQuery(streams.second) == cudaSuccess, "nothing to do");
    REEL_LAUNCH(add, 1, 32, 0, streams.first, 4, 1, x.at);
    cudaEventRecord(streams.event, streams.first);
    cudaStreamWaitEvent(streams.second, streams.event, 0);
    REEL_LAUNCH(add, 1, 32, 0, streams.second, 4, 1, x.at);
    int queries = 0;
    while (cudaStreamQuery(streams.second) == cudaErrorNotReady && queries < 100)
        queries++;
    CHECK(queries == 4, "%d", queries);
    CHECK(x.read()[0] == 2, "%d", x.read()[0]);
    cudaGetLastError();
}

static void pageable_bytes_are_taken_at_once_and_pinned_ones_later(void)
{
    pair streams;
    array<int> x(1), y(1);
    int pageable = 1, *pinned = nullptr;
    cudaHostAlloc(&pinned, 2 * sizeof(int), cudaHostAllocDefault);
    pinned[0] = 1;
    cudaMemcpyAsync(x.at, &pageable, 4, cudaMemcpyHostToDevice, streams.first);
    cudaMemcpyAsync(y.at, pinned, 4, cudaMemcpyHostToDevice, streams.first);
    pageable = pinned[0] = 2;
    cudaMemcpyAsync(&pinned[1], y.at, 4, cudaMemcpyDeviceToHost, streams.first);
    CHECK(pinned[1] == -1, "%d: not there before somebody waits", pinned[1]);
    cudaStreamSynchronize(streams.first);
    CHECK(pinned[1] == 2, "%d: changed before the copy came to it", pinned[1]);
    CHECK(x.read()[0] == 1, "%d", x.read()[0]);
    cudaFreeHost(pinned);
}

static void rows_are_copied_with_what_lies_between(void)
{
    pair streams;
    std::vector<char> from(30), got(30, '.');
    for (size_t i = 0; i < from.size(); i++)
        from[i] = static_cast<char>('a' + i);
    array<char> device(40);
    cudaMemset2DAsync(device.at, 10, '-', 10, 4, streams.first);
    cudaMemcpy2DAsync(device.at, 10, from.data(), 7, 5, 4, cudaMemcpyHostToDevice, streams.first);
    cudaMemcpy2DAsync(got.data(), 6, device.at + 2, 10, 6, 4, cudaMemcpyDeviceToHost, streams.first);
    std::string text(got.begin(), got.end());
    CHECK(text == "cde---jkl---qrs---xyz---......", "%s", text.c_str());
    CHECK(cudaMemcpy2DAsync(device.at, 4, from.data(), 7, 5, 4, cudaMemcpyHostToDevice, streams.first) ==
              cudaErrorInvalidPitchValue,
          "rows that overlap");
    cudaGetLastError();
}

static void what_is_left_in_a_closed_stream_is_done(void)
{
    array<int> x(std::vector<int>(4, 0));
    cudaStream_t queue;
    cudaStreamCreate(&queue);
    REEL_LAUNCH(add, 1, 32, 0, queue, 4, 1, x.at);
    cudaStreamDestroy(queue);
    cudaDeviceSynchronize();
    CHECK(x.read()[0] == 1, "%d", x.read()[0]);
    check_words(words_before(SIGABRT, [&] { REEL_LAUNCH(add, 1, 32, 0, queue, 4, 1, x.at); }),
                {"add", "is not an open stream"});
}

static void host_work_may_touch_device_memory_in_its_turn(void)
{
    pair streams;
    array<int> x(std::vector<int>(4, 3));
    REEL_LAUNCH(add, 1, 32, 0, streams.first, 4, 4, x.at);
    reel_fake_enqueue(
        streams.first, [](void *at) { *static_cast<int *>(at) *= 10; }, x.at);
    REEL_LAUNCH(add, 1, 32, 0, streams.first, 4, 5, x.at);
    cudaStreamSynchronize(streams.first);
    CHECK(x.read()[0] == 75 && x.read()[1] == 12, "%d, %d", x.read()[0], x.read()[1]);
}

static void time_passes_between_events(void)
{
    pair streams;
    cudaEvent_t from, to;
    float milliseconds = -1;
    cudaEventCreate(&from);
    cudaEventCreate(&to);
    cudaEventRecord(from, streams.first);
    reel_fake_enqueue(
        streams.first, [](void *) { usleep(20000); }, nullptr);
    cudaEventRecord(to, streams.first);
    CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaErrorNotReady, "not yet");
    cudaEventSynchronize(to);
    CHECK(cudaEventElapsedTime(&milliseconds, from, to) == cudaSuccess && milliseconds >= 20.0f, "%g",
          milliseconds);
    CHECK(cudaEventElapsedTime(&milliseconds, from, streams.event) == cudaErrorInvalidResourceHandle,
          "an event without time");
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    cudaGetLastError();
}

static void memory_is_counted_and_ends(void)
{
    size_t before = 0, between = 0, after = 0, total = 0;
    void *memory = nullptr;
    cudaMemGetInfo(&before, &total);
    CHECK(cudaMalloc(&memory, total + 1) == cudaErrorMemoryAllocation, "more than there is");
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation, "the last error");
    cudaMalloc(&memory, 100000);
    cudaMemGetInfo(&between, &total);
    cudaFree(memory);
    cudaMemGetInfo(&after, &total);
    CHECK(before - between >= 100000 && before == after, "%zu %zu %zu", before, between, after);
    reel_fake_refuse("cudaMalloc", 0, cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&memory, 1) == cudaErrorMemoryAllocation, "refused");
    cudaGetLastError();
}

static void devices_are_as_the_environment_says(void)
{
    struct cudaDeviceProp one, other;
    char bus[16];
    int count = 0;
    setenv("REEL_FAKE_GPUS", "2", 1);
    setenv("REEL_FAKE_CAPABILITY", "8.0", 1);
    CHECK(cudaGetDeviceCount(&count) == cudaSuccess && count == 2, "%d", count);
    CHECK(cudaGetDeviceProperties(&one, 0) == cudaSuccess && one.major == 8 && one.minor == 0, "sm_80");
    CHECK(cudaGetDeviceProperties(&other, 1) == cudaSuccess, "two of them");
    CHECK(memcmp(&one.uuid, &other.uuid, sizeof one.uuid) != 0, "each has its own UUID");
    setenv("REEL_FAKE_UUID", "rank 1", 1);
    cudaGetDeviceProperties(&other, 0);
    CHECK(memcmp(&one.uuid, &other.uuid, sizeof one.uuid) != 0, "and so has each word");
    unsetenv("REEL_FAKE_UUID");
    cudaGetDeviceProperties(&other, 0);
    CHECK(memcmp(&one.uuid, &other.uuid, sizeof one.uuid) == 0, "which is the same for the same");
    CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 1) == cudaSuccess && strcmp(bus, "0000:2B:00.0") == 0, "%s",
          bus);
    CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice, "a third");
    setenv("REEL_FAKE_GPUS", "0", 1);
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0, "none");
    unsetenv("REEL_FAKE_GPUS");
    unsetenv("REEL_FAKE_CAPABILITY");
    cudaGetLastError();
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    RUN(a_missing_event_shows);
    RUN(an_event_stands_for_the_moment_when_it_was_recorded);
    RUN(queries_bring_work_to_its_end);
    RUN(pageable_bytes_are_taken_at_once_and_pinned_ones_later);
    RUN(rows_are_copied_with_what_lies_between);
    RUN(what_is_left_in_a_closed_stream_is_done);
    RUN(host_work_may_touch_device_memory_in_its_turn);
    RUN(time_passes_between_events);
    RUN(memory_is_counted_and_ends);
    RUN(devices_are_as_the_environment_says);
    return test_end();
}
