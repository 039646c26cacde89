/* A thread, or a side stream, that runs one job at a time. */
#include "async_transfer.h"

#include "trace.h"

#include <mpi.h>
#include <string.h>

/* Runs the job and keeps its error, or else the failure of the side stream. */
static enum reel_status run_job(struct reel_async_transfer *transfer, reel_async_work *work)
{
    reel_error_clear();
    enum reel_status status = work(transfer->job, &transfer->side);
    if (status == REEL_OK && transfer->side.status != REEL_OK)
        status = transfer->side.status;
    transfer->error = *reel_error_here();
    transfer->error.status = status;
    return status;
}

static void *serve_jobs(void *context)
{
    struct reel_async_transfer *transfer = context;
    reel_trace_thread(transfer->name);
    pthread_mutex_lock(&transfer->lock);
    for (;;) {
        while (!transfer->work && !transfer->closing)
            pthread_cond_wait(&transfer->changed, &transfer->lock);
        if (!transfer->work)
            break;
        pthread_mutex_unlock(&transfer->lock);
        run_job(transfer, transfer->work);
        pthread_mutex_lock(&transfer->lock);
        transfer->work = NULL;
        pthread_cond_broadcast(&transfer->changed);
    }
    pthread_mutex_unlock(&transfer->lock);
    return NULL;
}

void reel_async_transfer_open(struct reel_async_transfer *transfer, const char *name,
                              struct reel_stream *stream, int issues)
{
    int level = MPI_THREAD_SINGLE;
    memset(transfer, 0, sizeof *transfer);
    reel_stream_open_side(&transfer->side, stream->ops);
    if (transfer->side.status != REEL_OK)
        reel_stream_fail(stream, transfer->side.status, "%s", reel_error_here()->cause);
    transfer->name = name;
    transfer->issues = issues;
    if (issues)
        return;
    MPI_Query_thread(&level);
    pthread_mutex_init(&transfer->lock, NULL);
    pthread_cond_init(&transfer->changed, NULL);
    transfer->threaded =
        level == MPI_THREAD_MULTIPLE && pthread_create(&transfer->thread, NULL, serve_jobs, transfer) == 0;
}

/* Runs the job in this thread; the error that the thread already has stays. */
static void run_job_here(struct reel_async_transfer *transfer)
{
    struct reel_error before = *reel_error_here();
    run_job(transfer, transfer->work);
    reel_error_set(&before);
    transfer->work = NULL;
}

void reel_async_transfer_begin(struct reel_async_transfer *transfer, struct reel_stream *stream,
                               reel_async_work *work, void *job)
{
    reel_stream_wait(&transfer->side, stream);
    if (transfer->threaded)
        pthread_mutex_lock(&transfer->lock);
    transfer->job = job;
    transfer->work = work;
    transfer->busy = 1;
    if (transfer->threaded) {
        pthread_cond_broadcast(&transfer->changed);
        pthread_mutex_unlock(&transfer->lock);
    } else if (transfer->issues) {
        run_job_here(transfer);
    }
}

/* Waits for the thread; where there is none, runs the job here. */
static void wait_for_job(struct reel_async_transfer *transfer)
{
    int64_t span =
        reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = transfer->name});
    if (transfer->threaded) {
        pthread_mutex_lock(&transfer->lock);
        while (transfer->work)
            pthread_cond_wait(&transfer->changed, &transfer->lock);
        pthread_mutex_unlock(&transfer->lock);
    } else {
        run_job_here(transfer);
    }
    reel_trace_end(span);
}

enum reel_status reel_async_transfer_end(struct reel_async_transfer *transfer, struct reel_stream *stream)
{
    if (!transfer->busy)
        return REEL_OK;
    transfer->busy = 0;
    if (!transfer->issues)
        wait_for_job(transfer);
    reel_stream_wait(stream, &transfer->side);
    if (transfer->error.status != REEL_OK && reel_error_here()->status == REEL_OK)
        reel_error_set(&transfer->error);
    return transfer->error.status;
}

void reel_async_transfer_close(struct reel_async_transfer *transfer)
{
    if (transfer->busy)
        reel_async_transfer_end(transfer, &transfer->side);
    if (transfer->threaded) {
        pthread_mutex_lock(&transfer->lock);
        transfer->closing = 1;
        pthread_cond_broadcast(&transfer->changed);
        pthread_mutex_unlock(&transfer->lock);
        pthread_join(transfer->thread, NULL);
        pthread_mutex_destroy(&transfer->lock);
        pthread_cond_destroy(&transfer->changed);
    }
    reel_stream_close(&transfer->side);
    memset(transfer, 0, sizeof *transfer);
}
