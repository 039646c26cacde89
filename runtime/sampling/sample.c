/* Sampling: chunk by chunk, iteration by iteration. */
#include "sampler.h"

#include "clock.h"
#include "fault.h"
#include "heartbeat.h"
#include "span.h"

#include <math.h>

/* An iteration: one row of the chunk's timestep matrix. */
struct iteration {
    int64_t row;
    struct reel_range window;      /* the frames that enter the transformer */
    const struct reel_call *calls; /* [branches], as decided */
    int64_t count;                 /* elements of one branch's velocity */
    float *velocity;               /* [branches, C, window, h, w] */
    struct reel_dit_inputs inputs;
    double began;
};

static struct iteration begin_iteration(struct reel_sampler *s, int64_t row)
{
    const struct reel_engine *engine = s->engine;
    const struct reel_run *run = &s->run;
    struct reel_range window = reel_timesteps_window(run->latents.matrix, row);
    reel_heartbeat_at("sampling chunk %lld, iteration %lld", (long long)run->latents.chunk->index,
                      (long long)row);
    return (struct iteration){.row = row,
                              .window = window,
                              .calls = run->timeline.calls + run->position.calls_made,
                              .count = engine->plan.model.out_channels * window.count *
                                       reel_latents_plane(&engine->plan),
                              .velocity = engine->arena.at[REEL_LATENTS_VELOCITY],
                              .inputs = {.frames = window.count,
                                         .input = engine->arena.at[REEL_LATENTS_INPUT],
                                         .cancel = reel_preempt_begin(&s->preempt)},
                              .began = reel_seconds()};
}

static int measures_distance(const struct reel_sampler *s)
{
    return s->engine->plan.work.expanded && s->run.teacache.mode != REEL_TEACACHE_OFF;
}

/* Makes this rank's calls, as decided: each runs the blocks or reuses the residual. Returns 0 if the
 * iteration was cancelled. Collective over the ranks of a branch. */
static int forward(struct reel_sampler *s, const struct iteration *it)
{
    struct reel_dit *dit = &s->engine->dit;
    int64_t first = reel_engine_first_branch(s->engine), count = reel_plan_branches(&s->engine->plan);
    struct reel_forward forwards[2];
    reel_dit_begin(dit, &it->inputs);
    if (measures_distance(s))
        reel_dit_measure(dit);
    for (int64_t slot = 0; slot < count; slot++)
        forwards[slot] = (struct reel_forward){.branch = slot,
                                               .skipped = !it->calls[first + slot].computed,
                                               .velocity = it->velocity + (first + slot) * it->count};
    return reel_dit_forward(dit, forwards, count);
}

/* Gives the velocities to the observer, in memory that the host can read. */
static void observe_velocity(struct reel_sampler *s, const struct iteration *it)
{
    const struct reel_run *run = &s->run;
    struct reel_stream *stream = &s->engine->stream;
    const float *velocity = s->measured ? s->measured : it->velocity;
    if (!run->observer.measure)
        return;
    if (s->measured)
        reel_download(stream, s->measured, it->velocity,
                      s->engine->plan.work.branches * it->count * (int64_t)sizeof *velocity);
    if (stream->status == REEL_OK)
        run->observer.measure(run->observer.context, run->latents.chunk->index, it->row, velocity);
}

/* Gathers the branches' velocities on every rank, and guides: the result is in the first branch's buffer.
 * Collective over the cfg axis. */
static void guide(struct reel_sampler *s, const struct iteration *it)
{
    struct reel_engine *engine = s->engine;
    struct reel_axis *cfg = &engine->comm->cfg;
    float *velocity = it->velocity;
    struct reel_cut branches = reel_cut_even(engine->plan.work.branches, cfg->size);
    struct reel_span part = reel_part_begin(&engine->stream, "guide");
    reel_allgather(cfg, &engine->stream, REEL_TRAFFIC_VELOCITY, &branches,
                   it->count * (int64_t)sizeof *velocity,
                   velocity + reel_engine_first_branch(engine) * it->count, velocity);
    observe_velocity(s, it);
    if (engine->plan.work.branches == 2)
        reel_guide(&engine->stream, (struct reel_guide){.count = it->count,
                                                        .conditional = velocity,
                                                        .unconditional = velocity + it->count,
                                                        .scale = s->run.job->sampler.guidance_scale,
                                                        .out = velocity});
    reel_part_end(&engine->stream, part);
}

/* Checks that the expanded signal, measured over the ranks, has the distance from the previous signal that
 * the table of calls has. The attempt's first call has no previous signal to compare with. */
static void check_distance(struct reel_sampler *s, const struct iteration *it)
{
    const struct reel_run *run = &s->run;
    const struct reel_timesteps *matrix = run->latents.matrix;
    const uint8_t *mask = matrix->update + it->row * matrix->frames + it->window.first;
    double planned = it->calls->distance;
    double found = reel_dit_distance(&s->engine->dit, run->teacache.all_frames ? NULL : mask);
    if (isnan(planned) || it->calls == run->timeline.calls + run->timeline.first_call)
        return;
    if (reel_fault(REEL_FAULT_DISTANCE))
        found += 1;
    if (!(fabs(found - planned) <= 1e-6 * fmax(1, planned)))
        reel_stream_fail(
            &s->engine->stream, REEL_INTERNAL,
            "TeaCache's distance over the expanded embedding is %.9g in chunk %lld, iteration %lld, and was "
            "planned as %.9g",
            found, (long long)it->calls->chunk, (long long)it->calls->iteration, planned);
}

/* Checks the iteration's result before the latents take anything from it: a velocity that is not finite ends
 * the job. The host waits for the device here. */
static enum reel_status check(struct reel_sampler *s, const struct iteration *it)
{
    struct reel_engine *engine = s->engine;
    if (measures_distance(s))
        check_distance(s, it);
    int64_t at = reel_first_nonfinite(&engine->stream, it->velocity, it->count);
    if (reel_fault(REEL_FAULT_VELOCITY))
        at = 0;
    REEL_NEED(at < 0, REEL_INTERNAL,
              "the velocity is not finite in chunk %lld, iteration %lld, latent frame %lld of the chunk",
              (long long)s->run.latents.chunk->index, (long long)it->row,
              (long long)(it->window.first + at / reel_latents_plane(&engine->plan) % it->window.count));
    REEL_PASS(engine->stream.status);
    return reel_comm_check(engine->comm);
}

/* Counts the iteration, and reports it. */
static void count(struct reel_sampler *s, const struct iteration *it)
{
    struct reel_run *run = &s->run;
    struct reel_position *position = &run->position;
    double seconds = reel_seconds() - it->began;
    int64_t computed = it->calls->computed;
    reel_position_iterated(position, &run->timeline, s->engine->plan.work.branches, seconds);
    reel_saves_iterated(&s->saves);
    if (position->timed == 1)
        reel_resume_compare_algorithms(&s->resume, run);
    reel_tell(&run->observer,
              &(struct reel_event){.kind = REEL_EVENT_STEP,
                                   .chunk = run->latents.chunk->index,
                                   .chunks = run->timeline.chunk_count,
                                   .iteration = it->row,
                                   .of = run->latents.matrix->rows,
                                   .done = position->done,
                                   .iterations = run->timeline.iterations,
                                   .computed = {computed, s->engine->plan.work.branches == 2 ? computed : -1},
                                   .seconds = seconds,
                                   .seconds_left = position->seconds / (double)position->timed *
                                                   (double)(run->timeline.iterations - position->done)});
}

/* The latents' way through one row: begin, assemble, forward, guide, check, agree, step, count. */
static enum reel_status iterate(struct reel_sampler *s, int64_t row, int *ran)
{
    struct reel_latents *latents = &s->run.latents;
    struct iteration it = begin_iteration(s, row);
    it.inputs.timesteps = reel_latents_assemble(latents, row);
    *ran = forward(s, &it);
    if (*ran)
        guide(s, &it);
    reel_preempt_end(&s->preempt);
    if (!*ran) {
        reel_latents_cancel(latents);
        return reel_engine_agree(s->engine, REEL_OK);
    }
    REEL_PASS(reel_engine_agree(s->engine, check(s, &it)));
    reel_latents_step(latents, row, it.velocity);
    count(s, &it);
    return REEL_OK;
}

enum reel_status reel_sample_iterate(struct reel_sampler *s, int64_t row, int *ran)
{
    *ran = reel_timesteps_runs(s->run.latents.matrix, row);
    if (!*ran)
        return REEL_OK;
    struct reel_span part = reel_part_begin(&s->engine->stream, "iteration %lld", (long long)row);
    enum reel_status status = iterate(s, row, ran);
    reel_part_end(&s->engine->stream, part);
    return status;
}

/* Embeds the prompts that change with chunk k; all prompts if it is the attempt's first chunk. */
static void embed_prompts(struct reel_sampler *s, int64_t k)
{
    struct reel_engine *engine = s->engine;
    int64_t count = 0, slots[2];
    const float *prompts[2];
    for (int64_t slot = 0; slot < reel_plan_branches(&engine->plan); slot++) {
        int changed;
        prompts[count] =
            reel_inputs_prompt(&s->run.inputs, reel_engine_first_branch(engine) + slot, k, &changed);
        slots[count] = slot;
        count += changed || k == s->run.position.first_chunk;
    }
    if (count > 0)
        reel_dit_prompts(&engine->dit, count, slots, prompts);
}

enum reel_status reel_sample_begin(struct reel_sampler *s, int64_t k, int64_t *row)
{
    struct reel_run *run = &s->run;
    const struct reel_latents_chunk begins = {
        .chunk = &run->timeline.chunks[k],
        .matrix = &run->timeline.matrices[k],
        .inputs = &run->inputs,
        .saved = reel_resume_is_within(&s->resume, k) ? s->resume.saved.solver : NULL};
    reel_heartbeat_at("beginning chunk %lld", (long long)k);
    REEL_PASS(reel_latents_begin(&run->latents, s->engine->comm, &begins));
    embed_prompts(s, k);
    *row = reel_position_begin(&run->position, k);
    return reel_engine_agree(s->engine, REEL_OK);
}

/* Reports that the current chunk is finished and written. */
static void report_chunk(const struct reel_sampler *s)
{
    const struct reel_run *run = &s->run;
    const struct reel_position *position = &run->position;
    const struct reel_plan *plan = &s->engine->plan;
    const struct reel_chunk *chunk = run->latents.chunk;
    int64_t branches = plan->work.branches;
    reel_tell(&run->observer,
              &(struct reel_event){.kind = REEL_EVENT_CHUNK,
                                   .plan = plan,
                                   .picture = {.latents = s->engine->arena.at[REEL_LATENTS_VIDEO],
                                               .channels = plan->model.out_channels,
                                               .video_frames = plan->work.video_frames,
                                               .rows = plan->model.patch * plan->work.H,
                                               .columns = plan->model.patch * plan->work.W,
                                               .first_frame = chunk->first_frame,
                                               .prefix_frames = chunk->prefix_frames},
                                   .chunk = chunk->index,
                                   .chunks = run->timeline.chunk_count,
                                   .finished_frames = position->finished_frames,
                                   .savings = position->savings + position->saving_count - branches,
                                   .saving_count = branches,
                                   .seconds = position->chunk_seconds});
}

enum reel_status reel_sample_end(struct reel_sampler *s)
{
    struct reel_engine *engine = s->engine;
    struct reel_run *run = &s->run;
    reel_heartbeat_at("writing chunk %lld", (long long)run->latents.chunk->index);
    reel_latents_finish(&run->latents);
    REEL_PASS(reel_engine_agree(engine, REEL_OK));
    reel_position_finish(&run->position, &run->timeline, run->latents.chunk, engine->plan.work.branches);
    if (run->job->checkpoint.directory[0]) /* first: a failed output then loses no chunk */
        REEL_PASS(reel_save(&s->saves, engine, run, &(struct reel_save_request){.why = "chunk"}));
    REEL_PASS(reel_report_output(engine, run));
    report_chunk(s);
    return REEL_OK;
}

/* The rows of chunk k. Collective over world. */
static enum reel_status sample_rows(struct reel_sampler *s, int64_t k, int64_t row)
{
    while (row < s->run.latents.matrix->rows) {
        int ran;
        REEL_TRY(reel_preempt_check(&s->preempt, row), "before chunk %lld, iteration %lld", (long long)k,
                 (long long)row);
        REEL_TRY(reel_profile_before(&s->profile, s->engine, &s->run, row), "beginning a profile");
        REEL_TRY(reel_sample_iterate(s, row, &ran), "sampling chunk %lld, iteration %lld", (long long)k,
                 (long long)row);
        REEL_TRY(reel_profile_after(&s->profile, s->engine, &s->run, row, ran), "writing a profile");
        row += !s->preempt.cancelled; /* else reel_preempt_check saves and stops, before this row */
    }
    return REEL_OK;
}

enum reel_status reel_sample_run(struct reel_sampler *s)
{
    const struct reel_run *run = &s->run;
    int64_t row, chunks = s->resume.nothing_to_do ? 0 : run->timeline.chunk_count;
    for (int64_t k = run->position.first_chunk; k < chunks; k++) {
        REEL_TRY(reel_sample_begin(s, k, &row), "beginning chunk %lld", (long long)k);
        REEL_PASS(sample_rows(s, k, row));
        REEL_TRY(reel_sample_end(s), "writing chunk %lld", (long long)k);
        REEL_TRY(reel_preempt_leave(&s->preempt), "after chunk %lld", (long long)k);
    }
    reel_profile_end(&s->profile, run);
    return s->resume.nothing_to_do ? REEL_OK : reel_report_done(s->engine, run);
}
