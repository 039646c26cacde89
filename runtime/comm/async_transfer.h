/* Transfers that run while the caller computes.
 *
 * An async transfer runs one job at a time beside the caller's own work, on a side stream. MPI libraries move
 * large messages only while a thread is inside an MPI call, so over MPI the job runs in a thread of its own.
 * Exchanges over NCCL are issued to a device's stream and take place there, so over NCCL the job runs inside
 * begin, and what it has issued moves beside the caller's stream.
 *
 * A job takes part in exchanges with the jobs of other ranks, so every rank must begin its jobs in the same
 * order. Between begin and end the caller must not touch what the job reads and writes.
 *
 *     reel_async_transfer_begin(&transfer, stream, gather_block, &next);   returns at once
 *     ...compute with the current block...
 *     status = reel_async_transfer_end(&transfer, stream);   later work of stream sees what was transferred
 *
 * Where MPI was started without MPI_THREAD_MULTIPLE, or no thread can be created, the job runs inside end:
 * slower, with the same result. Not collective. */
#ifndef REEL_ASYNC_TRANSFER_H
#define REEL_ASYNC_TRANSFER_H

#include "ops.h"
#include "status.h"

#include <pthread.h>

/* A job's function. It works in the order of `side`. */
typedef enum reel_status reel_async_work(void *job, struct reel_stream *side);

struct reel_async_transfer {
    const char *name;
    reel_async_work *work;
    void *job;
    struct reel_stream side;
    int issues;                  /* jobs only issue work to the side stream (NCCL) */
    int threaded, busy, closing; /* busy: a job has begun, and reel_async_transfer_end was not called */
    struct reel_error error;     /* of the job, once it is done */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Opens the side stream, of the same backend as stream, and starts the thread where one is needed and
 * possible. A failure becomes the failure of stream. The ranks must agree on it before the first job: a rank
 * without a side stream cannot take part in exchanges. name is a static string, shown in profiles. The struct
 * must not move in memory until it is closed. */
void reel_async_transfer_open(struct reel_async_transfer *transfer, const char *name,
                              struct reel_stream *stream, int issues);

/* Begins a job that runs after the work issued to stream so far. The previous job must have been ended. */
void reel_async_transfer_begin(struct reel_async_transfer *transfer, struct reel_stream *stream,
                               reel_async_work *work, void *job);

/* Ends the job that was begun, if any: waits until it has run, and makes later work of stream wait for what
 * it has issued. Returns the job's status; its error becomes the error of this thread unless the thread
 * already has one. */
enum reel_status reel_async_transfer_end(struct reel_async_transfer *transfer, struct reel_stream *stream);

/* Ends the job that was begun, if any, and the thread. A zeroed struct is allowed. */
void reel_async_transfer_close(struct reel_async_transfer *transfer);

#endif
