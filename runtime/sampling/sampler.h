/* The sampler: a run on an engine, and all that saves, stops, resumes and profiles it.
 *
 *     struct reel_engine engine;
 *     struct reel_sampler sampler;
 *     reel_engine_open(&engine, &comm, NULL);
 *     REEL_PASS(reel_sampler_open(&sampler, &engine, &job, &start, &observer));   plan, memory, weights
 *     status = reel_sample_run(&sampler);                                        all chunks and iterations
 *     reel_sampler_close(&sampler);                                              then another, or
 *     reel_engine_close(&engine);
 *
 * An attempt is one start of the job, on all its ranks. A job that is preempted takes several attempts; each
 * resumes from the checkpoint of the one before. Only sampler.c writes the members that have no functions of
 * their own. */
#ifndef REEL_SAMPLER_H
#define REEL_SAMPLER_H

#include "engine.h"
#include "preempt.h"
#include "profile.h"
#include "report.h"
#include "resume.h"
#include "run.h"
#include "save.h"

/* How an attempt starts. */
struct reel_start {
    const char *profile;   /* the file for the profile (profile.h), the same on every rank; NULL: none */
    int64_t profile_spans; /* max spans that a rank records; 0: 131,072 */
    const char *job_text;  /* the effective job, YAML */
    int fresh;             /* start over: do not resume from a checkpoint */
};

struct reel_sampler {
    struct reel_engine *engine;
    struct reel_run run;
    struct reel_saves saves;
    struct reel_resume
        resume; /* resume.nothing_to_do: the job is complete, and the engine was not prepared */
    struct reel_preempt preempt;
    struct reel_profile profile;
    float *measured; /* [branches, C, window, h, w] the observer's host copy of a device's velocities */
};

/* Collective over world. Reads and checks everything that a job names, including the checkpoints that it may
 * resume from, before any weight is read. Then prepares the engine and restores the checkpoint. On failure
 * the sampler is closed, the engine still has to be, and every rank has the same error. All arguments but
 * `start` must outlive the sampler, and so must the texts that `start` points to. The sampler must not move.
 * */
enum reel_status reel_sampler_open(struct reel_sampler *sampler, struct reel_engine *engine,
                                   const struct reel_job *job, const struct reel_start *start,
                                   const struct reel_observer *observer);

/* Not collective. A sampler of zeros is allowed. */
void reel_sampler_close(struct reel_sampler *sampler);

/* sample.c. Collective over world. Runs the job to its end, or until a preemption notice or the job's time
 * limit stops it: then it saves a checkpoint and returns REEL_PREEMPTED. */
enum reel_status reel_sample_run(struct reel_sampler *sampler);

/* sample.c. The steps of reel_sample_run, for callers that do something between them. All collective over
 * world.
 *
 *     begin     sets chunk k's noise, prefix, end frames and prompts, or the state of a checkpoint that was
 *               saved inside chunk k; *row is the row to begin with
 *     iterate   samples one row of the timestep matrix; *ran is 0 if the row's mask is empty, so that nothing
 *               was done, or if the iteration was cancelled
 *     end       copies the finished frames to the video, saves a checkpoint and writes the output
 */
enum reel_status reel_sample_begin(struct reel_sampler *sampler, int64_t k, int64_t *row);
enum reel_status reel_sample_iterate(struct reel_sampler *sampler, int64_t row, int *ran);
enum reel_status reel_sample_end(struct reel_sampler *sampler);

#endif
