/* A run: one job on an engine, from what it reads to the state of its sampling.
 *
 *     reel_run_open(&run, &job, text, &comm, &observer);
 *     REEL_PASS(reel_run_read(&run, &comm, &model, begun));           inputs, timeline, TeaCache's rule
 *     REEL_PASS(reel_run_begin(&run, &engine, 1, NULL, NULL));        once the engine is prepared for the run
 *     reel_run_close(&run);
 *
 * Only run.c writes the members; latents and position have functions of their own. */
#ifndef REEL_RUN_H
#define REEL_RUN_H

#include "engine.h"
#include "event.h"
#include "inputs.h"
#include "job.h"
#include "latents.h"
#include "position.h"
#include "teacache.h"
#include "timeline.h"

struct reel_run {
    const struct reel_job *job;
    const char *job_text;          /* the effective job, YAML */
    struct reel_observer observer; /* observes nothing on ranks other than 0 */
    double began;                  /* when the run was opened (reel_seconds) */
    struct reel_inputs inputs;
    struct reel_timeline timeline;
    struct reel_teacache_rule teacache;
    int loads;                                 /* as given to reel_run_begin */
    int64_t sent_before[REEL_TRAFFIC_CLASSES]; /* by this rank, for earlier runs on the same axes */
    struct reel_latents latents;
    struct reel_position position;
};

/* Not collective. job, job_text and the observer's context must outlive the run. */
void reel_run_open(struct reel_run *run, const struct reel_job *job, const char *job_text,
                   const struct reel_comm *comm, const struct reel_observer *observer);
/* Not collective. A run of zeros is allowed. */
void reel_run_close(struct reel_run *run);

/* Collective over world. Reads and checks what the job names beside the model, and makes the timeline after
 * the chunks that an earlier attempt has begun. The errors of reel_inputs_open, reel_inputs_chunks,
 * reel_timeline_make and reel_teacache_rule_of; the same on every rank. */
enum reel_status reel_run_read(struct reel_run *run, struct reel_comm *comm, const struct reel_model *model,
                               struct reel_begun begun);

/* Collective over world, once the engine is prepared with `loads`: 0 for a complete job, of which nothing is
 * left to run. Makes TeaCache's decisions on rank 0 and sends them to every rank. The calls of an earlier
 * attempt are those of `saved`, the checkpoint in `file`, or NULL; they are noted where this machine would
 * decide differently. Opens the latents and embeds the image. The same error on every rank: REEL_BAD_INPUT
 * where the saved calls do not fit, and that of the stream. */
enum reel_status reel_run_begin(struct reel_run *run, struct reel_engine *engine, int loads,
                                const struct reel_checkpoint *saved, const char *file);

#endif
