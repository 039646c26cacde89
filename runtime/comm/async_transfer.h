/* Data that moves while others compute.
 *
 * A mover runs one job at a time beside the caller's own work, in the order of a stream of its own. MPI libraries move
 * large messages only while somebody is inside them: there a thread is that somebody. Where exchanges are issued to a
 * device's stream and take place there (NCCL), the job is run at once, and what it has issued moves beside. Jobs of
 * different ranks meet, so every rank must begin them in the same order; what a job reads and writes is the mover's between
 * begin and end.
 *
 *     reel_async_transfer_begin(&mover, stream, gather_block, &next);   returns at once
 *     ...compute with the block that is here...
 *     status = reel_async_transfer_end(&mover, stream);                 what is issued to stream from now on finds what has moved
 *
 * Where MPI was not started for several threads, or no thread can be had, a job runs inside end: slower, but the same.
 * Not collective. */
#ifndef REEL_ASYNC_TRANSFER_H
#define REEL_ASYNC_TRANSFER_H

#include "ops.h"
#include "status.h"

#include <pthread.h>

/* What a mover runs, in the order of `aside`. */
typedef enum reel_status reel_async_work(void *job, struct reel_stream *side);

struct reel_async_transfer {
    const char *name;
    reel_async_work *work;
    void *job;
    struct reel_stream side;
    int issues;                  /* jobs only issue what they do */
    int threaded, busy, closing; /* busy: a job has begun and its end was not yet seen */
    struct reel_error error;     /* of the job, once it is done */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Opens its stream, beside that one and of its backend, and starts the thread where one is needed and
 * possible. A failure is the other stream's: ranks agree on it before the first job, for whoever has no
 * stream cannot meet its peers. name is what a profile calls the mover, a static string. The mover must not
 * move in memory until it is closed. */
void reel_async_transfer_open(struct reel_async_transfer *transfer, const char *name,
                              struct reel_stream *stream, int issues);

/* Begins a job behind what the stream has been given so far; none may be on its way. */
void reel_async_transfer_begin(struct reel_async_transfer *transfer, struct reel_stream *stream,
                               reel_async_work *work, void *job);

/* Waits for the job that was begun, if any, or orders the stream behind what it has issued; returns its status, and its
 * error becomes the caller's. */
enum reel_status reel_async_transfer_end(struct reel_async_transfer *transfer, struct reel_stream *stream);

/* Ends what is on its way, and the thread. A mover of zeros is allowed. */
void reel_async_transfer_close(struct reel_async_transfer *transfer);

#endif
