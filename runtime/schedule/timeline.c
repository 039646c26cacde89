/* The timeline of a job, and the counts that follow from it. */
#include "timeline.h"

#include "choose.h"
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

/* Makes the timestep matrix of every chunk, and counts the iterations that run. */
static enum reel_status make_matrices(const struct reel_job *job, struct reel_timeline *timeline)
{
    timeline->matrices = calloc((size_t)timeline->chunk_count, sizeof *timeline->matrices);
    REEL_NEED(timeline->matrices, REEL_NO_MEMORY, "no memory for the timesteps of %lld chunks",
              (long long)timeline->chunk_count);
    for (int64_t k = 0; k < timeline->chunk_count; k++) {
        const struct reel_chunk *chunk = &timeline->chunks[k];
        struct reel_timesteps_request request = {.frames = chunk->frames + chunk->end_frames,
                                                 .prefix_frames = chunk->prefix_frames,
                                                 .end_frames = chunk->end_frames,
                                                 .window_frames = reel_row_window(job, chunk),
                                                 .block = job->diffusion_forcing.causal_block_size,
                                                 .ar_step = job->diffusion_forcing.ar_step};
        REEL_PASS(reel_timesteps_make(&request, &timeline->schedule, &timeline->matrices[k]));
        for (int64_t row = 0; row < timeline->matrices[k].rows; row++)
            timeline->iterations += reel_timesteps_runs(&timeline->matrices[k], row);
        timeline->rows += timeline->matrices[k].rows;
        if (timeline->matrices[k].frames > timeline->tally_frames)
            timeline->tally_frames = timeline->matrices[k].frames;
    }
    return REEL_OK;
}

/* Collects every timestep that the transformer will receive. */
static void collect_timesteps(const struct reel_job *job, struct reel_timeline *timeline)
{
    int64_t addnoise = job->diffusion_forcing.addnoise_condition;
    reel_timestep_table_clear(&timeline->table);
    for (int64_t k = 0; k < timeline->chunk_count; k++) {
        const struct reel_timesteps *matrix = &timeline->matrices[k];
        reel_timestep_table_add(&timeline->table, matrix->timestep, matrix->rows * matrix->frames);
        if (timeline->chunks[k].prefix_frames > 0)
            reel_timestep_table_add(&timeline->table, &addnoise, 1);
    }
}

enum reel_status reel_timeline_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                    struct reel_begun begun, struct reel_timeline *timeline)
{
    memset(timeline, 0, sizeof *timeline);
    enum reel_status status = reel_schedule_make(job->sampler.scheduler, job->sampler.steps,
                                                 job->sampler.shift, &timeline->schedule);
    if (status == REEL_OK)
        status = reel_chunks_make(job, prefix_frames, end_frames, begun, &timeline->chunks,
                                  &timeline->chunk_count);
    if (status == REEL_OK)
        status = make_matrices(job, timeline);
    if (status == REEL_OK) {
        timeline->calls = calloc((size_t)(2 * timeline->rows), sizeof *timeline->calls);
        timeline->tally = calloc((size_t)(2 * (timeline->tally_frames + 1)), sizeof *timeline->tally);
    }
    if (status == REEL_OK && !(timeline->calls && timeline->tally))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the calls of %lld iterations",
                           (long long)timeline->rows);
    if (status == REEL_OK)
        collect_timesteps(job, timeline);
    else
        reel_timeline_free(timeline);
    return status;
}

void reel_timeline_free(struct reel_timeline *timeline)
{
    for (int64_t k = 0; timeline->matrices && k < timeline->chunk_count; k++)
        reel_timesteps_free(&timeline->matrices[k]);
    free(timeline->calls);
    free(timeline->tally);
    free(timeline->matrices);
    free(timeline->chunks);
    memset(timeline, 0, sizeof *timeline);
}

struct reel_scratch reel_timeline_scratch(const struct reel_model *m, int64_t threads,
                                          enum reel_dtype matrix_dtype)
{
    struct reel_scratch max = {.in = m->width,
                               .channels = reel_model_head_channels(m),
                               .threads = threads,
                               .weight_dtype = matrix_dtype};
    const int64_t others[] = {m->ffn, m->text_width, m->image_width, m->frequencies,
                              reel_model_patch_latents(m) * m->in_channels};
    for (int i = 0; i < 5; i++)
        if (others[i] > max.in)
            max.in = others[i];
    return max;
}

enum reel_dtype reel_compute_dtype(enum reel_compute compute, enum reel_dtype of_device)
{
    return compute == REEL_COMPUTE_AUTO ? of_device : compute == REEL_COMPUTE_FP32 ? REEL_F32 : REEL_BF16;
}

enum reel_dtype reel_compute_matrix_dtype(enum reel_compute compute, enum reel_dtype dtype)
{
    return compute == REEL_COMPUTE_FP8 ? REEL_F8_E4M3 : dtype;
}

struct reel_workload reel_timeline_workload(const struct reel_timeline *timeline, const struct reel_job *job,
                                            const struct reel_model *model, int64_t threads,
                                            enum reel_dtype dtype, enum reel_dtype matrix_dtype,
                                            const struct reel_ops *ops)
{
    struct reel_scratch scratch = reel_timeline_scratch(model, threads, matrix_dtype);
    int64_t pixels = model->stride * model->patch; /* rows and columns of pixels in a token */
    struct reel_workload work = {.H = job->video.height / pixels,
                                 .W = job->video.width / pixels,
                                 .video_frames = timeline->chunks[timeline->chunk_count - 1].kept,
                                 .branches = job->sampler.guidance_scale > 1 ? 2 : 1,
                                 .embedding_rows = timeline->table.rows,
                                 .dtype = dtype,
                                 .matrix_dtype = matrix_dtype,
                                 .causal_block = job->diffusion_forcing.causal_attention
                                                     ? job->diffusion_forcing.causal_block_size
                                                     : 0,
                                 .expanded = job->teacache.embedding == REEL_EMBEDDING_EXPANDED,
                                 .signal_rows = job->teacache.mode == REEL_TEACACHE_E    ? 1
                                                : job->teacache.mode == REEL_TEACACHE_E0 ? 6
                                                                                         : 0,
                                 .scratch_bytes = reel_scratch_bytes(ops, &scratch)};
    /* as wide as the dtype of the computation: the official code keeps bf16 residuals for a bf16 model */
    work.residual_dtype =
        dtype == REEL_F32 || job->teacache.residual == REEL_RESIDUAL_FP32 ? REEL_F32 : REEL_BF16;
    for (int64_t k = 0; k < timeline->chunk_count; k++) {
        const struct reel_chunk *chunk = &timeline->chunks[k];
        int64_t frames = chunk->frames + chunk->end_frames, window = reel_row_window(job, chunk);
        work.chunk_frames = frames > work.chunk_frames ? frames : work.chunk_frames;
        work.window_frames = window > work.window_frames ? window : work.window_frames;
    }
    return work;
}

_Static_assert((int)REEL_AUTO == (int)REEL_AUTO_WAYS, "ways that a job leaves open are those of a mesh");

struct reel_mesh reel_timeline_mesh(const struct reel_job *job)
{
    static const int64_t gathered[] = {
        [REEL_WEIGHTS_AUTO] = REEL_AUTO_WAYS, [REEL_WEIGHTS_RESIDENT] = 0, [REEL_WEIGHTS_GATHERED] = 1};
    return (struct reel_mesh){.cfg = job->partition.cfg,
                              .ring = job->partition.ring,
                              .ulysses = job->partition.ulysses,
                              .tensor = job->partition.tensor,
                              .gathered = gathered[job->partition.weights]};
}

void reel_timeline_decided(struct reel_timeline *timeline, int64_t count)
{
    timeline->call_count = count;
}

int64_t reel_timeline_resume(struct reel_timeline *timeline, const struct reel_call *calls, int64_t count,
                             int64_t begun, int64_t made, int64_t *changed)
{
    int64_t kept = 0;
    *changed = 0;
    while (kept < count && calls[kept].chunk < begun)
        kept++;
    int fits = kept <= 2 * timeline->rows && made <= kept &&
               (timeline->call_count == 0 || kept <= timeline->call_count);
    for (int64_t c = 0; fits && c < kept; c++) {
        const struct reel_call *now = &timeline->calls[c], *then = &calls[c];
        if (c < timeline->call_count) {
            fits =
                now->chunk == then->chunk && now->iteration == then->iteration && now->branch == then->branch;
            *changed += now->computed != then->computed;
        }
        timeline->calls[c] = *then;
    }
    if (timeline->call_count < kept)
        timeline->call_count = kept;
    timeline->first_call = made;
    return fits ? kept : -1;
}

void reel_timeline_count(struct reel_timeline *timeline)
{
    memset(timeline->tally, 0, (size_t)(2 * (timeline->tally_frames + 1)) * sizeof *timeline->tally);
    for (int64_t c = timeline->first_call; c < timeline->call_count; c++) {
        const struct reel_call *call = &timeline->calls[c];
        const int64_t *interval = timeline->matrices[call->chunk].interval + 2 * call->iteration;
        if (call->branch == 0)
            timeline->tally[2 * (interval[1] - interval[0]) + (call->computed != 0)]++;
    }
}

int reel_timeline_next(const struct reel_timeline *timeline, struct reel_timeline_kind *kind)
{
    for (; kind->next < 2 * (timeline->tally_frames + 1); kind->next++) {
        kind->iterations = timeline->tally[kind->next];
        kind->of = (struct reel_iteration){.frames = kind->next / 2, .computed = kind->next % 2};
        if (kind->iterations > 0) {
            kind->next++;
            return 1;
        }
    }
    return 0;
}

void reel_timeline_traffic(const struct reel_timeline *timeline, const struct reel_plan *plan, int64_t rank,
                           int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    memset(bytes, 0, REEL_TRAFFIC_CLASSES * sizeof *bytes);
    for (struct reel_timeline_kind kind = {.next = 0}; reel_timeline_next(timeline, &kind);) {
        int64_t once[REEL_TRAFFIC_CLASSES] = {0};
        reel_traffic_iteration(plan, rank, kind.of, once);
        for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
            if (__builtin_mul_overflow(kind.iterations, once[p], &once[p]) ||
                __builtin_add_overflow(bytes[p], once[p], &bytes[p]))
                /* such a job never ends; with this value the sum over all classes does not overflow */
                bytes[p] = INT64_MAX / REEL_TRAFFIC_CLASSES;
    }
    if (plan->model.image_rows > 0)
        reel_traffic_image(plan, rank, bytes);
}

enum reel_status reel_timeline_check(const struct reel_job *job, const struct reel_model *model,
                                     const struct reel_workload *work)
{
    int64_t max = model->rope_positions;
    REEL_NEED(
        work->window_frames <= max && work->H <= max && work->W <= max, REEL_BAD_JOB,
        "%lld latent frames of %lld x %lld tokens enter the transformer, expected at most %lld of each: see "
        "diffusion_forcing.base_frames, video.height, video.width",
        (long long)work->window_frames, (long long)work->H, (long long)work->W, (long long)max);
    REEL_NEED(model->in_channels >= model->out_channels, REEL_BAD_INPUT,
              "%s: the model takes %lld channels and gives %lld, expected at least as many in as out",
              job->model.path, (long long)model->in_channels, (long long)model->out_channels);
    return REEL_OK;
}
