/* How a chunk begins: noise, prefix, end frames and prompts, or what a checkpoint saved of it. */
#include "chunk_latents.h"

#include "fault.h"
#include "heartbeat.h"

#include <stdlib.h>
#include <string.h>

int64_t reel_latents_plane(const struct reel_sampler *s)
{
    return 4 * s->plan.work.H * s->plan.work.W;
}

void reel_frames_copy(struct reel_sampler *s, enum reel_direction direction, int64_t channels, int64_t count,
                      struct reel_const_frames from, struct reel_frames to)
{
    int64_t plane = reel_latents_plane(s) * (int64_t)sizeof(float);
    reel_copy(&s->stream, (struct reel_copy){.direction = direction,
                                             .rows = channels,
                                             .row_bytes = count * plane,
                                             .from = (const char *)from.values + from.first * plane,
                                             .from_stride = from.all * plane,
                                             .to = (char *)to.values + to.first * plane,
                                             .to_stride = to.all * plane});
}

struct reel_const_frames reel_frames_const(struct reel_frames frames)
{
    return (struct reel_const_frames){frames.values, frames.all, frames.first};
}

struct reel_frames reel_frames_of(const struct reel_sampler *s, enum reel_buffer buffer, int64_t all,
                                  int64_t first)
{
    return (struct reel_frames){.values = s->arena.at[buffer], .all = all, .first = first};
}

/* Before the solver's history is filled, it is read with weight zero. Zero times what the memory held before
 * may be NaN, so it is cleared. */
static void clear_history(struct reel_sampler *s)
{
    static const enum reel_buffer history[] = {REEL_LATENTS_M0, REEL_LATENTS_M1, REEL_LATENTS_LAST};
    int64_t count = s->plan.model.out_channels * s->now.frames * reel_latents_plane(s);
    for (int i = 0; i < 3; i++)
        reel_clear(&s->stream, (struct reel_clear){.bytes = count * (int64_t)sizeof(float),
                                                   .to = s->arena.at[history[i]]});
}

/* x = noise; then the known frames: the prefix at the start, the end frames after the chunk. Collective over
 * world. */
static enum reel_status fill_latents(struct reel_sampler *s)
{
    const struct reel_chunk *chunk = s->now.chunk;
    int64_t C = s->plan.model.out_channels, plane = reel_latents_plane(s), frames = s->now.frames;
    float *noise = s->arena.at[REEL_LATENTS_NOISE];
    struct reel_frames x = reel_frames_of(s, REEL_LATENTS_X, frames, 0);
    struct reel_const_frames prefix = {s->inputs.prefix, chunk->prefix_frames, 0},
                             end = {s->inputs.end, chunk->end_frames, 0};
    if (chunk->index > 0)
        prefix = reel_frames_const(
            reel_frames_of(s, REEL_LATENTS_VIDEO, s->plan.work.video_frames, chunk->first_frame));
    if (s->job->sampler.noise[0])
        REEL_TRY(reel_inputs_noise(s->comm, s->job, &s->plan.model, chunk, noise), "reading sampler.noise");
    else
        reel_noise_normal(&s->noise, C * chunk->frames * plane, noise);
    reel_frames_copy(s, REEL_TO_DEVICE, C, chunk->frames, (struct reel_const_frames){noise, chunk->frames, 0},
                     x);
    if (chunk->prefix_frames > 0)
        reel_frames_copy(s, REEL_TO_DEVICE, C, chunk->prefix_frames, prefix, x);
    x.first = chunk->frames;
    if (chunk->end_frames > 0)
        reel_frames_copy(s, REEL_TO_DEVICE, C, chunk->end_frames, end, x);
    clear_history(s);
    return REEL_OK;
}

/* Allocates the host's copy of an iteration's velocities, if an observer measures them and a device holds
 * them. */
static enum reel_status allocate_measured(struct reel_sampler *s)
{
    if (!s->observer.measure || s->ops->is_host || s->comm->world.rank != 0)
        return REEL_OK;
    s->now.measured = malloc(
        (size_t)(s->plan.work.branches * s->plan.model.out_channels * s->now.frames * reel_latents_plane(s)) *
        sizeof *s->now.measured);
    REEL_NEED(s->now.measured, REEL_NO_MEMORY, "no memory for a host copy of the velocities");
    return REEL_OK;
}

/* Allocates the chunk's own memory. Not collective. */
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

/* Embeds the prompts that change with this chunk, or all prompts if this attempt has embedded none yet. */
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

/* Restores the state that was saved inside the chunk; its latents are in the arena already. */
static void restore_chunk(struct reel_sampler *s)
{
    const struct reel_checkpoint *saved = &s->resume.saved;
    memcpy(s->now.solver, saved->solver, (size_t)s->now.frames * sizeof *s->now.solver);
    s->now.seconds = saved->metadata.chunk_seconds;
    s->now.skipped_iterations = saved->metadata.skipped_iterations;
    s->now.skipped_seconds = saved->metadata.skipped_seconds;
    s->now.signal_is_lost = 1;
    if (!reel_solver_of(s->job->sampler.scheduler)->keeps_history) /* the checkpoint has no history then */
        clear_history(s);
}

/* Reads y of an i2v model to its buffer, through the host's memory if the buffer is a device's. Collective
 * over world. */
static enum reel_status read_condition(struct reel_sampler *s)
{
    const struct reel_model *model = &s->plan.model;
    int64_t count = (model->in_channels - model->out_channels) * s->now.frames * reel_latents_plane(s);
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
        restore_chunk(s);
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
