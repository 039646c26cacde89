/* The CUDA backend: its table, its memory, its streams, and what waits for them.
 *
 * Waits ask and sleep in turn, so that a core is free meanwhile; none of them tells the watchdog that work
 * goes on, which so sees a device that hangs. What fails on the device long after it was issued fails the
 * stream at the next thing that asks: the cause names that. */
#include "cuda_backend.h"
#include "trace_cuda.h"

extern "C" {
#include "gemm_workspace.h"
}

#include <stdlib.h>
#include <time.h>

/* Allocations are whole blocks of it, which the driver places at multiples of its pages. */
constexpr int64_t BLOCK_BYTES = 1 << 21;
constexpr uintptr_t ALIGNMENT = 4096;

/* Of memory that lies row by row CUDA copies what has rows as far apart as an int can say. */
constexpr int64_t PITCH_MAX = 2147483647;

constexpr unsigned long long NONE = ~0ull;

void reel_cuda_check(struct reel_stream *stream, cudaError_t code, const char *operation)
{
    if (code == cudaSuccess)
        return;
    cudaGetLastError(); /* was told: the next call shall not find it again */
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

/* Asks until CUDA says something else than "not yet". */
template <typename Ask> static cudaError_t awaited(Ask ask)
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

/* Waits for all of the queue, and for what an operation began in it. */
static void await_queue(struct reel_stream *stream, const char *operation)
{
    cudaStream_t queue = reel_cuda_queue(stream);
    cudaError_t code = awaited([=] { return cudaStreamQuery(queue); });
    cudaGetLastError(); /* "not yet" is kept there as well */
    reel_cuda_check(stream, code, operation);
}

static void *allocate(int64_t bytes)
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

static void release(void *memory, int64_t bytes)
{
    (void)bytes;
    reel_cuda_enter();
    if (cudaFree(memory) != cudaSuccess) /* the error of an operation, which its stream tells */
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

static void enter(struct reel_stream *stream)
{
    (void)stream;
    reel_cuda_enter();
}

/* What runs beside the computing goes first where both are ready: it needs few of the GPU's processors, and would else
 * wait for the last blocks of all that was started before it. */
static cudaError_t create_queue(cudaStream_t *queue, bool computes)
{
    int min = 0, greatest = 0;
    cudaError_t code = cudaDeviceGetStreamPriorityRange(&min, &greatest);
    if (code != cudaSuccess)
        return code;
    return cudaStreamCreateWithPriority(queue, cudaStreamNonBlocking, computes ? min : greatest);
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

static void finish(struct reel_stream *stream)
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
    finish(stream);
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
    return stream->queue && queue_of(stream)->throttle[1]; /* the last that is made */
}

static void stream_wait(struct reel_stream *later, struct reel_stream *earlier)
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

static void throttle(struct reel_stream *stream)
{
    reel_cuda_enter();
    if (!is_open(stream))
        return;
    struct reel_cuda_queue *queue = queue_of(stream);
    cudaEvent_t event = queue->throttle[queue->paces++ % 2];
    cudaError_t code = awaited([=] { return cudaEventQuery(event); }); /* never recorded, it has ended */
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

static void copy(struct reel_stream *stream, const struct reel_copy *a)
{
    enum cudaMemcpyKind kind = a->direction == REEL_TO_DEVICE     ? cudaMemcpyHostToDevice
                               : a->direction == REEL_FROM_DEVICE ? cudaMemcpyDeviceToHost
                                                                  : cudaMemcpyDeviceToDevice;
    reel_cuda_check(stream, copy_rows(reel_cuda_queue(stream), a, kind), "copy");
    if (a->direction != REEL_ON_DEVICE) /* failed or not, CUDA shall be done with the host's memory */
        await_queue(stream, "copy");
}

static void clear(struct reel_stream *stream, const struct reel_clear *a)
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

static void *handle(const struct reel_stream *stream)
{
    return stream->queue ? reel_cuda_queue(stream) : NULL;
}

const struct reel_ops reel_ops_cuda = {.name = "cuda",
                                       .arithmetic = NULL,
                                       .widens = NULL,
                                       .is_host = 0,
                                       .allocate = allocate,
                                       .release = release,
                                       .allocate_host = allocate_host,
                                       .release_host = release_host,
                                       .taken_bytes = reel_cuda_taken_bytes,
                                       .enter = enter,
                                       .leave = NULL,
                                       .scratch_bytes = reel_gemm_workspace_bytes,
                                       .open = open_queue,
                                       .close = close_queue,
                                       .stream_wait = stream_wait,
                                       .throttle = throttle,
                                       .finish = finish,
                                       .events_open = reel_cuda_events_open,
                                       .event = reel_cuda_event,
                                       .events_settle = reel_cuda_events_settle,
                                       .event_ns = reel_cuda_event_ns,
                                       .range_push = reel_cuda_range_push,
                                       .range_pop = reel_cuda_range_pop,
                                       .handle = handle,
                                       .gemm = reel_gemm_cuda,
                                       .layer_norm = reel_layer_norm_cuda,
                                       .modulate = reel_modulate_cuda,
                                       .gated_add = reel_gated_add_cuda,
                                       .squares = reel_squares_cuda,
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
                                       .copy = copy,
                                       .clear = clear,
                                       .blend = reel_blend_cuda,
                                       .first_nonfinite = first_nonfinite};
