/* Stopping a run after a preemption notice or at the job's time limit, and saving checkpoints when they are
 * due.
 *
 *     reel_preempt_open(&preempt, &engine, &run, &saves);
 *     REEL_PASS(reel_preempt_check(&preempt, row));    before a row: saves if it is due, or saves and stops
 *     cancel = reel_preempt_begin(&preempt);           the inputs of the iteration carry it
 *     ... iterate ...
 *     reel_preempt_end(&preempt);                      preempt.cancelled: the iteration was given up
 *     REEL_PASS(reel_preempt_leave(&preempt));         after a chunk: stops if it must
 *
 * All functions but open are collective over world. Only preempt.c writes the members. */
#ifndef REEL_PREEMPT_H
#define REEL_PREEMPT_H

#include "engine.h"
#include "run.h"
#include "save.h"

#include <mpi.h>

struct reel_preempt {
    struct reel_engine *engine;
    struct reel_run *run;
    struct reel_saves *saves;
    int is_fresh;  /* the job was started over */
    double began;  /* seconds from the start of the attempt to its first iteration */
    int cancelled; /* 1: the current iteration was cancelled, on every rank */
    double iteration_began;
    /* Seconds by which the iteration would end too late, on this rank and over all; asked is the
     * allreduce. */
    double excess, max_excess;
    MPI_Request asked;
};

/* Not collective. All arguments must outlive *preempt, which must not move while an iteration runs. */
void reel_preempt_open(struct reel_preempt *preempt, struct reel_engine *engine, struct reel_run *run,
                       struct reel_saves *saves, int is_fresh);

/* Before a row of the current chunk: saves a checkpoint if one is due; after a notice, or if the time limit
 * leaves no time for the row, saves one and returns REEL_PREEMPTED. REEL_BAD_JOB when the time limit leaves
 * no time for any iteration; the errors of reel_save; REEL_BAD_COMM. */
enum reel_status reel_preempt_check(struct reel_preempt *preempt, int64_t row);

/* After a chunk that is saved: stops the run for the same reasons. */
enum reel_status reel_preempt_leave(struct reel_preempt *preempt);

/* Enclose an iteration, whose inputs carry the value that begin returns: the transformer then asks before
 * every block whether to cancel the iteration. Failures go to the stream. */
struct reel_cancel reel_preempt_begin(struct reel_preempt *preempt);
void reel_preempt_end(struct reel_preempt *preempt);

#endif
