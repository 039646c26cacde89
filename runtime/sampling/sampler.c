/* Opening a job on an engine, in the order in which things become known. */
#include "sampler.h"

#include "fault.h"
#include "fingerprint.h"
#include "heartbeat.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* REEL_BAD_JOB if the output is a file that the model is read from. Not collective; on rank 0. */
static enum reel_status check_output(const char *path, const struct reel_model_files *files)
{
    struct stat output, weights;
    for (int64_t f = 0; stat(path, &output) == 0 && f < files->count; f++)
        REEL_NEED(stat(reel_safetensors_path(files->files[f]), &weights) != 0 ||
                      weights.st_dev != output.st_dev || weights.st_ino != output.st_ino,
                  REEL_BAD_JOB, "output.latents is %s, a file of model.path, expected another path", path);
    return REEL_OK;
}

/* Opens the model and checks that the output can be written. Collective over world. */
static enum reel_status open_model(struct reel_engine *engine, const struct reel_job *job)
{
    const char *output = job->output.latents;
    int is_first = engine->comm->world.rank == 0;
    REEL_PASS(reel_agree(engine->comm, is_first && output[0] ? reel_output_check(output) : REEL_OK));
    REEL_PASS(reel_engine_model(engine, job->model.path));
    return reel_agree(engine->comm, is_first ? check_output(output, &engine->model_files) : REEL_OK);
}

/* Does everything before the plan: files, checkpoint, device, chunks, matrices. Collective over world. */
static enum reel_status prepare_job(struct reel_sampler *s, int fresh)
{
    struct reel_engine *engine = s->engine;
    struct reel_run *run = &s->run;
    const struct reel_checkpoint *saved = &s->resume.saved;
    char compute[REEL_LINE_BYTES] = "";
    REEL_PASS(open_model(engine, run->job));
    REEL_PASS(reel_saves_open(&s->saves, engine->comm, run));
    REEL_PASS(reel_resume_find(&s->resume, &s->saves, engine, run, fresh));
    if (s->resume.found && engine->comm->world.rank == 0)
        reel_fingerprint_value(saved->fingerprint, "model.compute", compute);
    REEL_PASS(reel_engine_device(engine, run->job, compute, !s->resume.nothing_to_do, &run->observer));
    struct reel_begun begun = {.chunks = saved->chunks, .count = saved->metadata.begun};
    REEL_PASS(reel_run_read(run, engine->comm, &engine->model_files.model, begun));
    return reel_resume_compare(&s->resume, &s->saves, engine, run);
}

/* Whether the weights are needed: not by a complete job whose model.path has not changed. Collective over
 * world. */
static enum reel_status needs_weights(const struct reel_sampler *s, int *needs)
{
    *needs = !s->resume.found || s->resume.saved.metadata.chunk < s->run.timeline.chunk_count ||
             s->resume.is_elsewhere;
    return reel_broadcast(s->engine->comm, needs, (int64_t)sizeof *needs);
}

/* Allocates the host's copy of an iteration's velocities, if the observer measures them and a device holds
 * them. Collective over world. */
static enum reel_status allocate_measured(struct reel_sampler *s)
{
    const struct reel_plan *plan = &s->engine->plan;
    enum reel_status status = REEL_OK;
    if (s->run.observer.measure && !s->engine->device.ops->is_host) {
        s->measured = malloc((size_t)reel_plan_bytes(plan, 0, REEL_LATENTS_VELOCITY));
        if (!s->measured)
            status = reel_fail(REEL_NO_MEMORY, "no memory for a host copy of the velocities");
    }
    return reel_agree(s->engine->comm, status);
}

/* Makes memory, weights and the initial state. Collective over world. */
static enum reel_status load_job(struct reel_sampler *s)
{
    struct reel_engine *engine = s->engine;
    struct reel_run *run = &s->run;
    const struct reel_resume *resume = &s->resume;
    const struct reel_checkpoint_metadata *saved = &resume->saved.metadata;
    int loads;
    REEL_PASS(needs_weights(s, &loads));
    struct reel_engine_request request = {
        .job = run->job,
        .timeline = &run->timeline,
        .mesh = resume->found && saved->ranks == engine->comm->world.size ? &saved->mesh : NULL,
        .signals = run->teacache.mode,
        .loads = loads};
    REEL_PASS(reel_engine_prepare(engine, &request, &run->observer));
    REEL_PASS(reel_run_begin(run, engine, loads, resume->found ? &resume->saved : NULL, resume->file));
    REEL_PASS(allocate_measured(s));
    return reel_resume_restore(&s->resume, &s->saves, engine, run);
}

enum reel_status reel_sampler_open(struct reel_sampler *s, struct reel_engine *engine,
                                   const struct reel_job *job, const struct reel_start *start,
                                   const struct reel_observer *observer)
{
    memset(s, 0, sizeof *s);
    s->engine = engine;
    reel_run_open(&s->run, job, start->job_text, engine->comm, observer);
    reel_profile_open(&s->profile, start->profile, start->profile_spans);
    reel_preempt_open(&s->preempt, engine, &s->run, &s->saves, start->fresh);
    reel_heartbeat_at("opening the job");
    enum reel_status status = prepare_job(s, start->fresh);
    if (status == REEL_OK && s->run.inputs.prompts_made && !s->resume.nothing_to_do)
        reel_note(&s->run.observer, "prompt.embeds is not given: seeded random prompts are used instead");
    if (status == REEL_OK && !s->resume.nothing_to_do)
        status = load_job(s);
    if (status != REEL_OK)
        reel_sampler_close(s);
    return status;
}

void reel_sampler_close(struct reel_sampler *s)
{
    if (s->engine)
        reel_engine_abort(s->engine);
    free(s->measured);
    reel_profile_close(&s->profile);
    reel_resume_close(&s->resume);
    reel_saves_close(&s->saves);
    reel_run_close(&s->run);
    memset(s, 0, sizeof *s);
}
