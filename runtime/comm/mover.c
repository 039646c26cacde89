/* A thread, or a stream, that runs one job at a time. */
#include "mover.h"

#include "trace.h"

#include <mpi.h>
#include <string.h>

/* Runs the job; its error is what the stream has met, too. */
static enum reel_status run(struct reel_mover *mover, reel_move *work)
{
    reel_error_clear();
    enum reel_status status = work(mover->job, &mover->aside);
    if (status == REEL_OK && mover->aside.status != REEL_OK)
        status = mover->aside.status;
    mover->error = *reel_error_here();
    mover->error.status = status;
    return status;
}

static void *serve(void *context)
{
    struct reel_mover *mover = context;
    reel_trace_thread(mover->name);
    pthread_mutex_lock(&mover->lock);
    for (;;) {
        while (!mover->work && !mover->closing)
            pthread_cond_wait(&mover->changed, &mover->lock);
        if (!mover->work)
            break;
        pthread_mutex_unlock(&mover->lock);
        run(mover, mover->work);
        pthread_mutex_lock(&mover->lock);
        mover->work = NULL;
        pthread_cond_broadcast(&mover->changed);
    }
    pthread_mutex_unlock(&mover->lock);
    return NULL;
}

void reel_mover_open(struct reel_mover *mover, const char *name, struct reel_stream *stream, int issues)
{
    int level = MPI_THREAD_SINGLE;
    memset(mover, 0, sizeof *mover);
    reel_stream_open_aside(&mover->aside, stream->ops);
    if (mover->aside.status != REEL_OK)
        reel_stream_fail(stream, mover->aside.status, "%s", reel_error_here()->cause);
    mover->name = name;
    mover->issues = issues;
    if (issues)
        return;
    MPI_Query_thread(&level);
    pthread_mutex_init(&mover->lock, NULL);
    pthread_cond_init(&mover->changed, NULL);
    mover->threaded = level == MPI_THREAD_MULTIPLE && pthread_create(&mover->thread, NULL, serve, mover) == 0;
}

/* In this thread; an error that stands here already stays. */
static void run_here(struct reel_mover *mover)
{
    struct reel_error before = *reel_error_here();
    run(mover, mover->work);
    reel_error_set(&before);
    mover->work = NULL;
}

void reel_mover_begin(struct reel_mover *mover, struct reel_stream *stream, reel_move *work, void *job)
{
    reel_order(&mover->aside, stream);
    if (mover->threaded)
        pthread_mutex_lock(&mover->lock);
    mover->job = job;
    mover->work = work;
    mover->busy = 1;
    if (mover->threaded) {
        pthread_cond_broadcast(&mover->changed);
        pthread_mutex_unlock(&mover->lock);
    } else if (mover->issues) {
        run_here(mover);
    }
}

/* For the thread, or by doing what it would have done. */
static void wait_for(struct reel_mover *mover)
{
    int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = mover->name});
    if (mover->threaded) {
        pthread_mutex_lock(&mover->lock);
        while (mover->work)
            pthread_cond_wait(&mover->changed, &mover->lock);
        pthread_mutex_unlock(&mover->lock);
    } else {
        run_here(mover);
    }
    reel_trace_end(span);
}

enum reel_status reel_mover_end(struct reel_mover *mover, struct reel_stream *stream)
{
    if (!mover->busy)
        return REEL_OK;
    mover->busy = 0;
    if (!mover->issues)
        wait_for(mover);
    reel_order(stream, &mover->aside);
    if (mover->error.status != REEL_OK && reel_error_here()->status == REEL_OK)
        reel_error_set(&mover->error);
    return mover->error.status;
}

void reel_mover_close(struct reel_mover *mover)
{
    if (mover->busy)
        reel_mover_end(mover, &mover->aside);
    if (mover->threaded) {
        pthread_mutex_lock(&mover->lock);
        mover->closing = 1;
        pthread_cond_broadcast(&mover->changed);
        pthread_mutex_unlock(&mover->lock);
        pthread_join(mover->thread, NULL);
        pthread_mutex_destroy(&mover->lock);
        pthread_cond_destroy(&mover->changed);
    }
    reel_stream_close(&mover->aside);
    memset(mover, 0, sizeof *mover);
}
