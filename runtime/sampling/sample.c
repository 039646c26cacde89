/* Sampling: chunk by chunk, iteration by iteration. */
#include "sampler.h"

#include "fault.h"
#include "heartbeat.h"
#include "span.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Elements of one latent frame of one channel. */
static int64_t plane_of(const struct reel_sampler *s)
{
    return 4 * s->plan.work.H * s->plan.work.W;
}

/* Frames in an array [channels, all, plane], from first on: to write, and to read. */
struct frames {
    float *values;
    int64_t all, first;
};

struct const_frames {
    const float *values;
    int64_t all, first;
};

/* Copies frames of every channel, within the device's memory or between it and the host's. */
static void copy_frames(struct reel_sampler *s, enum reel_direction direction, int64_t channels,
                        int64_t count, struct const_frames from, struct frames to)
{
    int64_t plane = plane_of(s) * (int64_t)sizeof(float);
    reel_copy(&s->stream, (struct reel_copy){.direction = direction,
                                             .rows = channels,
                                             .row_bytes = count * plane,
                                             .from = (const char *)from.values + from.first * plane,
                                             .from_stride = from.all * plane,
                                             .to = (char *)to.values + to.first * plane,
                                             .to_stride = to.all * plane});
}

static struct const_frames reads(struct frames frames)
{
    return (struct const_frames){frames.values, frames.all, frames.first};
}

/* An array of the arena. */
static struct frames frames_of(const struct reel_sampler *s, enum reel_buffer buffer, int64_t all,
                               int64_t first)
{
    return (struct frames){.values = s->arena.at[buffer], .all = all, .first = first};
}

/* The solver's history is read with weight zero before it is filled, and zero times what memory held may be no number. */
static void clear_history(struct reel_sampler *s)
{
    static const enum reel_buffer history[] = {REEL_LATENTS_M0, REEL_LATENTS_M1, REEL_LATENTS_LAST};
    int64_t count = s->plan.model.out_channels * s->now.frames * plane_of(s);
    for (int i = 0; i < 3; i++)
        reel_clear(&s->stream, (struct reel_clear){.bytes = count * (int64_t)sizeof(float),
                                                   .to = s->arena.at[history[i]]});
}

/* x = noise, then what is known: the prefix at the start, the end frames behind. Collective over world. */
static enum reel_status fill_latents(struct reel_sampler *s)
{
    const struct reel_chunk *chunk = s->now.chunk;
    int64_t C = s->plan.model.out_channels, plane = plane_of(s), frames = s->now.frames;
    float *noise = s->arena.at[REEL_LATENTS_NOISE];
    struct frames x = frames_of(s, REEL_LATENTS_X, frames, 0);
    struct const_frames prefix = {s->inputs.prefix, chunk->prefix_frames, 0},
                        end = {s->inputs.end, chunk->end_frames, 0};
    if (chunk->index > 0)
        prefix = reads(frames_of(s, REEL_LATENTS_VIDEO, s->plan.work.video_frames, chunk->first_frame));
    if (s->job->sampler.noise[0])
        REEL_TRY(reel_inputs_noise(s->comm, s->job, &s->plan.model, chunk, noise), "reading sampler.noise");
    else
        reel_noise_normal(&s->noise, C * chunk->frames * plane, noise);
    copy_frames(s, REEL_TO_DEVICE, C, chunk->frames, (struct const_frames){noise, chunk->frames, 0}, x);
    if (chunk->prefix_frames > 0)
        copy_frames(s, REEL_TO_DEVICE, C, chunk->prefix_frames, prefix, x);
    x.first = chunk->frames;
    if (chunk->end_frames > 0)
        copy_frames(s, REEL_TO_DEVICE, C, chunk->end_frames, end, x);
    clear_history(s);
    return REEL_OK;
}

/* The host's copy of an iteration's velocities, where an observer measures what a device holds. */
static enum reel_status allocate_measured(struct reel_sampler *s)
{
    if (!s->observer.measure || s->ops->is_host || s->comm->world.rank != 0)
        return REEL_OK;
    s->now.measured =
        malloc((size_t)(s->plan.work.branches * s->plan.model.out_channels * s->now.frames * plane_of(s)) *
               sizeof *s->now.measured);
    REEL_NEED(s->now.measured, REEL_NO_MEMORY, "no memory to look at the velocity");
    return REEL_OK;
}

/* What a chunk's own memory is for. Not collective. */
static enum reel_status allocate_chunk(struct reel_sampler *s, int64_t k)
{
    reel_chunk_free(s);
    s->now = (struct reel_chunk_state){.chunk = &s->timeline.chunks[k], .matrix = &s->timeline.matrices[k]};
    s->now.frames = s->timeline.chunks[k].frames + s->timeline.chunks[k].end_frames;
    s->now.solver = calloc((size_t)s->now.frames, sizeof *s->now.solver);
    s->now.timesteps = calloc((size_t)s->now.frames, sizeof *s->now.timesteps);
    REEL_NEED(s->now.solver && s->now.timesteps && !reel_fault(REEL_FAULT_CHUNK_MEMORY), REEL_NO_MEMORY,
              "no memory for %lld frames", (long long)s->now.frames);
    return allocate_measured(s);
}

void reel_chunk_free(struct reel_sampler *s)
{
    free(s->now.addnoise);
    free(s->now.timesteps);
    free(s->now.solver);
    free(s->now.measured);
    memset(&s->now, 0, sizeof s->now);
}

/* The prompts that take force in this chunk, or in a process that has none yet. */
static void embed_prompts(struct reel_sampler *s)
{
    int64_t count = 0, slots[2];
    const float *prompts[2];
    for (int64_t slot = 0; slot < reel_plan_branches(&s->plan); slot++) {
        int changed;
        prompts[count] = reel_inputs_prompt(&s->inputs, reel_sampler_first_branch(s) + slot,
                                            s->now.chunk->index, &changed);
        slots[count] = slot;
        count += changed || !s->prompted;
    }
    s->prompted = 1;
    if (count > 0)
        reel_dit_prompts(&s->dit, count, slots, prompts);
}

/* What was saved in the midst of the chunk; its latents are in the arena already. */
static void take_up_chunk(struct reel_sampler *s)
{
    const struct reel_checkpoint *saved = &s->resume.saved;
    memcpy(s->now.solver, saved->solver, (size_t)s->now.frames * sizeof *s->now.solver);
    s->now.seconds = saved->metadata.chunk_seconds;
    s->now.skipped_iterations = saved->metadata.skipped_iterations;
    s->now.skipped_seconds = saved->metadata.skipped_seconds;
    s->now.signal_is_lost = 1;
    if (!reel_solver_of(s->job->sampler.scheduler)->keeps_history) /* it is not in the checkpoint */
        clear_history(s);
}

/* y of an i2v model, to its place, or through the host's memory. Collective over world. */
static enum reel_status read_condition(struct reel_sampler *s)
{
    const struct reel_model *model = &s->plan.model;
    int64_t count = (model->in_channels - model->out_channels) * s->now.frames * plane_of(s);
    float *device = s->arena.at[REEL_LATENTS_CONDITION], *read = device;
    if (!s->ops->is_host)
        read = malloc((size_t)count * sizeof *read);
    enum reel_status status = read ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for y of a chunk");
    status = reel_agree(s->comm, status);
    if (status == REEL_OK)
        status = reel_inputs_condition(s->comm, s->job, model, s->now.chunk, read);
    if (read != device) {
        if (status == REEL_OK)
            reel_upload(&s->stream, device, read, count * (int64_t)sizeof *read);
        free(read);
    }
    return status;
}

enum reel_status reel_chunk_begin(struct reel_sampler *s, int64_t k)
{
    const struct reel_model *model = &s->plan.model;
    reel_heartbeat_at("beginning chunk %lld", (long long)k);
    REEL_PASS(reel_agree(s->comm, allocate_chunk(s, k)));
    if (reel_resume_is_within(s, k))
        take_up_chunk(s);
    else
        REEL_PASS(fill_latents(s));
    if (s->job->sampler.noise[0] && s->job->diffusion_forcing.addnoise_condition > 0 &&
        s->timeline.chunks[k].prefix_frames > 0)
        REEL_TRY(
            reel_inputs_addnoise(s->comm, s->job, model, s->now.chunk, s->now.matrix->rows, &s->now.addnoise),
            "reading sampler.noise");
    if (model->in_channels > model->out_channels)
        REEL_TRY(read_condition(s), "reading prompt.embeds");
    embed_prompts(s);
    return reel_sampler_agree(s, REEL_OK);
}

/* Prefix frames [first, first + count) of the model's input become (1 - n/1000) x + n/1000 z, z fresh in every
 * iteration and the same for both branches. SkyReels-V2, addnoise_condition. */
static void noise_prefix(struct reel_sampler *s, int64_t row, int64_t first, int64_t count, int64_t window)
{
    int64_t C = s->plan.model.out_channels, plane = plane_of(s), prefix = s->now.chunk->prefix_frames;
    float *drawn = s->arena.at[REEL_LATENTS_NOISE],
          *z = s->arena.at[REEL_LATENTS_VELOCITY]; /* not yet in use */
    if (s->now.addnoise)
        copy_frames(s, REEL_TO_DEVICE, C, count,
                    (struct const_frames){s->now.addnoise + row * C * prefix * plane, prefix, first},
                    (struct frames){z, count, 0});
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

/* The model's input: the frames of the row's interval, prefix noised where asked, condition behind; and the timestep
 * of each of these frames. */
static void assemble(struct reel_sampler *s, int64_t row)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    const struct reel_model *model = &s->plan.model;
    int64_t first = matrix->interval[2 * row], window = matrix->interval[2 * row + 1] - first,
            plane = plane_of(s);
    int64_t n = s->job->diffusion_forcing.addnoise_condition, prefix = s->now.chunk->prefix_frames;
    int64_t noised = prefix - first < window ? prefix - first : window;
    float *input = s->arena.at[REEL_LATENTS_INPUT];
    struct reel_span part = reel_part_begin(&s->stream, "assemble");
    copy_frames(s, REEL_ON_DEVICE, model->out_channels, window,
                reads(frames_of(s, REEL_LATENTS_X, s->now.frames, first)), (struct frames){input, window, 0});
    if (model->in_channels > model->out_channels)
        copy_frames(s, REEL_ON_DEVICE, model->in_channels - model->out_channels, window,
                    reads(frames_of(s, REEL_LATENTS_CONDITION, s->now.frames, first)),
                    (struct frames){input + model->out_channels * window * plane, window, 0});
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

/* The expanded signal, measured over ranks, must be as far from the one before as the table says. Not collective. */
static void check_distance(struct reel_sampler *s, int64_t row, const struct reel_call *call)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    const uint8_t *mask = matrix->update + row * matrix->frames + matrix->interval[2 * row];
    double found = reel_dit_distance(&s->dit, s->teacache.all_frames ? NULL : mask);
    int lost = s->now.signal_is_lost;
    s->now.signal_is_lost = 0;
    if (isnan(call->distance) || lost) /* the first, which only takes its place */
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

/* The calls of an iteration, as decided. 0 where it was abandoned. */
static int make_calls(struct reel_sampler *s, int64_t window, struct reel_cancel cancel, float *velocity,
                      int64_t count)
{
    const struct reel_call *decided = &s->timeline.calls[s->call_count];
    struct reel_forward forwards[2];
    struct reel_dit_inputs moment = {.frames = window,
                                     .timesteps = s->now.timesteps,
                                     .input = s->arena.at[REEL_LATENTS_INPUT],
                                     .cancel = cancel};
    reel_dit_begin(&s->dit, &moment);
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

/* Lets the observer see the velocities, as the host reads them. */
static void measure(struct reel_sampler *s, int64_t row, const float *velocity, int64_t count)
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

/* One forward per branch, each branch on its part of the cfg axis, then the guided velocity of both on every rank, in
 * the first branch's place; NULL where the iteration was abandoned. Collective over world. */
static float *guided_velocity(struct reel_sampler *s, int64_t row, struct reel_cancel cancel)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t window = matrix->interval[2 * row + 1] - matrix->interval[2 * row];
    int64_t count = s->plan.model.out_channels * window * plane_of(s);
    float *velocity = s->arena.at[REEL_LATENTS_VELOCITY];
    if (!make_calls(s, window, cancel, velocity, count))
        return NULL;
    struct reel_cut branches = reel_cut_even(s->plan.work.branches, s->comm->cfg.size);
    struct reel_span part = reel_part_begin(&s->stream, "guide");
    reel_allgather(&s->comm->cfg, &s->stream, REEL_TRAFFIC_VELOCITY, &branches,
                   count * (int64_t)sizeof *velocity, velocity + reel_sampler_first_branch(s) * count,
                   velocity);
    measure(s, row, velocity, s->plan.work.branches * count);
    if (s->plan.work.branches == 2)
        reel_guide(&s->stream, (struct reel_guide){.count = count,
                                                   .conditional = velocity,
                                                   .unconditional = velocity + count,
                                                   .scale = s->job->sampler.guidance_scale,
                                                   .out = velocity});
    reel_part_end(&s->stream, part);
    return velocity;
}

/* Steps every frame whose update mask is set, each by its own solver.
 *
 * The official loop hands a solver a view of the latents and writes the result through it, so that after the first step
 * of a frame the solver's "last sample" is the result of that step; later samples are the corrector's own tensors. The
 * released models are sampled so, and so does reel: without it the latents differ by several percent. */
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
                                                   .plane = plane_of(s),
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

/* A velocity that is not finite ends the job before anything of it is kept. */
static enum reel_status check_finite(struct reel_sampler *s, int64_t row, const float *velocity)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t first = matrix->interval[2 * row], window = matrix->interval[2 * row + 1] - first,
            plane = plane_of(s);
    int64_t at = reel_first_nonfinite(&s->stream, velocity, s->plan.model.out_channels * window * plane);
    if (reel_fault(REEL_FAULT_VELOCITY))
        at = 0;
    REEL_NEED(at < 0, REEL_INTERNAL,
              "the velocity is not finite in chunk %lld, iteration %lld, latent frame %lld of the chunk",
              (long long)s->now.chunk->index, (long long)row, (long long)(first + at / plane % window));
    return s->stream.status;
}

/* What an iteration has made, before anything of it is kept: the host waits for it here. */
static enum reel_status check(struct reel_sampler *s, int64_t row, const float *velocity)
{
    if (measures_distance(s))
        check_distance(s, row, &s->timeline.calls[s->call_count - s->plan.work.branches]);
    REEL_PASS(check_finite(s, row, velocity));
    return reel_comm_check(s->comm);
}

static enum reel_status iterate(struct reel_sampler *s, int64_t row, int *ran)
{
    double began = reel_seconds();
    reel_heartbeat_at("sampling chunk %lld, iteration %lld", (long long)s->now.chunk->index, (long long)row);
    s->now.addnoise_before = s->addnoise;
    struct reel_cancel cancel = reel_preempt_begin(s);
    assemble(s, row);
    const float *velocity = guided_velocity(s, row, cancel);
    reel_preempt_end(s);
    if (!velocity) { /* nothing has changed but the stream of noise */
        s->addnoise = s->now.addnoise_before;
        *ran = 0;
        return reel_sampler_agree(s, REEL_OK);
    }
    REEL_PASS(reel_sampler_agree(s, check(s, row, velocity)));
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
    enum reel_status status = iterate(s, row, ran);
    reel_part_end(&s->stream, part);
    return status;
}

/* What the chunk's skipped calls would have taken more, had they been computed like the others. */
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
    copy_frames(s, REEL_FROM_DEVICE, s->plan.model.out_channels, chunk->frames,
                reads(frames_of(s, REEL_LATENTS_X, s->now.frames, 0)),
                frames_of(s, REEL_LATENTS_VIDEO, s->plan.work.video_frames, chunk->first_frame));
    REEL_PASS(reel_sampler_agree(s, REEL_OK));
    s->finished_frames = chunk->kept;
    REEL_PASS(reel_preempt_save_chunk(s)); /* an output that cannot be written costs no chunk */
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
            row += !s->preempt.cancelled; /* else it is saved and left, before the same row */
        }
        REEL_TRY(reel_chunk_end(s), "writing chunk %lld", (long long)k);
        REEL_TRY(reel_preempt_after(s), "after chunk %lld", (long long)k);
    }
    reel_profile_end(s);
    return reel_sampler_report(s);
}
