/* Whether a checkpoint is of a job: comparisons that change neither. For resume.c. */
#ifndef REEL_RESUME_COMPARE_H
#define REEL_RESUME_COMPARE_H

#include "resume.h"

/* Not collective; on rank 0. Compares the job file and the model's sizes with the checkpoint's, before inputs
 * are read. *grown is 1 when the job's video is longer. REEL_BAD_INPUT where they differ. */
enum reel_status reel_compare_job(const struct reel_resume *resume, const struct reel_model *model,
                                  const struct reel_run *run, int *grown);

/* Collective over world, so that every rank has a heartbeat while rank 0 reads noise files. Makes the job's
 * fingerprint on rank 0: a text with everything, except the weights, that the result depends on. The caller
 * frees it; NULL on other ranks, and after a failure. */
enum reel_status reel_compare_make_fingerprint(const struct reel_engine *engine, const struct reel_run *run,
                                               char **fingerprint);

/* Not collective; on rank 0. Compares the fingerprints, and notes whether the video grows. REEL_BAD_INPUT. */
enum reel_status reel_compare_fingerprint(const struct reel_resume *resume, const struct reel_run *run,
                                          const char *fingerprint);

/* Not collective. REEL_BAD_INPUT unless the checkpoint's state is possible in this job. Its hashes prove that
 * it is what was written, not that a correct program wrote it: no index in it may lead out of this job's
 * arrays. The same on every rank. */
enum reel_status reel_compare_state(const struct reel_resume *resume, const struct reel_model *model,
                                    const struct reel_run *run);

#endif
