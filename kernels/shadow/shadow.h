/* What the shadow backend checks, and how other code declares what it does to the shadow's memory.
 *
 * The shadow computes on the host, and each operation ends before its call returns. With vector clocks it
 * also tracks what an asynchronous device would know about the order of its streams. A read or write that is
 * not ordered after what it depends on aborts with a message, on every run and not only on an unlucky one.
 * Code that moves data between the shadow's arrays in the order of a stream, but not by the shadow's
 * operations, declares it:
 *
 *     struct reel_shadow_range sends = {.name = "send", .at = send, .row_bytes = bytes};
 *     struct reel_shadow_range receives = {.name = "receive", .at = receive, .row_bytes = bytes};
 *     reel_shadow_touch(stream, "sendrecv", &sends, 1, &receives, 1);
 *     reel_shadow_open_memory();
 *     ...MPI_Sendrecv(send, .., receive, ..)...
 *     reel_shadow_close_memory();
 *
 * The shadow finds these errors, and names the operation, the stream, the array and the byte of its region:
 *     a read of bytes that nobody has written;
 *     a read of bytes that another operation may still be writing;
 *     a write of bytes that another operation may still be reading or writing;
 *     a byte that one operation uses as part of two arrays and writes, unless ops.h allows this;
 *     an array that is not device memory, or goes beyond its region;
 *     device memory where host memory is expected;
 *     a stream that is not open, and an operation on a side stream that needs scratch memory.
 *
 * Order comes from the stream itself, from reel_stream_wait, and from what the host had waited for when it
 * issued the operation. Each host thread has its own knowledge of what has ended. A copy from the device,
 * first_nonfinite and reel_throttle update the knowledge of the calling thread. reel_finish and
 * reel_stream_close update that of every thread, because one thread may finish a stream for the others.
 * Therefore the shadow misses one kind of error: another thread has finished the stream, and this thread uses
 * the results without having learned that, by a lock or a message. A thread that uses a stream also learns
 * what the previous user of the stream knew: threads pass a stream to each other under a lock of their own.
 *
 * After a stream has failed, and until it is closed, no stream's order and content are checked; the failed
 * stream's operations do nothing. */
#ifndef REEL_SHADOW_H
#define REEL_SHADOW_H

#include "ops.h"

#include <stdint.h>

/* Rows of bytes of an array. */
struct reel_shadow_range {
    const char *name; /* for messages; must live as long as the process */
    const void *at;
    int64_t rows; /* 0 means 1 */
    int64_t row_bytes;
    int64_t stride_bytes; /* from one row to the next, at least row_bytes; unused with one row */
};

/* Checks and records an operation `what` on the stream, which reads and writes these ranges. A range of 0
 * bytes is allowed. A caller that has only the handle of a stream passes a stream of
 * {.ops = &reel_ops_shadow, .queue = handle}. */
void reel_shadow_touch(struct reel_stream *stream, const char *what, const struct reel_shadow_range *reads,
                       int64_t nreads, const struct reel_shadow_range *writes, int64_t nwrites);

/* Between open and close, the calling thread may read and write device memory. The pairs may nest. */
void reel_shadow_open_memory(void);
void reel_shadow_close_memory(void);

#endif
