/* From a job to counts. */
#include "outline.h"

#include "choose.h"
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

/* The timestep matrix of every chunk, and the number of iterations that run. */
static enum reel_status make_matrices(const struct reel_job *job, struct reel_outline *outline)
{
    outline->matrices = calloc((size_t)outline->chunk_count, sizeof *outline->matrices);
    REEL_NEED(outline->matrices, REEL_NO_MEMORY, "no memory for the timesteps of %lld chunks",
              (long long)outline->chunk_count);
    for (int64_t k = 0; k < outline->chunk_count; k++) {
        const struct reel_chunk *chunk = &outline->chunks[k];
        struct reel_timesteps_request request = {.frames = chunk->frames + chunk->end_frames,
                                                 .prefix_frames = chunk->prefix_frames,
                                                 .end_frames = chunk->end_frames,
                                                 .window_frames = reel_chunk_window(job, chunk),
                                                 .block = job->diffusion_forcing.causal_block_size,
                                                 .ar_step = job->diffusion_forcing.ar_step};
        REEL_PASS(reel_timesteps_make(&request, &outline->schedule, &outline->matrices[k]));
        for (int64_t row = 0; row < outline->matrices[k].rows; row++)
            outline->iterations += reel_timesteps_runs(&outline->matrices[k], row);
        outline->rows += outline->matrices[k].rows;
        if (outline->matrices[k].frames > outline->tally_frames)
            outline->tally_frames = outline->matrices[k].frames;
    }
    return REEL_OK;
}

/* Every timestep that the transformer will hear. */
static void collect_timesteps(const struct reel_job *job, struct reel_outline *outline)
{
    int64_t addnoise = job->diffusion_forcing.addnoise_condition;
    reel_timestep_table_clear(&outline->table);
    for (int64_t k = 0; k < outline->chunk_count; k++) {
        const struct reel_timesteps *matrix = &outline->matrices[k];
        reel_timestep_table_add(&outline->table, matrix->timestep, matrix->rows * matrix->frames);
        if (outline->chunks[k].prefix_frames > 0)
            reel_timestep_table_add(&outline->table, &addnoise, 1);
    }
}

enum reel_status reel_outline_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                   struct reel_begun begun, struct reel_outline *outline)
{
    memset(outline, 0, sizeof *outline);
    enum reel_status status = reel_schedule_make(job->sampler.scheduler, job->sampler.steps,
                                                 job->sampler.shift, &outline->schedule);
    if (status == REEL_OK)
        status =
            reel_chunks_make(job, prefix_frames, end_frames, begun, &outline->chunks, &outline->chunk_count);
    if (status == REEL_OK)
        status = make_matrices(job, outline);
    if (status == REEL_OK) {
        outline->calls = calloc((size_t)(2 * outline->rows), sizeof *outline->calls);
        outline->tally = calloc((size_t)(2 * (outline->tally_frames + 1)), sizeof *outline->tally);
    }
    if (status == REEL_OK && !(outline->calls && outline->tally))
        status =
            reel_fail(REEL_NO_MEMORY, "no memory for the calls of %lld iterations", (long long)outline->rows);
    if (status == REEL_OK)
        collect_timesteps(job, outline);
    else
        reel_outline_free(outline);
    return status;
}

void reel_outline_free(struct reel_outline *outline)
{
    for (int64_t k = 0; outline->matrices && k < outline->chunk_count; k++)
        reel_timesteps_free(&outline->matrices[k]);
    free(outline->calls);
    free(outline->tally);
    free(outline->matrices);
    free(outline->chunks);
    memset(outline, 0, sizeof *outline);
}

struct reel_scratch reel_outline_scratch(const struct reel_model *m, int64_t threads, int fp8)
{
    struct reel_scratch most = {
        .in = m->width, .channels = reel_model_head_channels(m), .threads = threads, .fp8 = fp8};
    const int64_t others[] = {m->ffn, m->text_width, m->image_width, m->frequencies, 4 * m->in_channels};
    for (int i = 0; i < 5; i++)
        if (others[i] > most.in)
            most.in = others[i];
    return most;
}

int64_t reel_number_bytes(enum reel_compute compute, int64_t of_device)
{
    return compute == REEL_COMPUTE_AUTO ? of_device : compute == REEL_COMPUTE_FP32 ? 4 : 2;
}

struct reel_workload reel_outline_workload(const struct reel_outline *outline, const struct reel_job *job,
                                           const struct reel_model *model, int64_t threads,
                                           int64_t number_bytes, int fp8, const struct reel_ops *ops)
{
    struct reel_scratch scratch = reel_outline_scratch(model, threads, fp8);
    struct reel_workload work = {.H = job->video.height / 16,
                                 .W = job->video.width / 16,
                                 .video_frames = outline->chunks[outline->chunk_count - 1].kept,
                                 .branches = job->sampler.guidance_scale > 1 ? 2 : 1,
                                 .embedding_rows = outline->table.rows,
                                 .number_bytes = number_bytes,
                                 .fp8 = fp8,
                                 .causal_block = job->diffusion_forcing.causal_attention
                                                     ? job->diffusion_forcing.causal_block_size
                                                     : 0,
                                 .expanded = job->teacache.embedding == REEL_EMBEDDING_EXPANDED,
                                 .signal_rows = job->teacache.mode == REEL_TEACACHE_E    ? 1
                                                : job->teacache.mode == REEL_TEACACHE_E0 ? 6
                                                                                         : 0,
                                 .scratch_bytes = reel_scratch_bytes(ops, &scratch)};
    /* as wide as what is computed in: the official code keeps bf16 residuals of a bf16 model */
    work.residual_bytes = work.number_bytes == 4 || job->teacache.residual == REEL_RESIDUAL_FP32 ? 4 : 2;
    for (int64_t k = 0; k < outline->chunk_count; k++) {
        const struct reel_chunk *chunk = &outline->chunks[k];
        int64_t frames = chunk->frames + chunk->end_frames, window = reel_chunk_window(job, chunk);
        work.chunk_frames = frames > work.chunk_frames ? frames : work.chunk_frames;
        work.window_frames = window > work.window_frames ? window : work.window_frames;
    }
    return work;
}

_Static_assert((int)REEL_AUTO == (int)REEL_AUTO_WAYS, "ways that a job leaves open are those of a mesh");

struct reel_mesh reel_outline_mesh(const struct reel_job *job)
{
    static const int64_t gathered[] = {
        [REEL_WEIGHTS_AUTO] = REEL_AUTO_WAYS, [REEL_WEIGHTS_RESIDENT] = 0, [REEL_WEIGHTS_GATHERED] = 1};
    return (struct reel_mesh){.cfg = job->partition.cfg,
                              .ring = job->partition.ring,
                              .ulysses = job->partition.ulysses,
                              .tensor = job->partition.tensor,
                              .gathered = gathered[job->partition.weights]};
}

void reel_outline_count(struct reel_outline *outline)
{
    memset(outline->tally, 0, (size_t)(2 * (outline->tally_frames + 1)) * sizeof *outline->tally);
    for (int64_t c = outline->first_call; c < outline->call_count; c++) {
        const struct reel_call *call = &outline->calls[c];
        const int64_t *interval = outline->matrices[call->chunk].interval + 2 * call->iteration;
        if (call->branch == 0)
            outline->tally[2 * (interval[1] - interval[0]) + (call->computed != 0)]++;
    }
}

int reel_outline_next(const struct reel_outline *outline, struct reel_outline_kind *kind)
{
    for (; kind->next < 2 * (outline->tally_frames + 1); kind->next++) {
        kind->iterations = outline->tally[kind->next];
        kind->of = (struct reel_iteration){.frames = kind->next / 2, .computed = kind->next % 2};
        if (kind->iterations > 0) {
            kind->next++;
            return 1;
        }
    }
    return 0;
}

void reel_outline_traffic(const struct reel_outline *outline, const struct reel_plan *plan, int64_t rank,
                          int64_t bytes[REEL_PURPOSES])
{
    memset(bytes, 0, REEL_PURPOSES * sizeof *bytes);
    for (struct reel_outline_kind kind = {.next = 0}; reel_outline_next(outline, &kind);) {
        int64_t once[REEL_PURPOSES] = {0};
        reel_traffic_iteration(plan, rank, kind.of, once);
        for (int p = 0; p < REEL_PURPOSES; p++)
            if (__builtin_mul_overflow(kind.iterations, once[p], &once[p]) ||
                __builtin_add_overflow(bytes[p], once[p], &bytes[p]))
                bytes[p] =
                    INT64_MAX / REEL_PURPOSES; /* of a job that nobody will see the end of; sums still hold */
    }
    if (plan->model.image_rows > 0)
        reel_traffic_image(plan, rank, bytes);
}

enum reel_status reel_outline_check(const struct reel_job *job, const struct reel_model *model,
                                    const struct reel_workload *work)
{
    int64_t most = model->rope_positions;
    REEL_NEED(
        work->window_frames <= most && work->H <= most && work->W <= most, REEL_BAD_JOB,
        "%lld latent frames of %lld x %lld tokens enter the transformer, expected at most %lld of each: see "
        "diffusion_forcing.base_frames, video.height, video.width",
        (long long)work->window_frames, (long long)work->H, (long long)work->W, (long long)most);
    REEL_NEED(model->in_channels >= model->out_channels, REEL_BAD_INPUT,
              "%s: the model takes %lld channels and gives %lld, expected at least as many in as out",
              job->model.path, (long long)model->in_channels, (long long)model->out_channels);
    return REEL_OK;
}
