/* Latents: where their frames lie and how they are copied, how a chunk begins and ends, and the solver's
 * step. */
#include "latents.h"

#include "fault.h"
#include "span.h"

#include <stdlib.h>
#include <string.h>

/* Frames of an array [channels, all, plane], from frame first on: to write, and to read. */
struct frames {
    float *values;
    int64_t all, first;
};

struct const_frames {
    const float *values;
    int64_t all, first;
};

/* The arrays of a chunk that a checkpoint saves, in its order. Those after x are the solver's history. */
enum { CHUNK_ARRAYS = REEL_CHECKPOINT_ARRAYS - 1 }; /* all but the video */
static const struct {
    const char *name;
    enum reel_buffer buffer;
} chunk_arrays[CHUNK_ARRAYS] = {
    {"x", REEL_LATENTS_X}, {"m0", REEL_LATENTS_M0}, {"m1", REEL_LATENTS_M1}, {"last", REEL_LATENTS_LAST}};

int64_t reel_latents_plane(const struct reel_plan *plan)
{
    return reel_model_patch_latents(&plan->model) * plan->work.H * plan->work.W;
}

static int64_t plane_of(const struct reel_latents *l)
{
    return reel_latents_plane(l->plan);
}

/* Copies `count` frames of every channel, within the device's memory or between it and the host's. */
static void copy_frames(struct reel_latents *l, enum reel_direction direction, int64_t channels,
                        int64_t count, struct const_frames from, struct frames to)
{
    int64_t plane = plane_of(l) * (int64_t)sizeof(float);
    reel_copy(l->stream, (struct reel_copy){.direction = direction,
                                            .rows = channels,
                                            .row_bytes = count * plane,
                                            .from = (const char *)from.values + from.first * plane,
                                            .from_stride = from.all * plane,
                                            .to = (char *)to.values + to.first * plane,
                                            .to_stride = to.all * plane});
}

/* Frames of a buffer of the arena. */
static struct frames frames_of(const struct reel_latents *l, enum reel_buffer buffer, int64_t all,
                               int64_t first)
{
    return (struct frames){.values = l->arena->at[buffer], .all = all, .first = first};
}

static struct const_frames const_of(struct frames frames)
{
    return (struct const_frames){frames.values, frames.all, frames.first};
}

void reel_latents_open(struct reel_latents *l, const struct reel_plan *plan, const struct reel_arena *arena,
                       struct reel_stream *stream, const struct reel_job *job,
                       const struct reel_schedule *schedule)
{
    memset(l, 0, sizeof *l);
    l->plan = plan;
    l->arena = arena;
    l->stream = stream;
    l->job = job;
    l->schedule = schedule;
    reel_noise_seed(&l->noise, (uint64_t)job->sampler.seed);
    reel_noise_seed(&l->addnoise, (uint64_t)job->sampler.seed ^ 0x9E3779B9u);
}

/* Frees the memory of the current chunk. */
static void free_chunk(struct reel_latents *l)
{
    free(l->given);
    free(l->timesteps);
    free(l->solver);
    l->given = NULL;
    l->timesteps = NULL;
    l->solver = NULL;
}

void reel_latents_close(struct reel_latents *l)
{
    free_chunk(l);
    for (int a = 0; a < CHUNK_ARRAYS; a++)
        if (l->views[a])
            reel_release_host(l->arena->ops, l->views[a],
                              reel_plan_bytes(l->plan, 0, chunk_arrays[a].buffer));
    memset(l, 0, sizeof *l);
}

/* Before the solver's history is filled, it is read with weight zero. Zero times what the memory held before
 * may be NaN, so it is cleared. */
static void clear_history(struct reel_latents *l)
{
    int64_t count = l->plan->model.out_channels * l->frames * plane_of(l);
    for (int a = 1; a < CHUNK_ARRAYS; a++)
        reel_clear(l->stream, (struct reel_clear){.bytes = count * (int64_t)sizeof(float),
                                                  .to = l->arena->at[chunk_arrays[a].buffer]});
}

/* Allocates the chunk's own memory. Not collective. */
static enum reel_status allocate_chunk(struct reel_latents *l, const struct reel_latents_chunk *begins)
{
    free_chunk(l);
    l->chunk = begins->chunk;
    l->matrix = begins->matrix;
    l->frames = l->chunk->frames + l->chunk->end_frames;
    l->solver = calloc((size_t)l->frames, sizeof *l->solver);
    l->timesteps = calloc((size_t)l->frames, sizeof *l->timesteps);
    REEL_NEED(l->solver && l->timesteps && !reel_fault(REEL_FAULT_CHUNK_MEMORY), REEL_NO_MEMORY,
              "no memory for %lld frames", (long long)l->frames);
    return REEL_OK;
}

/* x = noise; then the known frames: the prefix at the start, the end frames after the chunk. Collective over
 * world. */
static enum reel_status fill(struct reel_latents *l, struct reel_comm *comm, const struct reel_inputs *inputs)
{
    const struct reel_chunk *chunk = l->chunk;
    int64_t C = l->plan->model.out_channels;
    float *noise = l->arena->at[REEL_LATENTS_NOISE];
    struct frames x = frames_of(l, REEL_LATENTS_X, l->frames, 0);
    struct const_frames prefix = {inputs->prefix, chunk->prefix_frames, 0},
                        end = {inputs->end, chunk->end_frames, 0};
    if (chunk->index > 0)
        prefix = const_of(frames_of(l, REEL_LATENTS_VIDEO, l->plan->work.video_frames, chunk->first_frame));
    if (l->job->sampler.noise[0])
        REEL_TRY(reel_inputs_noise(comm, l->job, &l->plan->model, chunk, noise), "reading sampler.noise");
    else
        reel_noise_normal(&l->noise, C * chunk->frames * plane_of(l), noise);
    copy_frames(l, REEL_TO_DEVICE, C, chunk->frames, (struct const_frames){noise, chunk->frames, 0}, x);
    if (chunk->prefix_frames > 0)
        copy_frames(l, REEL_TO_DEVICE, C, chunk->prefix_frames, prefix, x);
    x.first = chunk->frames;
    if (chunk->end_frames > 0)
        copy_frames(l, REEL_TO_DEVICE, C, chunk->end_frames, end, x);
    clear_history(l);
    return REEL_OK;
}

/* Takes the solver's state from a checkpoint; the latents are in the arena already. */
static void take_saved(struct reel_latents *l, const struct reel_solver_state *saved)
{
    memcpy(l->solver, saved, (size_t)l->frames * sizeof *l->solver);
    if (!reel_solver_of(l->job->sampler.scheduler)->keeps_history) /* the checkpoint has no history then */
        clear_history(l);
}

/* Reads y of an i2v model to its buffer, through the host's memory if the buffer is a device's. Collective
 * over world. */
static enum reel_status read_condition(struct reel_latents *l, struct reel_comm *comm)
{
    const struct reel_model *model = &l->plan->model;
    int64_t count = (model->in_channels - model->out_channels) * l->frames * plane_of(l);
    float *device = l->arena->at[REEL_LATENTS_CONDITION], *read = device;
    if (!l->stream->ops->is_host)
        read = malloc((size_t)count * sizeof *read);
    enum reel_status status = read ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for y of a chunk");
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status = reel_inputs_condition(comm, l->job, model, l->chunk, read);
    if (read != device) {
        if (status == REEL_OK)
            reel_upload(l->stream, device, read, count * (int64_t)sizeof *read);
        free(read);
    }
    return status;
}

enum reel_status reel_latents_begin(struct reel_latents *l, struct reel_comm *comm,
                                    const struct reel_latents_chunk *begins)
{
    const struct reel_model *model = &l->plan->model;
    REEL_PASS(reel_agree(comm, allocate_chunk(l, begins)));
    if (begins->saved)
        take_saved(l, begins->saved);
    else
        REEL_PASS(fill(l, comm, begins->inputs));
    if (l->job->sampler.noise[0] && l->job->diffusion_forcing.addnoise_condition > 0 &&
        l->chunk->prefix_frames > 0)
        REEL_TRY(reel_inputs_addnoise(comm, l->job, model, l->chunk, l->matrix->rows, &l->given),
                 "reading sampler.noise");
    if (model->in_channels > model->out_channels)
        REEL_TRY(read_condition(l, comm), "reading prompt.embeds");
    return REEL_OK;
}

/* Prefix frames [first, first + count) of the model's input become (1 - n/1000) x + n/1000 z. z is drawn anew
 * in every iteration and is the same for both branches. n is SkyReels-V2's addnoise_condition. */
static void noise_prefix(struct reel_latents *l, int64_t row, int64_t first, int64_t count, int64_t window)
{
    int64_t C = l->plan->model.out_channels, plane = plane_of(l), prefix = l->chunk->prefix_frames;
    float *drawn = l->arena->at[REEL_LATENTS_NOISE],
          *z = l->arena->at[REEL_LATENTS_VELOCITY]; /* not in use yet */
    if (l->given)
        copy_frames(l, REEL_TO_DEVICE, C, count,
                    (struct const_frames){l->given + row * C * prefix * plane, prefix, first},
                    (struct frames){z, count, 0});
    else {
        reel_noise_normal(&l->addnoise, C * count * plane, drawn);
        reel_upload(l->stream, z, drawn, C * count * plane * (int64_t)sizeof *z);
    }
    reel_blend(l->stream,
               (struct reel_blend){.rows = C,
                                   .width = count * plane,
                                   .share = 0.001f * (float)l->job->diffusion_forcing.addnoise_condition,
                                   .x = l->arena->at[REEL_LATENTS_INPUT],
                                   .x_stride = window * plane,
                                   .z = z});
}

const int64_t *reel_latents_assemble(struct reel_latents *l, int64_t row)
{
    const struct reel_timesteps *matrix = l->matrix;
    const struct reel_model *model = &l->plan->model;
    struct reel_range window = reel_timesteps_window(matrix, row);
    int64_t n = l->job->diffusion_forcing.addnoise_condition, prefix = l->chunk->prefix_frames;
    int64_t noised = prefix - window.first < window.count ? prefix - window.first : window.count;
    float *input = l->arena->at[REEL_LATENTS_INPUT];
    struct reel_span part = reel_part_begin(l->stream, "assemble");
    l->addnoise_start = l->addnoise;
    copy_frames(l, REEL_ON_DEVICE, model->out_channels, window.count,
                const_of(frames_of(l, REEL_LATENTS_X, l->frames, window.first)),
                (struct frames){input, window.count, 0});
    if (model->in_channels > model->out_channels)
        copy_frames(
            l, REEL_ON_DEVICE, model->in_channels - model->out_channels, window.count,
            const_of(frames_of(l, REEL_LATENTS_CONDITION, l->frames, window.first)),
            (struct frames){input + model->out_channels * window.count * plane_of(l), window.count, 0});
    for (int64_t f = 0; f < window.count; f++)
        l->timesteps[f] = n > 0 && window.first + f < prefix
                              ? n
                              : matrix->timestep[row * matrix->frames + window.first + f];
    if (n > 0 && noised > 0)
        noise_prefix(l, row, window.first, noised, window.count);
    reel_part_end(l->stream, part);
    return l->timesteps;
}

void reel_latents_cancel(struct reel_latents *l)
{
    l->addnoise = l->addnoise_start; /* nothing else has changed */
}

/* Steps one frame.
 *
 * The official loop gives the solver a view of the latents and writes the result through this view. After the
 * first step of a frame the solver's "last sample" is therefore the result of that step; after later steps it
 * is the corrector's own tensor. The released models are sampled in this way, and reel does the same
 * (last_is_result): without it the latents differ by several percent. */
static void step_frame(struct reel_latents *l, int64_t frame, struct reel_range window, const float *velocity)
{
    struct reel_solver_step step = reel_solver_next(l->schedule, &l->solver[frame]);
    reel_solve(l->stream, (struct reel_solve){.channels = l->plan->model.out_channels,
                                              .frames = l->frames,
                                              .plane = plane_of(l),
                                              .frame = frame,
                                              .v_frames = window.count,
                                              .v_frame = frame - window.first,
                                              .sigma = step.sigma,
                                              .corrects = step.corrects != 0,
                                              .last_is_result = l->solver[frame].step == 1,
                                              .correct_last = step.corrector.last,
                                              .correct_0 = step.corrector.m0,
                                              .correct_1 = step.corrector.m1,
                                              .correct_estimate = step.corrector.mt,
                                              .predict_x = step.predictor.x,
                                              .predict_0 = step.predictor.m0,
                                              .predict_1 = step.predictor.m1,
                                              .predict_v = step.predictor.v,
                                              .v = velocity,
                                              .x = l->arena->at[REEL_LATENTS_X],
                                              .m0 = l->arena->at[REEL_LATENTS_M0],
                                              .m1 = l->arena->at[REEL_LATENTS_M1],
                                              .last = l->arena->at[REEL_LATENTS_LAST]});
}

void reel_latents_step(struct reel_latents *l, int64_t row, const float *velocity)
{
    const struct reel_timesteps *matrix = l->matrix;
    struct reel_range window = reel_timesteps_window(matrix, row);
    struct reel_span part = reel_part_begin(l->stream, "step");
    for (int64_t f = window.first; f < window.first + window.count; f++)
        if (matrix->update[row * matrix->frames + f])
            step_frame(l, f, window, velocity);
    reel_part_end(l->stream, part);
}

void reel_latents_finish(struct reel_latents *l)
{
    copy_frames(l, REEL_FROM_DEVICE, l->plan->model.out_channels, l->chunk->frames,
                const_of(frames_of(l, REEL_LATENTS_X, l->frames, 0)),
                frames_of(l, REEL_LATENTS_VIDEO, l->plan->work.video_frames, l->chunk->first_frame));
}

/* The host's address of array a of the chunk: in the arena, or in a host copy (view), which the first call
 * allocates. NULL: no memory. */
static float *view_of(struct reel_latents *l, int64_t a)
{
    if (l->stream->ops->is_host)
        return l->arena->at[chunk_arrays[a].buffer];
    if (!l->views[a])
        l->views[a] = reel_allocate_host(l->stream->ops, reel_plan_bytes(l->plan, 0, chunk_arrays[a].buffer));
    return l->views[a];
}

enum reel_status reel_latents_collect(struct reel_latents *l, struct reel_checkpoint *checkpoint)
{
    const struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    int64_t of_solver = reel_solver_of(l->job->sampler.scheduler)->keeps_history ? CHUNK_ARRAYS : 1;
    checkpoint->array_count = 0;
    if (metadata->finished_frames > 0)
        checkpoint->arrays[checkpoint->array_count++] =
            (struct reel_checkpoint_array){.name = "video",
                                           .values = l->arena->at[REEL_LATENTS_VIDEO],
                                           .frames = metadata->finished_frames,
                                           .room_frames = l->plan->work.video_frames};
    for (int64_t a = 0; a < of_solver && metadata->chunk_frames > 0; a++) {
        float *values = view_of(l, a);
        REEL_NEED(values, REEL_NO_MEMORY, "no memory for a view of latents on the host");
        checkpoint->arrays[checkpoint->array_count++] =
            (struct reel_checkpoint_array){.name = chunk_arrays[a].name,
                                           .values = values,
                                           .frames = metadata->chunk_frames,
                                           .room_frames = metadata->chunk_frames};
    }
    return REEL_OK;
}

/* Copies all views to the device or from it. */
static void move_views(struct reel_latents *l, const struct reel_checkpoint *checkpoint,
                       enum reel_direction direction)
{
    int64_t bytes = checkpoint->metadata.channels * checkpoint->metadata.chunk_frames *
                    checkpoint->metadata.rows * checkpoint->metadata.columns * (int64_t)sizeof(float);
    for (int64_t a = 0; a < CHUNK_ARRAYS; a++)
        if (l->views[a] && direction == REEL_FROM_DEVICE)
            reel_download(l->stream, l->views[a], l->arena->at[chunk_arrays[a].buffer], bytes);
        else if (l->views[a])
            reel_upload(l->stream, l->arena->at[chunk_arrays[a].buffer], l->views[a], bytes);
}

enum reel_status reel_latents_fetch(struct reel_latents *l, const struct reel_checkpoint *checkpoint)
{
    move_views(l, checkpoint, REEL_FROM_DEVICE);
    return l->stream->status;
}

enum reel_status reel_latents_store(struct reel_latents *l, const struct reel_checkpoint *checkpoint)
{
    move_views(l, checkpoint, REEL_TO_DEVICE);
    return l->stream->status;
}

void reel_latents_restore(struct reel_latents *l, const struct reel_checkpoint_metadata *saved)
{
    l->noise = saved->noise;
    l->addnoise = saved->addnoise;
}
