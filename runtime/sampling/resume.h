/* Resuming: which checkpoint a run resumes from, whether it is of this job, and what it restores.
 *
 *     REEL_PASS(reel_resume_find(&resume, &saves, &engine, &run, fresh));    the newest whole checkpoint
 *     REEL_PASS(reel_resume_compare(&resume, &saves, &engine, &run));        once the timeline is made
 *     REEL_PASS(reel_resume_restore(&resume, &saves, &engine, &run));        once the run has begun
 *     reel_resume_close(&resume);
 *
 * Without a checkpoint compare only makes the fingerprint, and restore does nothing. Only resume.c writes the
 * members. */
#ifndef REEL_RESUME_H
#define REEL_RESUME_H

#include "checkpoint.h"
#include "engine.h"
#include "run.h"
#include "save.h"

struct reel_resume {
    int found; /* 1: `saved` is a checkpoint of this job, read from `file` */
    char file[REEL_CHECKPOINT_PATH_BYTES];
    struct reel_checkpoint saved; /* its texts are on rank 0 only */
    int grown;                    /* the job's video is longer than the checkpoint's */
    int is_elsewhere;             /* model.path differs from the checkpoint's; on rank 0 */
    int nothing_to_do;            /* the job and its output are complete already */
};

/* Collective over world, once the directory is locked and the model is open. Reads the metadata of the newest
 * whole checkpoint, unless fresh; the timeline is then made after the chunks that it has begun.
 * REEL_BAD_INPUT when no checkpoint is whole, or when it is of another job. The same on every rank. */
enum reel_status reel_resume_find(struct reel_resume *resume, struct reel_saves *saves,
                                  const struct reel_engine *engine, const struct reel_run *run, int fresh);

/* Collective over world, once the timeline is made. Makes the job's fingerprint and checks that the
 * checkpoint is of this job, in a state that is possible in it. REEL_BAD_INPUT. */
enum reel_status reel_resume_compare(struct reel_resume *resume, struct reel_saves *saves,
                                     const struct reel_engine *engine, const struct reel_run *run);

/* Collective over world, once the run has begun. Reads the saved arrays into the arena and restores the
 * counters and random streams. Writes the output again where it has less than the checkpoint. */
enum reel_status reel_resume_restore(struct reel_resume *resume, struct reel_saves *saves,
                                     struct reel_engine *engine, struct reel_run *run);

/* Not collective. Zeros are allowed. */
void reel_resume_close(struct reel_resume *resume);

/* Not collective. Whether the checkpoint was saved inside chunk k, so that chunk k resumes there. */
int reel_resume_is_within(const struct reel_resume *resume, int64_t k);

/* Not collective. Called after the attempt's first iteration: rank 0 logs a warning if a GEMM uses another
 * algorithm than before the resume; other ranks return at once. */
void reel_resume_compare_algorithms(const struct reel_resume *resume, const struct reel_run *run);

#endif
