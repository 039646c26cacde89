/* The public functions of every operation: they keep the sticky status, return for empty shards, and check
 * the arguments, so that no backend repeats this. */
#include "ops.h"

#include "fault.h"
#include "host_memory.h"
#include "heartbeat.h"
#include "span.h"

#include <stdarg.h>
#include <stdio.h>

/* The name and the value of one size among the arguments `a`, which a profile shows with the operation:
 * SIZE(rows) is {"rows", a.rows}. */
#define SIZE(field)                                                                                          \
    {                                                                                                        \
#field, (int64_t)a.field                                                                             \
    }

/* Runs the backend's operation on the arguments `a`, between the backend's enter and leave, in a span that
 * shows the given sizes. */
#define RUN(stream, operation, ...)                                                                          \
    do {                                                                                                     \
        const struct reel_trace_what what = {                                                                \
            .kind = REEL_TRACE_OPERATION, .name = #operation, .numbers = {__VA_ARGS__}};                     \
        enter_backend(stream);                                                                               \
        struct reel_span span = reel_span_begin(stream, &what);                                              \
        (stream)->ops->operation(stream, &a);                                                                \
        reel_span_end(stream, span);                                                                         \
        leave_backend(stream);                                                                               \
    } while (0)

static void enter_backend(struct reel_stream *stream)
{
    if (stream->ops->enter)
        stream->ops->enter(stream);
}

static void leave_backend(struct reel_stream *stream)
{
    if (stream->ops->leave)
        stream->ops->leave(stream);
}

void *reel_allocate_host(const struct reel_ops *ops, int64_t bytes)
{
    return ops->allocate_host ? ops->allocate_host(bytes) : reel_host_allocate(bytes);
}

void reel_release_host(const struct reel_ops *ops, void *memory, int64_t bytes)
{
    if (ops->release_host)
        ops->release_host(memory, bytes);
    else
        reel_host_release(memory, bytes);
}

int64_t reel_scratch_bytes(const struct reel_ops *ops, const struct reel_scratch *max)
{
    return ops->scratch_bytes(max);
}

void reel_stream_open(struct reel_stream *stream, const struct reel_ops *ops, const struct reel_scratch *max,
                      void *scratch)
{
    *stream = (struct reel_stream){.ops = ops, .scratch = scratch, .threads = max->threads};
    enter_backend(stream);
    ops->open(stream, max);
    leave_backend(stream);
}

void reel_stream_open_side(struct reel_stream *stream, const struct reel_ops *ops)
{
    *stream = (struct reel_stream){.ops = ops, .threads = 1};
    enter_backend(stream);
    ops->open(stream, NULL);
    leave_backend(stream);
}

void reel_stream_close(struct reel_stream *stream)
{
    if (stream->ops && stream->ops->close)
        stream->ops->close(stream);
    *stream = (struct reel_stream){.ops = NULL};
}

void reel_stream_wait(struct reel_stream *later, struct reel_stream *earlier)
{
    if (later->ops->stream_wait && later != earlier)
        later->ops->stream_wait(later, earlier);
}

/* Makes the host wait for the stream, where the backend has something to wait for. */
static void wait_by(struct reel_stream *stream, void (*wait)(struct reel_stream *), const char *name)
{
    if (wait) {
        int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = name});
        wait(stream);
        reel_trace_end(span);
    }
    reel_heartbeat();
}

void reel_throttle(struct reel_stream *stream)
{
    wait_by(stream, stream->ops->throttle, "pace");
}

void reel_finish(struct reel_stream *stream)
{
    wait_by(stream, stream->ops->finish, "finish");
}

void *reel_stream_handle(const struct reel_stream *stream)
{
    return stream->ops->handle ? stream->ops->handle(stream) : NULL;
}

void reel_stream_fail(struct reel_stream *stream, enum reel_status status, const char *format, ...)
{
    if (stream->status != REEL_OK)
        return;
    char cause[REEL_CAUSE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cause, sizeof cause, format, arguments);
    va_end(arguments);
    stream->status = reel_fail(status, "%s", cause);
}

/* Whether the operation goes to the backend: the stream has not failed, there is work, and the arguments
 * hold. */
static int admitted(struct reel_stream *stream, const char *operation, int64_t work, int arguments_hold)
{
    reel_heartbeat();
    if (stream->status != REEL_OK || work == 0)
        return 0;
    if (work < 0 || !arguments_hold) {
        reel_stream_fail(stream, REEL_INTERNAL, "%s was called with arguments that do not fit each other",
                         operation);
        return 0;
    }
    return 1;
}

/* Whether operations compute with that dtype; only weights may have a narrower one. */
static int is_wide(enum reel_dtype dtype)
{
    return dtype == REEL_F32 || dtype == REEL_BF16;
}

void reel_gemm(struct reel_stream *stream, struct reel_gemm a)
{
    if (reel_fault(REEL_FAULT_GEMM))
        reel_stream_fail(stream, REEL_BAD_DEVICE, "planted: a GEMM failed");
    int holds = a.in > 0 && a.out > 0 && a.x && a.weight && a.y && is_wide(a.dtype) && is_wide(a.y_dtype) &&
                (a.weight_dtype == a.dtype || a.weight_dtype == REEL_F8_E4M3);
    if (admitted(stream, "gemm", a.rows, holds))
        RUN(stream, gemm, SIZE(rows), SIZE(in), SIZE(out));
}

void reel_layer_norm(struct reel_stream *stream, struct reel_layer_norm a)
{
    int holds = a.width > 0 && a.x && a.y && a.weight && a.bias && is_wide(a.x_dtype) && is_wide(a.dtype) &&
                (a.x != a.y || a.x_dtype == a.dtype);
    if (admitted(stream, "layer_norm", a.rows, holds))
        RUN(stream, layer_norm, SIZE(rows), SIZE(width));
}

void reel_modulate(struct reel_stream *stream, struct reel_modulate a)
{
    int holds = a.width > 0 && a.x && a.y && a.shift && a.scale && a.embedding.table && is_wide(a.dtype) &&
                (a.x != a.y || a.dtype == REEL_F32) && a.shift_at + a.width <= a.embedding.stride &&
                a.scale_at + a.width <= a.embedding.stride;
    if (admitted(stream, "modulate", a.rows, holds))
        RUN(stream, modulate, SIZE(rows), SIZE(width));
}

void reel_gated_add(struct reel_stream *stream, struct reel_gated_add a)
{
    int holds = a.width > 0 && a.x && a.y && is_wide(a.dtype) &&
                (!a.gate || (a.embedding.table && a.gate_at + a.width <= a.embedding.stride));
    if (admitted(stream, "gated_add", a.rows, holds))
        RUN(stream, gated_add, SIZE(rows), SIZE(width));
}

void reel_rms_squares(struct reel_stream *stream, struct reel_rms_squares a)
{
    if (admitted(stream, "rms_squares", a.rows, a.width > 0 && a.x && a.sums && is_wide(a.dtype)))
        RUN(stream, rms_squares, SIZE(rows), SIZE(width));
}

void reel_split_heads(struct reel_stream *stream, struct reel_split_heads a)
{
    int holds = (!a.squares || (a.square_parts > 0 && a.norm_width > 0)) && (a.parts == 1 || a.x != a.y) &&
                is_wide(a.dtype) && a.heads > 0 && a.channels > 0 && a.channels % 2 == 0 && a.x && a.y &&
                a.parts > 0 && a.first_head[a.parts] == a.heads &&
                (!a.rope || a.rope->frame_pairs + a.rope->row_pairs + a.rope->column_pairs == a.channels / 2);
    if (admitted(stream, "split_heads", a.rows, holds))
        RUN(stream, split_heads, SIZE(rows), SIZE(heads), SIZE(channels), SIZE(parts));
}

void reel_merge_heads(struct reel_stream *stream, struct reel_merge_heads a)
{
    int holds = a.heads > 0 && a.channels > 0 && a.x && a.y && a.parts > 0 &&
                a.first_head[a.parts] == a.heads && is_wide(a.dtype);
    if (admitted(stream, "merge_heads", a.rows, holds))
        RUN(stream, merge_heads, SIZE(rows), SIZE(heads), SIZE(channels), SIZE(parts));
}

void reel_attention(struct reel_stream *stream, struct reel_attention a)
{
    int64_t width = a.heads * a.channels;
    int holds = a.keys > 0 && width > 0 && a.q && a.k && a.v && a.out && a.q_stride >= width &&
                a.kv_stride >= width && a.out_stride >= width && (!a.merge || (a.lse && !a.add)) &&
                is_wide(a.dtype);
    if (reel_fault(REEL_FAULT_ATTENTION))
        reel_stream_fail(stream, REEL_BAD_DEVICE, "planted: an attention failed");
    if (admitted(stream, "attention", a.queries, holds))
        RUN(stream, attention, SIZE(queries), SIZE(keys), SIZE(heads), SIZE(channels));
}

void reel_patchify(struct reel_stream *stream, struct reel_patchify a)
{
    int holds = a.first_token >= 0 && a.first_token + a.tokens <= a.F * a.H * a.W && a.channels > 0 &&
                a.patch > 0 && a.latents && a.columns && is_wide(a.dtype);
    if (admitted(stream, "patchify", a.tokens, holds))
        RUN(stream, patchify, SIZE(tokens), SIZE(channels));
}

void reel_unpatchify(struct reel_stream *stream, struct reel_unpatchify a)
{
    int holds = a.channels > 0 && a.patch > 0 && a.tokens && a.velocity;
    if (admitted(stream, "unpatchify", a.F * a.H * a.W, holds))
        RUN(stream, unpatchify, SIZE(F), SIZE(H), SIZE(W), SIZE(channels));
}

void reel_guide(struct reel_stream *stream, struct reel_guide a)
{
    if (admitted(stream, "guide", a.count, a.conditional && a.unconditional && a.out))
        RUN(stream, guide, SIZE(count));
}

void reel_solve(struct reel_stream *stream, struct reel_solve a)
{
    int holds = a.frame >= 0 && a.frame < a.frames && a.v_frame >= 0 && a.v_frame < a.v_frames &&
                a.plane > 0 && a.v && a.x && a.m0 && a.m1 && a.last;
    if (admitted(stream, "solve", a.channels, holds))
        RUN(stream, solve, SIZE(channels), SIZE(plane));
}

void reel_silu(struct reel_stream *stream, struct reel_silu a)
{
    if (admitted(stream, "silu", a.count, a.x && a.y))
        RUN(stream, silu, SIZE(count));
}

void reel_sum_parts(struct reel_stream *stream, struct reel_sum_parts a)
{
    if (admitted(stream, "sum_parts", a.rows,
                 a.width > 0 && a.parts > 0 && a.x && a.row && a.y && is_wide(a.dtype)))
        RUN(stream, sum_parts, SIZE(rows), SIZE(width), SIZE(parts));
}

void reel_expand(struct reel_stream *stream, struct reel_expand a)
{
    if (admitted(stream, "expand", a.rows,
                 a.width > 0 && a.width <= a.embedding.stride && a.embedding.table && a.y))
        RUN(stream, expand, SIZE(rows), SIZE(width));
}

void reel_distances(struct reel_stream *stream, struct reel_distances a)
{
    int holds = a.width > 0 && a.x && a.previous && a.difference && a.magnitude && a.stride > 0;
    if (admitted(stream, "distances", a.rows, holds))
        RUN(stream, distances, SIZE(rows), SIZE(width));
}

void reel_keep_residual(struct reel_stream *stream, struct reel_keep_residual a)
{
    if (admitted(stream, "keep_residual", a.count, is_wide(a.dtype) && a.after && a.before && a.residual))
        RUN(stream, keep_residual, SIZE(count), {"number_bytes", reel_dtype_bytes(a.dtype)});
}

void reel_add_residual(struct reel_stream *stream, struct reel_add_residual a)
{
    if (admitted(stream, "add_residual", a.count, is_wide(a.dtype) && a.x && a.residual))
        RUN(stream, add_residual, SIZE(count), {"number_bytes", reel_dtype_bytes(a.dtype)});
}

void reel_add_row(struct reel_stream *stream, struct reel_add_row a)
{
    if (admitted(stream, "add_row", a.rows, a.width > 0 && a.row && a.y && is_wide(a.dtype)))
        RUN(stream, add_row, SIZE(rows), SIZE(width));
}

void reel_convert(struct reel_stream *stream, struct reel_convert a)
{
    if (admitted(stream, "convert", a.count, is_wide(a.dtype) && a.x && a.y))
        RUN(stream, convert, SIZE(count));
}

void reel_copy(struct reel_stream *stream, struct reel_copy a)
{
    if (reel_fault(REEL_FAULT_COPY))
        reel_stream_fail(stream, REEL_BAD_DEVICE, "planted: a copy failed");
    int holds = a.row_bytes > 0 && a.from && a.to &&
                (a.rows == 1 || (a.from_stride >= a.row_bytes && a.to_stride >= a.row_bytes));
    if (admitted(stream, "copy", a.row_bytes == 0 ? 0 : a.rows, holds))
        RUN(stream, copy, SIZE(direction), SIZE(rows), SIZE(row_bytes));
}

void reel_clear(struct reel_stream *stream, struct reel_clear a)
{
    if (admitted(stream, "clear", a.bytes, a.to != 0))
        RUN(stream, clear, SIZE(bytes));
}

void reel_blend(struct reel_stream *stream, struct reel_blend a)
{
    if (admitted(stream, "blend", a.rows, a.width > 0 && a.x && a.z && a.x_stride >= a.width))
        RUN(stream, blend, SIZE(rows), SIZE(width));
}

void reel_upload(struct reel_stream *stream, void *device, const void *host, int64_t bytes)
{
    reel_copy(stream,
              (struct reel_copy){
                  .direction = REEL_TO_DEVICE, .rows = 1, .row_bytes = bytes, .from = host, .to = device});
}

void reel_download(struct reel_stream *stream, void *host, const void *device, int64_t bytes)
{
    reel_copy(stream,
              (struct reel_copy){
                  .direction = REEL_FROM_DEVICE, .rows = 1, .row_bytes = bytes, .from = device, .to = host});
}

int64_t reel_first_nonfinite(struct reel_stream *stream, const float *x, int64_t count)
{
    if (!admitted(stream, "first_nonfinite", count, x != 0))
        return -1;
    enter_backend(stream);
    struct reel_span span = reel_span_begin(stream, &(struct reel_trace_what){.kind = REEL_TRACE_OPERATION,
                                                                              .name = "first_nonfinite",
                                                                              .numbers = {{"count", count}}});
    int64_t first = stream->ops->first_nonfinite(stream, x, count);
    reel_span_end(stream, span);
    leave_backend(stream);
    return first;
}
