/* A thread that moves data while others compute.
 *
 * MPI libraries move large messages only while somebody is inside them. A mover is that somebody: it runs one job at a
 * time beside the caller's own work. Jobs of different ranks meet in MPI, so every rank must begin them in the same
 * order; what a job reads and writes is the mover's between begin and end.
 *
 *     reel_mover_begin(&mover, gather_block, &next);      returns at once
 *     ...compute with the block that is here...
 *     status = reel_mover_end(&mover);                    waits for the job
 *
 * Where MPI was not started for several threads, or no thread can be had, a job runs inside end: slower, but the same.
 * Not collective. */
#ifndef REEL_MOVER_H
#define REEL_MOVER_H

#include "status.h"

#include <pthread.h>

struct reel_mover {
    enum reel_status (*work)(void *job);
    void *job;
    int threaded, busy, closing; /* busy: a job has begun and its end was not yet seen */
    struct reel_error error;     /* of the job, once it is done */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Starts the thread where that is possible. The mover must not move in memory until it is closed. */
void reel_mover_open(struct reel_mover *mover);

/* Begins a job; none may be on its way. */
void reel_mover_begin(struct reel_mover *mover, enum reel_status (*work)(void *job), void *job);

/* Waits for the job that was begun, if any; returns its status, and its error becomes the caller's. */
enum reel_status reel_mover_end(struct reel_mover *mover);

/* Ends what is on its way, and the thread. A mover of zeros is allowed. */
void reel_mover_close(struct reel_mover *mover);

#endif
