/* A run: reading what a job names, and making TeaCache's decisions. */
#include "run.h"

#include "clock.h"
#include "fault.h"

#include <stdlib.h>
#include <string.h>

void reel_run_open(struct reel_run *run, const struct reel_job *job, const char *job_text,
                   const struct reel_comm *comm, const struct reel_observer *observer)
{
    memset(run, 0, sizeof *run);
    run->job = job;
    run->job_text = job_text;
    run->observer = reel_observer_of(comm, observer);
    run->began = reel_seconds();
}

void reel_run_close(struct reel_run *run)
{
    reel_latents_close(&run->latents);
    reel_position_close(&run->position);
    reel_timeline_free(&run->timeline);
    reel_inputs_close(&run->inputs);
    memset(run, 0, sizeof *run);
}

enum reel_status reel_run_read(struct reel_run *run, struct reel_comm *comm, const struct reel_model *model,
                               struct reel_begun begun)
{
    const struct reel_job *job = run->job;
    struct reel_inputs *inputs = &run->inputs;
    REEL_PASS(reel_inputs_open(comm, job, model, inputs));
    enum reel_status status =
        reel_timeline_make(job, inputs->prefix_frames, inputs->end_frames, begun, &run->timeline);
    if (status == REEL_OK)
        status = reel_position_open(&run->position, run->timeline.chunk_count);
    if (status == REEL_OK && reel_fault(REEL_FAULT_CHUNKS))
        status = reel_fail(REEL_NO_MEMORY, "planted: no memory for chunks");
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_inputs_chunks(comm, job, model, run->timeline.chunks, run->timeline.matrices,
                                 run->timeline.chunk_count, inputs));
    if (comm->world.rank == 0) /* it may read a file, which only rank 0 needs to have */
        status = reel_teacache_rule_of(job, model, &run->teacache);
    REEL_PASS(reel_agree(comm, status));
    return reel_broadcast(comm, &run->teacache, (int64_t)sizeof run->teacache);
}

/* Logs TeaCache's decisions, and a warning if the polynomial was not fitted for such distances. */
static void log_decisions(const struct reel_run *run, const struct reel_teacache_range *range)
{
    int64_t skipped = 0;
    for (int64_t c = 0; c < run->timeline.call_count; c++)
        skipped += !run->timeline.calls[c].computed;
    reel_note(&run->observer, "TeaCache skips %lld of %lld calls; coefficients: %s", (long long)skipped,
              (long long)run->timeline.call_count, run->teacache.set);
    if (range->outside == 0)
        return;
    char fitted[64] = "the range in which the polynomial is positive";
    if (run->teacache.max > 0)
        snprintf(fitted, sizeof fitted, "the %.4f to %.4f it was calibrated on", run->teacache.min,
                 run->teacache.max);
    reel_note(&run->observer,
              "warning: in %lld of %lld iterations that could be skipped the distance (%.4f to %.4f in all) "
              "is outside of %s: the polynomial was not fitted for such jobs; see reel calibrate",
              (long long)range->outside, (long long)range->compared, range->min, range->max, fitted);
}

/* Takes up the calls of an earlier attempt. The same result on every rank. */
static enum reel_status keep_calls(struct reel_run *run, const struct reel_checkpoint *saved,
                                   const char *file)
{
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    int64_t changed, kept = reel_timeline_resume(&run->timeline, saved->calls, metadata->call_count,
                                                 metadata->begun, metadata->calls_made, &changed);
    REEL_NEED(kept >= 0, REEL_BAD_INPUT,
              "%s: its table of TeaCache calls does not fit this job, expected a checkpoint of this job",
              file);
    if (changed > 0)
        reel_note(
            &run->observer,
            "warning: this machine would decide %lld of %lld TeaCache calls differently; the checkpoint's "
            "decisions are kept",
            (long long)changed, (long long)kept);
    return REEL_OK;
}

/* Makes TeaCache's decisions on rank 0, and sends them to every rank. Collective over world. */
static enum reel_status decide_calls(struct reel_run *run, const struct reel_engine *engine,
                                     struct reel_teacache_range *range)
{
    struct reel_timeline *timeline = &run->timeline;
    if (engine->comm->world.rank == 0)
        reel_teacache_decide(&run->teacache, run->job, &engine->plan.model, engine->signals, timeline, range);
    int64_t count = timeline->call_count;
    REEL_PASS(reel_broadcast(engine->comm, &count, (int64_t)sizeof count));
    reel_timeline_decided(timeline, count);
    return reel_broadcast(engine->comm, timeline->calls, count * (int64_t)sizeof *timeline->calls);
}

enum reel_status reel_run_begin(struct reel_run *run, struct reel_engine *engine, int loads,
                                const struct reel_checkpoint *saved, const char *file)
{
    struct reel_teacache_range range = {.compared = 0};
    run->loads = loads;
    if (loads)
        REEL_PASS(decide_calls(run, engine, &range));
    if (saved)
        REEL_PASS(keep_calls(run, saved, file));
    for (int c = 0; c < REEL_TRAFFIC_CLASSES; c++)
        run->sent_before[c] = reel_comm_sent(engine->comm, (enum reel_traffic_class)c);
    reel_latents_open(&run->latents, &engine->plan, &engine->arena, &engine->stream, run->job,
                      &run->timeline.schedule);
    if (!loads)
        return REEL_OK;
    reel_timeline_count(&run->timeline);
    if (run->teacache.mode != REEL_TEACACHE_OFF)
        log_decisions(run, &range);
    if (run->inputs.image)
        reel_dit_image(&engine->dit, run->inputs.image);
    return reel_engine_agree(engine, REEL_OK);
}
