/* A thread that runs one job at a time. */
#include "mover.h"

#include <mpi.h>
#include <string.h>

static void *serve(void *context)
{
    struct reel_mover *mover = context;
    pthread_mutex_lock(&mover->lock);
    for (;;) {
        while (!mover->work && !mover->closing)
            pthread_cond_wait(&mover->changed, &mover->lock);
        if (!mover->work)
            break;
        pthread_mutex_unlock(&mover->lock);
        reel_error_clear();
        mover->work(mover->job);
        pthread_mutex_lock(&mover->lock);
        mover->error = *reel_error_here();
        mover->work = NULL;
        pthread_cond_broadcast(&mover->changed);
    }
    pthread_mutex_unlock(&mover->lock);
    return NULL;
}

void reel_mover_open(struct reel_mover *mover)
{
    int level = MPI_THREAD_SINGLE;
    memset(mover, 0, sizeof *mover);
    MPI_Query_thread(&level);
    pthread_mutex_init(&mover->lock, NULL);
    pthread_cond_init(&mover->changed, NULL);
    mover->threaded = level == MPI_THREAD_MULTIPLE && pthread_create(&mover->thread, NULL, serve, mover) == 0;
}

void reel_mover_begin(struct reel_mover *mover, enum reel_status (*work)(void *job), void *job)
{
    pthread_mutex_lock(&mover->lock);
    mover->job = job;
    mover->work = work;
    mover->busy = 1;
    pthread_cond_broadcast(&mover->changed);
    pthread_mutex_unlock(&mover->lock);
}

enum reel_status reel_mover_end(struct reel_mover *mover)
{
    if (!mover->busy)
        return REEL_OK;
    mover->busy = 0;
    if (!mover->threaded) {
        enum reel_status (*work)(void *) = mover->work;
        mover->work = NULL;
        return work(mover->job);
    }
    pthread_mutex_lock(&mover->lock);
    while (mover->work)
        pthread_cond_wait(&mover->changed, &mover->lock);
    pthread_mutex_unlock(&mover->lock);
    if (mover->error.status == REEL_OK)
        return REEL_OK;
    if (reel_error_here()->status == REEL_OK)
        *reel_error_here() = mover->error;
    return mover->error.status;
}

void reel_mover_close(struct reel_mover *mover)
{
    if (mover->busy)
        reel_mover_end(mover);
    if (mover->threaded) {
        pthread_mutex_lock(&mover->lock);
        mover->closing = 1;
        pthread_cond_broadcast(&mover->changed);
        pthread_mutex_unlock(&mover->lock);
        pthread_join(mover->thread, NULL);
        pthread_mutex_destroy(&mover->lock);
        pthread_cond_destroy(&mover->changed);
    }
    memset(mover, 0, sizeof *mover);
}
