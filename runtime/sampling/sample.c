/* Sampling: chunk by chunk, iteration by iteration. */
#include "sampler.h"

#include "chunk_latents.h"
#include "fault.h"
#include "heartbeat.h"
#include "span.h"

#include <math.h>
#include <string.h>

/* Prefix frames [first, first + count) of the model's input become (1 - n/1000) x + n/1000 z. z is drawn anew
 * in every iteration and is the same for both branches. n is SkyReels-V2's addnoise_condition. */
static void noise_prefix(struct reel_sampler *s, int64_t row, int64_t first, int64_t count, int64_t window)
{
    int64_t C = s->plan.model.out_channels, plane = reel_latents_plane(s),
            prefix = s->now.chunk->prefix_frames;
    float *drawn = s->arena.at[REEL_LATENTS_NOISE],
          *z = s->arena.at[REEL_LATENTS_VELOCITY]; /* not in use yet */
    if (s->now.addnoise)
        reel_frames_copy(
            s, REEL_TO_DEVICE, C, count,
            (struct reel_const_frames){s->now.addnoise + row * C * prefix * plane, prefix, first},
            (struct reel_frames){z, count, 0});
    else {
        reel_noise_normal(&s->addnoise, C * count * plane, drawn);
        reel_upload(&s->stream, z, drawn, C * count * plane * (int64_t)sizeof *z);
    }
    reel_blend(&s->stream,
               (struct reel_blend){.rows = C,
                                   .width = count * plane,
                                   .share = 0.001f * (float)s->job->diffusion_forcing.addnoise_condition,
                                   .x = s->arena.at[REEL_LATENTS_INPUT],
                                   .x_stride = window * plane,
                                   .z = z});
}

/* Makes the model's input: the frames of the row's interval, with noise added to the prefix if the job says
 * so, followed by the condition's channels; and the timestep of each of these frames. */
static void assemble_input(struct reel_sampler *s, int64_t row)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    const struct reel_model *model = &s->plan.model;
    int64_t first = matrix->interval[2 * row], window = matrix->interval[2 * row + 1] - first,
            plane = reel_latents_plane(s);
    int64_t n = s->job->diffusion_forcing.addnoise_condition, prefix = s->now.chunk->prefix_frames;
    int64_t noised = prefix - first < window ? prefix - first : window;
    float *input = s->arena.at[REEL_LATENTS_INPUT];
    struct reel_span part = reel_part_begin(&s->stream, "assemble");
    reel_frames_copy(s, REEL_ON_DEVICE, model->out_channels, window,
                     reel_frames_const(reel_frames_of(s, REEL_LATENTS_X, s->now.frames, first)),
                     (struct reel_frames){input, window, 0});
    if (model->in_channels > model->out_channels)
        reel_frames_copy(s, REEL_ON_DEVICE, model->in_channels - model->out_channels, window,
                         reel_frames_const(reel_frames_of(s, REEL_LATENTS_CONDITION, s->now.frames, first)),
                         (struct reel_frames){input + model->out_channels * window * plane, window, 0});
    for (int64_t f = 0; f < window; f++)
        s->now.timesteps[f] =
            n > 0 && first + f < prefix ? n : matrix->timestep[row * matrix->frames + first + f];
    if (n > 0 && noised > 0)
        noise_prefix(s, row, first, noised, window);
    reel_part_end(&s->stream, part);
}

static int measures_distance(const struct reel_sampler *s)
{
    return s->plan.work.expanded && s->teacache.mode != REEL_TEACACHE_OFF;
}

/* Checks that the expanded signal, measured over the ranks, has the distance from the previous signal that
 * the table of calls has. Not collective. */
static void check_distance(struct reel_sampler *s, int64_t row, const struct reel_call *call)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    const uint8_t *mask = matrix->update + row * matrix->frames + matrix->interval[2 * row];
    double found = reel_dit_distance(&s->dit, s->teacache.all_frames ? NULL : mask);
    int lost = s->now.signal_is_lost;
    s->now.signal_is_lost = 0;
    if (isnan(call->distance) || lost) /* there is no previous signal */
        return;
    if (reel_fault(REEL_FAULT_DISTANCE))
        found += 1;
    if (!(fabs(found - call->distance) <= 1e-6 * fmax(1, call->distance)))
        reel_stream_fail(
            &s->stream, REEL_INTERNAL,
            "TeaCache's distance over the expanded embedding is %.9g in chunk %lld, iteration %lld, and was "
            "planned as %.9g",
            found, (long long)call->chunk, (long long)call->iteration, call->distance);
}

/* Makes the calls of an iteration, as decided. Returns 0 if it was cancelled. */
static int make_calls(struct reel_sampler *s, int64_t window, struct reel_cancel cancel, float *velocity,
                      int64_t count)
{
    const struct reel_call *decided = &s->timeline.calls[s->call_count];
    struct reel_forward forwards[2];
    struct reel_dit_inputs inputs = {.frames = window,
                                     .timesteps = s->now.timesteps,
                                     .input = s->arena.at[REEL_LATENTS_INPUT],
                                     .cancel = cancel};
    reel_dit_begin(&s->dit, &inputs);
    if (measures_distance(s))
        reel_dit_measure(&s->dit);
    for (int64_t slot = 0; slot < reel_plan_branches(&s->plan); slot++)
        forwards[slot] =
            (struct reel_forward){.branch = slot,
                                  .skipped = !decided[reel_sampler_first_branch(s) + slot].computed,
                                  .velocity = velocity + (reel_sampler_first_branch(s) + slot) * count};
    if (!reel_dit_forward(&s->dit, forwards, reel_plan_branches(&s->plan)))
        return 0;
    s->call_count += s->plan.work.branches;
    return 1;
}

/* Gives the velocities to the observer, in memory that the host can read. */
static void observe_velocity(struct reel_sampler *s, int64_t row, const float *velocity, int64_t count)
{
    if (!s->observer.measure || s->comm->world.rank != 0)
        return;
    if (!s->ops->is_host) {
        reel_download(&s->stream, s->now.measured, velocity, count * (int64_t)sizeof *velocity);
        velocity = s->now.measured;
    }
    if (s->stream.status == REEL_OK)
        s->observer.measure(s->observer.context, s->now.chunk->index, row, velocity);
}

/* Makes one forward per branch, each branch on its part of the cfg axis. Returns the guided velocity, on
 * every rank, in the first branch's buffer; NULL if the iteration was cancelled. Collective over world. */
static float *guided_velocity(struct reel_sampler *s, int64_t row, struct reel_cancel cancel)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t window = matrix->interval[2 * row + 1] - matrix->interval[2 * row];
    int64_t count = s->plan.model.out_channels * window * reel_latents_plane(s);
    float *velocity = s->arena.at[REEL_LATENTS_VELOCITY];
    if (!make_calls(s, window, cancel, velocity, count))
        return NULL;
    struct reel_cut branches = reel_cut_even(s->plan.work.branches, s->comm->cfg.size);
    struct reel_span part = reel_part_begin(&s->stream, "guide");
    reel_allgather(&s->comm->cfg, &s->stream, REEL_TRAFFIC_VELOCITY, &branches,
                   count * (int64_t)sizeof *velocity, velocity + reel_sampler_first_branch(s) * count,
                   velocity);
    observe_velocity(s, row, velocity, s->plan.work.branches * count);
    if (s->plan.work.branches == 2)
        reel_guide(&s->stream, (struct reel_guide){.count = count,
                                                   .conditional = velocity,
                                                   .unconditional = velocity + count,
                                                   .scale = s->job->sampler.guidance_scale,
                                                   .out = velocity});
    reel_part_end(&s->stream, part);
    return velocity;
}

/* Steps every frame whose update mask is set, each with its own solver.
 *
 * The official loop gives the solver a view of the latents and writes the result through this view. After the
 * first step of a frame the solver's "last sample" is therefore the result of that step; after later steps it
 * is the corrector's own tensor. The released models are sampled in this way, and reel does the same
 * (last_is_result): without it the latents differ by several percent. */
static void step_frames(struct reel_sampler *s, int64_t row, const float *velocity)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t first = matrix->interval[2 * row], end = matrix->interval[2 * row + 1];
    struct reel_span part = reel_part_begin(&s->stream, "step");
    for (int64_t f = first; f < end; f++) {
        if (!matrix->update[row * matrix->frames + f])
            continue;
        struct reel_solver_step step = reel_solver_next(&s->timeline.schedule, &s->now.solver[f]);
        reel_solve(&s->stream, (struct reel_solve){.channels = s->plan.model.out_channels,
                                                   .frames = s->now.frames,
                                                   .plane = reel_latents_plane(s),
                                                   .frame = f,
                                                   .v_frames = end - first,
                                                   .v_frame = f - first,
                                                   .sigma = step.sigma,
                                                   .corrects = step.corrects != 0,
                                                   .last_is_result = s->now.solver[f].step == 1,
                                                   .correct_last = step.corrector.last,
                                                   .correct_0 = step.corrector.m0,
                                                   .correct_1 = step.corrector.m1,
                                                   .correct_estimate = step.corrector.mt,
                                                   .predict_x = step.predictor.x,
                                                   .predict_0 = step.predictor.m0,
                                                   .predict_1 = step.predictor.m1,
                                                   .predict_v = step.predictor.v,
                                                   .v = velocity,
                                                   .x = s->arena.at[REEL_LATENTS_X],
                                                   .m0 = s->arena.at[REEL_LATENTS_M0],
                                                   .m1 = s->arena.at[REEL_LATENTS_M1],
                                                   .last = s->arena.at[REEL_LATENTS_LAST]});
    }
    reel_part_end(&s->stream, part);
}

/* A velocity that is not finite ends the job before the latents take anything from it. */
static enum reel_status check_finite(struct reel_sampler *s, int64_t row, const float *velocity)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t first = matrix->interval[2 * row], window = matrix->interval[2 * row + 1] - first,
            plane = reel_latents_plane(s);
    int64_t at = reel_first_nonfinite(&s->stream, velocity, s->plan.model.out_channels * window * plane);
    if (reel_fault(REEL_FAULT_VELOCITY))
        at = 0;
    REEL_NEED(at < 0, REEL_INTERNAL,
              "the velocity is not finite in chunk %lld, iteration %lld, latent frame %lld of the chunk",
              (long long)s->now.chunk->index, (long long)row, (long long)(first + at / plane % window));
    return s->stream.status;
}

/* Checks the iteration's result before the latents take anything from it. The host waits for the device
 * here. */
static enum reel_status check_iteration(struct reel_sampler *s, int64_t row, const float *velocity)
{
    if (measures_distance(s))
        check_distance(s, row, &s->timeline.calls[s->call_count - s->plan.work.branches]);
    REEL_PASS(check_finite(s, row, velocity));
    return reel_comm_check(s->comm);
}

static enum reel_status run_iteration(struct reel_sampler *s, int64_t row, int *ran)
{
    double began = reel_seconds();
    reel_heartbeat_at("sampling chunk %lld, iteration %lld", (long long)s->now.chunk->index, (long long)row);
    s->now.addnoise_before = s->addnoise;
    struct reel_cancel cancel = reel_preempt_begin(s);
    assemble_input(s, row);
    const float *velocity = guided_velocity(s, row, cancel);
    reel_preempt_end(s);
    if (!velocity) { /* cancelled: only the noise stream has changed */
        s->addnoise = s->now.addnoise_before;
        *ran = 0;
        return reel_sampler_agree(s, REEL_OK);
    }
    REEL_PASS(reel_sampler_agree(s, check_iteration(s, row, velocity)));
    step_frames(s, row, velocity);
    double seconds = reel_seconds() - began;
    s->now.seconds += seconds;
    s->preempt.since_save++;
    if (s->timeline.calls[s->call_count - 1].computed)
        s->preempt.iteration_seconds = seconds;
    if (!s->timeline.calls[s->call_count - 1].computed) {
        s->now.skipped_iterations++;
        s->now.skipped_seconds += seconds;
    }
    s->step_seconds += seconds;
    s->done++;
    if (++s->timed == 1)
        reel_resume_compare_algorithms(s);
    reel_sampler_tell(
        s,
        &(struct reel_event){
            .kind = REEL_EVENT_STEP,
            .chunk = s->now.chunk->index,
            .chunks = s->timeline.chunk_count,
            .iteration = row,
            .of = s->now.matrix->rows,
            .done = s->done,
            .iterations = s->timeline.iterations,
            .computed = {s->timeline.calls[s->call_count - 1].computed,
                         s->plan.work.branches == 2 ? s->timeline.calls[s->call_count - 1].computed : -1},
            .seconds = seconds,
            .seconds_left = s->step_seconds / (double)s->timed * (double)(s->timeline.iterations - s->done)});
    return REEL_OK;
}

enum reel_status reel_chunk_iterate(struct reel_sampler *s, int64_t row, int *ran)
{
    *ran = reel_timesteps_runs(s->now.matrix, row);
    if (!*ran)
        return REEL_OK;
    struct reel_span part = reel_part_begin(&s->stream, "iteration %lld", (long long)row);
    enum reel_status status = run_iteration(s, row, ran);
    reel_part_end(&s->stream, part);
    return status;
}

/* Estimates the seconds that skipping saved in this chunk, from the mean seconds of its computed
 * iterations. */
static void count_savings(struct reel_sampler *s)
{
    int64_t branches = s->plan.work.branches, computed = 0, skipped = s->now.skipped_iterations;
    for (int64_t c = s->call_count - 1; c >= 0 && s->timeline.calls[c].chunk == s->now.chunk->index; c--)
        computed += s->timeline.calls[c].branch == 0 && s->timeline.calls[c].computed;
    double each = computed > 0 ? (s->now.seconds - s->now.skipped_seconds) / (double)computed : 0;
    for (int64_t branch = 0; branch < branches; branch++)
        s->savings[s->saving_count++] = (struct reel_saving){
            .chunk = s->now.chunk->index,
            .branch = branch,
            .computed = computed,
            .skipped = skipped,
            .seconds = ((double)skipped * each - s->now.skipped_seconds) / (double)branches};
}

enum reel_status reel_chunk_end(struct reel_sampler *s)
{
    const struct reel_chunk *chunk = s->now.chunk;
    reel_heartbeat_at("writing chunk %lld", (long long)chunk->index);
    count_savings(s);
    reel_frames_copy(s, REEL_FROM_DEVICE, s->plan.model.out_channels, chunk->frames,
                     reel_frames_const(reel_frames_of(s, REEL_LATENTS_X, s->now.frames, 0)),
                     reel_frames_of(s, REEL_LATENTS_VIDEO, s->plan.work.video_frames, chunk->first_frame));
    REEL_PASS(reel_sampler_agree(s, REEL_OK));
    s->finished_frames = chunk->kept;
    REEL_PASS(reel_preempt_save_chunk(s)); /* first: a failed output then loses no chunk */
    REEL_PASS(reel_sampler_output(s));
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_CHUNK,
                                              .plan = &s->plan,
                                              .picture = {.latents = s->arena.at[REEL_LATENTS_VIDEO],
                                                          .channels = s->plan.model.out_channels,
                                                          .video_frames = s->plan.work.video_frames,
                                                          .rows = 2 * s->plan.work.H,
                                                          .columns = 2 * s->plan.work.W,
                                                          .first_frame = chunk->first_frame,
                                                          .prefix_frames = chunk->prefix_frames},
                                              .chunk = chunk->index,
                                              .chunks = s->timeline.chunk_count,
                                              .finished_frames = s->finished_frames,
                                              .savings = s->savings + s->saving_count - s->plan.work.branches,
                                              .saving_count = s->plan.work.branches,
                                              .seconds = s->now.seconds});
    return REEL_OK;
}

enum reel_status reel_sample_run(struct reel_sampler *s)
{
    int64_t first = s->resume.found ? s->resume.saved.metadata.chunk : 0;
    if (s->nothing_to_do) {
        reel_profile_end(s);
        return REEL_OK;
    }
    for (int64_t k = first; k < s->timeline.chunk_count; k++) {
        int64_t row = reel_resume_is_within(s, k) ? s->resume.saved.metadata.iteration : 0;
        REEL_TRY(reel_chunk_begin(s, k), "beginning chunk %lld", (long long)k);
        while (row < s->timeline.matrices[k].rows) {
            int ran;
            REEL_TRY(reel_preempt_before(s, row), "before chunk %lld, iteration %lld", (long long)k,
                     (long long)row);
            REEL_TRY(reel_profile_before(s, row), "beginning a profile");
            REEL_TRY(reel_chunk_iterate(s, row, &ran), "sampling chunk %lld, iteration %lld", (long long)k,
                     (long long)row);
            REEL_TRY(reel_profile_after(s, row, ran), "writing a profile");
            row += !s->preempt.cancelled; /* else reel_preempt_before saves and stops, before this row */
        }
        REEL_TRY(reel_chunk_end(s), "writing chunk %lld", (long long)k);
        REEL_TRY(reel_preempt_after(s), "after chunk %lld", (long long)k);
    }
    reel_profile_end(s);
    return reel_sampler_report(s);
}
