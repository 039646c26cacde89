/* What the shadow backend checks, and how others declare what they do to its memory.
 *
 * The shadow computes on the host and at once, and keeps besides, with vector clocks, what an asynchronous
 * device would have been told about the order of its streams: a read or a write that is not ordered after
 * what it depends on is an abort with a message, on every run and not only on an unlucky one. Who moves
 * data between arrays of the shadow by other means than its operations, in the order of a stream, says so:
 *
 *     struct reel_shadow_range sends = {.name = "send", .at = send, .row_bytes = bytes};
 *     struct reel_shadow_range receives = {.name = "receive", .at = receive, .row_bytes = bytes};
 *     reel_shadow_touch(stream, "swap", &sends, 1, &receives, 1);
 *     reel_shadow_open_memory();
 *     ...MPI_Sendrecv(send, .., receive, ..)...
 *     reel_shadow_close_memory();
 *
 * What is found, with the operation, the stream, the array and the byte of its region:
 *     a read of bytes that nobody has written;
 *     a read of bytes whose write may still be under way;
 *     a write over bytes that may still be read or written, by others or by the same operation (outputs do
 *     not overlap inputs, unless ops.h says so);
 *     an array that is no device memory, goes beyond its region, or is the device's in the host's place;
 *     a stream that was not opened, and an operation on a stream beside another that needs scratch memory.
 *
 * Order comes from the stream itself, from reel_stream_wait, and from what the host has waited for before it
 * issued. What the host knows is kept per thread: a copy from the device, first_nonfinite and reel_throttle
 * teach the thread that called them; reel_finish and reel_stream_close are meant for others too, and teach
 * every thread, which is lenient only where a thread goes on before it was told of another's finish. A
 * thread that uses a stream which another has used learns what that one knew then: streams go from hand to
 * hand under a lock of their users'.
 *
 * After a stream has failed, until it is closed, its operations do nothing, and order and content are not
 * checked. */
#ifndef REEL_SHADOW_H
#define REEL_SHADOW_H

#include "ops.h"

#include <stdint.h>

/* Rows of bytes of an array. */
struct reel_shadow_range {
    const char *name; /* for messages; lives as long as the process */
    const void *at;
    int64_t rows; /* 0 is 1 */
    int64_t row_bytes;
    int64_t stride_bytes; /* from one row to the next, at least row_bytes; unused with one row */
};

/* Checks an operation of that name on the stream, which reads and writes that, and takes note of it. A range
 * of no bytes is allowed. Who has nothing but the handle of a stream makes one of it: {.ops =
 * &reel_ops_shadow, .queue = handle}. */
void reel_shadow_touch(struct reel_stream *stream, const char *what, const struct reel_shadow_range *reads,
                       int64_t nreads, const struct reel_shadow_range *writes, int64_t nwrites);

/* Between the two the calling thread reads and writes device memory; they nest. */
void reel_shadow_open_memory(void);
void reel_shadow_close_memory(void);

#endif
