/* A backend that computes like the CPU's, on memory that can be accessed only while an operation runs. While
 * one runs, an undeclared access by another thread, such as an async transfer's, is not seen. Order and
 * content are checked as shadow.h says. */
#include "shadow_state.h"

#include "cpu.h"

/* Every operation is checked and then computed at once. */
#define OPERATION(name)                                                                                      \
    static void name(struct reel_stream *stream, const struct reel_##name *a)                                \
    {                                                                                                        \
        struct reel_shadow_step step = reel_shadow_begin(stream, #name);                                     \
        reel_shadow_##name(&step, a);                                                                        \
        reel_shadow_end(&step);                                                                              \
        reel_##name##_cpu(stream, a);                                                                        \
    }
REEL_SHADOW_OPERATIONS(OPERATION)

static int64_t first_nonfinite(struct reel_stream *stream, const float *x, int64_t count)
{
    struct reel_shadow_step step = reel_shadow_begin(stream, "first_nonfinite");
    reel_shadow_read(
        &step, (struct reel_shadow_range){.name = "x", .at = x, .row_bytes = count * (int64_t)sizeof *x});
    reel_shadow_wait(&step);
    reel_shadow_end(&step);
    return reel_first_nonfinite_cpu(stream, x, count);
}

void reel_shadow_touch(struct reel_stream *stream, const char *what, const struct reel_shadow_range *reads,
                       int64_t nreads, const struct reel_shadow_range *writes, int64_t nwrites)
{
    struct reel_shadow_step step = reel_shadow_begin(stream, what);
    for (int64_t r = 0; r < nreads; r++)
        reel_shadow_read(&step, reads[r]);
    for (int64_t w = 0; w < nwrites; w++)
        reel_shadow_write(&step, writes[w]);
    reel_shadow_end(&step);
}

static void enter_shadow(struct reel_stream *stream)
{
    (void)stream;
    reel_shadow_open_memory();
}

static void leave_shadow(struct reel_stream *stream)
{
    (void)stream;
    reel_shadow_close_memory();
}

static void open_stream(struct reel_stream *stream, const struct reel_scratch *max)
{
    reel_shadow_open(stream, max);
    reel_open_cpu(stream, max);
}

static void *handle(const struct reel_stream *stream)
{
    return stream->queue;
}

#define ENTRY(name) .name = name,

const struct reel_ops reel_ops_shadow = {REEL_SHADOW_OPERATIONS(ENTRY).name = "shadow",
                                         .allocate = reel_shadow_allocate,
                                         .release = reel_shadow_release,
                                         .enter = enter_shadow,
                                         .leave = leave_shadow,
                                         .scratch_bytes = reel_scratch_bytes_cpu,
                                         .open = open_stream,
                                         .close = reel_shadow_close,
                                         .stream_wait = reel_shadow_stream_wait,
                                         .throttle = reel_shadow_throttle,
                                         .finish = reel_shadow_finish,
                                         .handle = handle,
                                         .first_nonfinite = first_nonfinite};
