/* The CUDA backend: its table, its memory, its streams, and the waits for them.
 *
 * A wait polls and sleeps in turn, so that the core is free in between. No wait sends the watchdog a
 * heartbeat, so the watchdog notices a device that hangs. When an operation fails on the device after it was
 * issued, the stream fails at the next call that checks, and the cause names that call. */
#include "cuda_backend.h"
#include "trace_cuda.h"

extern "C" {
#include "gemm_workspace.h"
}

#include <stdlib.h>
#include <time.h>

/* Allocations are multiples of BLOCK_BYTES, which the driver places at multiples of its page size. */
constexpr int64_t BLOCK_BYTES = 1 << 21;
constexpr uintptr_t ALIGNMENT = 4096;

/* cudaMemcpy2DAsync takes rows that are at most this many bytes apart, the largest int. */
constexpr int64_t PITCH_MAX = 2147483647;

/* The index where all elements are finite. */
constexpr unsigned long long NONE = ~0ull;

void reel_cuda_check(struct reel_stream *stream, cudaError_t code, const char *operation)
{
    if (code == cudaSuccess)
        return;
    cudaGetLastError(); /* it is reported here: the next call must not report it again */
    reel_stream_fail(stream, REEL_BAD_DEVICE, "%s on the GPU: %s (%s)", operation, cudaGetErrorString(code),
                     cudaGetErrorName(code));
}

static struct reel_cuda_queue *queue_of(const struct reel_stream *stream)
{
    return static_cast<struct reel_cuda_queue *>(stream->queue);
}

cudaStream_t reel_cuda_queue(const struct reel_stream *stream)
{
    return queue_of(stream)->stream;
}

/* Calls ask until it returns something other than "not ready". Sleeps between the calls. */
template <typename Ask> static cudaError_t poll_until_ready(Ask ask)
{
    struct timespec pause = {0, 1000};
    cudaError_t code = ask();
    while (code == cudaErrorNotReady) {
        nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec < 100000 ? pause.tv_nsec * 2 : 200000;
        code = ask();
    }
    return code;
}

/* Waits until the queue is empty. `operation` is named if something in it has failed. */
static void await_queue(struct reel_stream *stream, const char *operation)
{
    cudaStream_t queue = reel_cuda_queue(stream);
    cudaError_t code = poll_until_ready([=] { return cudaStreamQuery(queue); });
    cudaGetLastError(); /* CUDA keeps "not ready" as its last error too */
    reel_cuda_check(stream, code, operation);
}

static void *allocate_memory(int64_t bytes)
{
    void *memory = NULL;
    size_t whole = static_cast<size_t>((bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES);
    reel_cuda_enter();
    if (cudaMalloc(&memory, whole) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    if (reinterpret_cast<uintptr_t>(memory) % ALIGNMENT == 0)
        return memory;
    cudaFree(memory);
    return NULL;
}

static void release_memory(void *memory, int64_t bytes)
{
    (void)bytes;
    reel_cuda_enter();
    if (cudaFree(memory) != cudaSuccess) /* the error of an earlier operation, whose stream reports it */
        cudaGetLastError();
}

static void *allocate_host(int64_t bytes)
{
    void *memory = NULL;
    reel_cuda_enter();
    if (cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocPortable) == cudaSuccess)
        return memory;
    cudaGetLastError();
    return NULL;
}

static void release_host(void *memory, int64_t bytes)
{
    (void)bytes;
    reel_cuda_enter();
    if (cudaFreeHost(memory) != cudaSuccess)
        cudaGetLastError();
}

static void enter_gpu(struct reel_stream *stream)
{
    (void)stream;
    reel_cuda_enter();
}

/* A side stream gets the highest priority and a stream that computes the lowest, so where both are ready the
 * side stream goes first. It needs few of the GPU's processors; without the priority it would wait for the
 * last blocks of all kernels that were launched before. */
static cudaError_t create_queue(cudaStream_t *queue, bool computes)
{
    int least = 0, greatest = 0;
    cudaError_t code = cudaDeviceGetStreamPriorityRange(&least, &greatest);
    if (code != cudaSuccess)
        return code;
    return cudaStreamCreateWithPriority(queue, cudaStreamNonBlocking, computes ? least : greatest);
}

static void open_queue(struct reel_stream *stream, const struct reel_scratch *max)
{
    struct reel_cuda_queue *queue = static_cast<struct reel_cuda_queue *>(calloc(1, sizeof *queue));
    stream->queue = queue;
    if (!queue) {
        reel_stream_fail(stream, REEL_NO_MEMORY, "no memory for a stream of the GPU");
        return;
    }
    cudaError_t code = create_queue(&queue->stream, max != NULL);
    for (cudaEvent_t *event : {&queue->stream_wait, &queue->throttle[0], &queue->throttle[1]})
        if (code == cudaSuccess)
            code = cudaEventCreateWithFlags(event, cudaEventDisableTiming);
    reel_cuda_check(stream, code, "opening a stream");
    if (max && stream->status == REEL_OK)
        reel_gemm_cuda_open(stream, max);
}

static void finish_queue(struct reel_stream *stream)
{
    reel_cuda_enter();
    if (stream->queue && reel_cuda_queue(stream))
        await_queue(stream, "waiting for a stream");
}

static void close_queue(struct reel_stream *stream)
{
    struct reel_cuda_queue *queue = queue_of(stream);
    if (!queue)
        return;
    finish_queue(stream);
    reel_gemm_cuda_close(stream);
    for (cudaEvent_t event : {queue->stream_wait, queue->throttle[0], queue->throttle[1]})
        if (event)
            cudaEventDestroy(event);
    if (queue->stream)
        cudaStreamDestroy(queue->stream);
    cudaGetLastError();
    free(queue);
}

static bool is_open(const struct reel_stream *stream)
{
    return stream->queue && queue_of(stream)->throttle[1]; /* the last one that open_queue creates */
}

static void wait_for_stream(struct reel_stream *later, struct reel_stream *earlier)
{
    reel_cuda_enter();
    if (!is_open(later) || !is_open(earlier))
        return;
    cudaEvent_t event = queue_of(earlier)->stream_wait;
    cudaError_t code = cudaEventRecord(event, reel_cuda_queue(earlier));
    if (code == cudaSuccess)
        code = cudaStreamWaitEvent(reel_cuda_queue(later), event, 0);
    reel_cuda_check(later, code, "ordering two streams");
}

static void throttle_queue(struct reel_stream *stream)
{
    reel_cuda_enter();
    if (!is_open(stream))
        return;
    struct reel_cuda_queue *queue = queue_of(stream);
    cudaEvent_t event = queue->throttle[queue->throttles++ % 2];
    /* An event that was never recorded counts as ended. */
    cudaError_t code = poll_until_ready([=] { return cudaEventQuery(event); });
    cudaGetLastError();
    if (code == cudaSuccess)
        code = cudaEventRecord(event, queue->stream);
    reel_cuda_check(stream, code, "waiting for an earlier iteration");
}

static cudaError_t copy_rows(cudaStream_t queue, const struct reel_copy *a, enum cudaMemcpyKind kind)
{
    size_t row_bytes = static_cast<size_t>(a->row_bytes), rows = static_cast<size_t>(a->rows);
    if (a->rows == 1 || (a->from_stride == a->row_bytes && a->to_stride == a->row_bytes))
        return cudaMemcpyAsync(a->to, a->from, rows * row_bytes, kind, queue);
    if (a->from_stride <= PITCH_MAX && a->to_stride <= PITCH_MAX)
        return cudaMemcpy2DAsync(a->to, static_cast<size_t>(a->to_stride), a->from,
                                 static_cast<size_t>(a->from_stride), row_bytes, rows, kind, queue);
    cudaError_t code = cudaSuccess;
    for (int64_t r = 0; r < a->rows && code == cudaSuccess; r++)
        code =
            cudaMemcpyAsync(static_cast<char *>(a->to) + r * a->to_stride,
                            static_cast<const char *>(a->from) + r * a->from_stride, row_bytes, kind, queue);
    return code;
}

static void copy_memory(struct reel_stream *stream, const struct reel_copy *a)
{
    enum cudaMemcpyKind kind = a->direction == REEL_TO_DEVICE     ? cudaMemcpyHostToDevice
                               : a->direction == REEL_FROM_DEVICE ? cudaMemcpyDeviceToHost
                                                                  : cudaMemcpyDeviceToDevice;
    reel_cuda_check(stream, copy_rows(reel_cuda_queue(stream), a, kind), "copy");
    if (a->direction != REEL_ON_DEVICE) /* even after a failure, CUDA must be done with the host's memory */
        await_queue(stream, "copy");
}

static void clear_memory(struct reel_stream *stream, const struct reel_clear *a)
{
    reel_cuda_check(stream, cudaMemsetAsync(a->to, 0, static_cast<size_t>(a->bytes), reel_cuda_queue(stream)),
                    "clear");
}

static int64_t first_nonfinite(struct reel_stream *stream, const float *x, int64_t count)
{
    unsigned long long first = NONE, *word = static_cast<unsigned long long *>(stream->scratch);
    cudaStream_t queue = reel_cuda_queue(stream);
    reel_cuda_check(stream, cudaMemsetAsync(word, 0xff, sizeof first, queue), "first_nonfinite");
    if (stream->status == REEL_OK)
        reel_nonfinite_cuda(stream, x, count, word);
    reel_cuda_check(stream, cudaMemcpyAsync(&first, word, sizeof first, cudaMemcpyDeviceToHost, queue),
                    "first_nonfinite");
    await_queue(stream, "first_nonfinite");
    return stream->status != REEL_OK || first == NONE ? -1 : static_cast<int64_t>(first);
}

static void *stream_handle(const struct reel_stream *stream)
{
    return stream->queue ? reel_cuda_queue(stream) : NULL;
}

const struct reel_ops reel_ops_cuda = {.name = "cuda",
                                       .arithmetic = NULL,
                                       .widens = NULL,
                                       .is_host = 0,
                                       .allocate = allocate_memory,
                                       .release = release_memory,
                                       .allocate_host = allocate_host,
                                       .release_host = release_host,
                                       .taken_bytes = reel_cuda_taken_bytes,
                                       .enter = enter_gpu,
                                       .leave = NULL,
                                       .scratch_bytes = reel_gemm_workspace_bytes,
                                       .open = open_queue,
                                       .close = close_queue,
                                       .stream_wait = wait_for_stream,
                                       .throttle = throttle_queue,
                                       .finish = finish_queue,
                                       .events_open = reel_cuda_events_open,
                                       .event = reel_cuda_event,
                                       .events_settle = reel_cuda_events_settle,
                                       .event_ns = reel_cuda_event_ns,
                                       .range_push = reel_cuda_range_push,
                                       .range_pop = reel_cuda_range_pop,
                                       .handle = stream_handle,
                                       .gemm = reel_gemm_cuda,
                                       .layer_norm = reel_layer_norm_cuda,
                                       .modulate = reel_modulate_cuda,
                                       .gated_add = reel_gated_add_cuda,
                                       .rms_squares = reel_rms_squares_cuda,
                                       .split_heads = reel_split_heads_cuda,
                                       .merge_heads = reel_merge_heads_cuda,
                                       .attention = reel_attention_cuda,
                                       .patchify = reel_patchify_cuda,
                                       .unpatchify = reel_unpatchify_cuda,
                                       .guide = reel_guide_cuda,
                                       .solve = reel_solve_cuda,
                                       .silu = reel_silu_cuda,
                                       .sum_parts = reel_sum_parts_cuda,
                                       .expand = reel_expand_cuda,
                                       .distances = reel_distances_cuda,
                                       .keep_residual = reel_keep_residual_cuda,
                                       .add_residual = reel_add_residual_cuda,
                                       .add_row = reel_add_row_cuda,
                                       .convert = reel_convert_cuda,
                                       .copy = copy_memory,
                                       .clear = clear_memory,
                                       .blend = reel_blend_cuda,
                                       .first_nonfinite = first_nonfinite};
