/* Opening a job: what it names is read and checked, then planned, then allocated and loaded. */
#include "sampler.h"

#include "fault.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double reel_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The timestep matrix of every chunk, and the number of iterations that run. Not collective. */
static enum reel_status make_matrices(struct reel_sampler *s)
{
    const struct reel_job *job = s->job;
    s->matrices = calloc((size_t)s->chunk_count, sizeof *s->matrices);
    REEL_NEED(s->matrices, REEL_NO_MEMORY, "no memory for the timesteps of %lld chunks",
              (long long)s->chunk_count);
    int64_t rows = 0;
    for (int64_t k = 0; k < s->chunk_count; k++) {
        const struct reel_chunk *chunk = &s->chunks[k];
        struct reel_timesteps_request request = {.frames = chunk->frames + chunk->end_frames,
                                                 .prefix_frames = chunk->prefix_frames,
                                                 .end_frames = chunk->end_frames,
                                                 .window_frames = reel_chunk_window(job, chunk),
                                                 .block = job->diffusion_forcing.causal_block_size,
                                                 .ar_step = job->diffusion_forcing.ar_step};
        REEL_PASS(reel_timesteps_make(&request, &s->schedule, &s->matrices[k]));
        for (int64_t row = 0; row < s->matrices[k].rows; row++)
            s->iterations += reel_timesteps_runs(&s->matrices[k], row);
        rows += s->matrices[k].rows;
    }
    s->calls = malloc((size_t)(2 * rows) * sizeof *s->calls);
    REEL_NEED(s->calls, REEL_NO_MEMORY, "no memory for the record of %lld iterations", (long long)rows);
    return REEL_OK;
}

/* Every timestep that the transformer will hear. */
static void collect_timesteps(struct reel_sampler *s)
{
    int64_t addnoise = s->job->diffusion_forcing.addnoise_condition;
    reel_embedding_clear(&s->embedding);
    for (int64_t k = 0; k < s->chunk_count; k++) {
        reel_embedding_add(&s->embedding, s->matrices[k].timestep,
                           s->matrices[k].rows * s->matrices[k].frames);
        if (s->chunks[k].prefix_frames > 0)
            reel_embedding_add(&s->embedding, &addnoise, 1);
    }
}

/* The largest GEMM input and head that the kernels will see. */
static struct reel_scratch scratch_of(const struct reel_model *m)
{
    struct reel_scratch most = {
        .in = m->width, .channels = reel_model_head_channels(m), .threads = omp_get_max_threads()};
    const int64_t others[] = {m->ffn, m->text_width, m->image_width, m->frequencies, 4 * m->in_channels};
    for (int i = 0; i < 5; i++)
        if (others[i] > most.in)
            most.in = others[i];
    return most;
}

static struct reel_workload workload_of(const struct reel_sampler *s)
{
    const struct reel_model *model = &s->model_files.model;
    struct reel_scratch scratch = scratch_of(model);
    struct reel_workload work = {.H = s->job->video.height / 16,
                                 .W = s->job->video.width / 16,
                                 .video_frames = s->chunks[s->chunk_count - 1].kept,
                                 .branches = s->job->sampler.guidance_scale > 1 ? 2 : 1,
                                 .embedding_rows = s->embedding.rows,
                                 .weights_bytes = reel_weights_bytes(model),
                                 .scratch_bytes = reel_scratch_bytes(&reel_ops_cpu, &scratch)};
    for (int64_t k = 0; k < s->chunk_count; k++) {
        int64_t frames = s->chunks[k].frames + s->chunks[k].end_frames;
        int64_t window = reel_chunk_window(s->job, &s->chunks[k]);
        work.chunk_frames = frames > work.chunk_frames ? frames : work.chunk_frames;
        work.window_frames = window > work.window_frames ? window : work.window_frames;
    }
    return work;
}

/* What the model cannot do with this job. */
static enum reel_status check_model(const struct reel_sampler *s, const struct reel_workload *work)
{
    int64_t most = s->model_files.model.rope_positions, channels = s->model_files.model.out_channels;
    REEL_NEED(
        work->window_frames <= most && work->H <= most && work->W <= most, REEL_BAD_JOB,
        "%lld latent frames of %lld x %lld tokens enter the transformer, expected at most %lld of each: see "
        "diffusion_forcing.base_frames, video.height, video.width",
        (long long)work->window_frames, (long long)work->H, (long long)work->W, (long long)most);
    REEL_NEED(s->model_files.model.in_channels >= channels, REEL_BAD_INPUT,
              "%s: the model takes %lld channels and gives %lld, expected at least as many in as out",
              s->job->model.path, (long long)s->model_files.model.in_channels, (long long)channels);
    return REEL_OK;
}

/* Everything before the plan: files, chunks, matrices. Collective over world. */
static enum reel_status prepare(struct reel_sampler *s)
{
    struct reel_comm *comm = s->comm;
    const struct reel_job *job = s->job;
    enum reel_status status =
        reel_schedule_make(job->sampler.scheduler, job->sampler.steps, job->sampler.shift, &s->schedule);
    if (status == REEL_OK && comm->world.rank == 0)
        status = reel_output_check(job->output.latents);
    if (status == REEL_OK)
        status = reel_model_open(job->model.path, &s->model_files);
    if (status == REEL_OK && reel_fault(REEL_FAULT_MODEL_OPEN))
        status = reel_fail(REEL_BAD_INPUT, "planted: the model cannot be opened");
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_inputs_open(comm, job, &s->model_files.model, &s->inputs));
    status =
        reel_chunks_make(job, s->inputs.prefix_frames, s->inputs.end_frames, &s->chunks, &s->chunk_count);
    if (status == REEL_OK)
        status = make_matrices(s);
    if (status == REEL_OK && reel_fault(REEL_FAULT_CHUNKS))
        status = reel_fail(REEL_NO_MEMORY, "planted: no memory for chunks");
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_inputs_chunks(comm, job, &s->model_files.model, s->chunks, s->matrices, s->chunk_count,
                                 &s->inputs));
    collect_timesteps(s);
    return REEL_OK;
}

static void tell(const struct reel_sampler *s, const struct reel_event *event)
{
    if (s->observer.see && s->comm->world.rank == 0)
        s->observer.see(s->observer.context, event);
}

/* The plan, made on every rank and compared as bytes; then its memory. Collective over world. */
static enum reel_status allocate(struct reel_sampler *s)
{
    struct reel_workload work = workload_of(s);
    struct reel_mesh mesh = {.cfg = s->job->partition.cfg,
                             .ring = s->job->partition.ring,
                             .ulysses = s->job->partition.ulysses,
                             .tensor = s->job->partition.tensor};
    enum reel_status status = check_model(s, &work);
    if (status == REEL_OK)
        status = reel_plan_make(&s->model_files.model, &work, &mesh, s->comm->world.size, &s->plan);
    REEL_PASS(reel_agree(s->comm, status));
    struct reel_plan first = s->plan;
    REEL_PASS(reel_broadcast(s->comm, &first, (int64_t)sizeof first));
    if (memcmp(&first, &s->plan, sizeof first) != 0 || reel_fault(REEL_FAULT_PLAN))
        status = reel_fail(
            REEL_BAD_PLAN,
            "rank %lld plans otherwise than rank 0: the ranks see other files, or have other numbers of "
            "threads (OMP_NUM_THREADS)",
            (long long)s->comm->world.rank);
    REEL_PASS(reel_agree(s->comm, status));
    tell(s, &(struct reel_event){.kind = REEL_EVENT_PLAN,
                                 .plan = &s->plan,
                                 .threads = omp_get_max_threads(),
                                 .iterations = s->iterations,
                                 .chunks = s->chunk_count});
    REEL_PASS(reel_agree(s->comm, reel_comm_mesh(s->comm, &s->plan)));
    return reel_agree(s->comm, reel_arena_open(&s->plan, s->comm->world.rank, &s->arena));
}

/* Weights, stream and embedding table. Collective over world. */
static enum reel_status load(struct reel_sampler *s)
{
    const struct reel_model *model = &s->model_files.model;
    struct reel_scratch scratch = scratch_of(model);
    double began = reel_seconds();
    enum reel_status status = reel_weights_load(&s->model_files, s->arena.at[REEL_WEIGHTS],
                                                s->plan.work.weights_bytes, &s->weights, NULL, NULL);
    if (status == REEL_OK && reel_fault(REEL_FAULT_WEIGHTS_READ))
        status = reel_fail(REEL_BAD_INPUT, "planted: the weights cannot be read");
    REEL_PASS(reel_agree(s->comm, status));
    tell(s, &(struct reel_event){.kind = REEL_EVENT_WEIGHTS,
                                 .seconds = reel_seconds() - began,
                                 .bytes = s->plan.work.weights_bytes});
    reel_stream_open(&s->stream, &reel_ops_cpu, &scratch, s->arena.at[REEL_SCRATCH]);
    reel_embedding_make(&s->embedding, model, &s->weights, s->job->video.fps, &s->arena, &s->stream);
    reel_dit_open(&s->dit, &s->plan, &s->arena, &s->weights, &s->embedding, &s->comm->sequence, &s->stream);
    if (s->inputs.image)
        reel_dit_image(&s->dit, s->inputs.image);
    return reel_agree(s->comm, s->stream.status);
}

enum reel_status reel_sampler_open(struct reel_sampler *sampler, const struct reel_job *job,
                                   const char *job_text, struct reel_comm *comm,
                                   const struct reel_observer *observer)
{
    memset(sampler, 0, sizeof *sampler);
    sampler->job = job;
    sampler->job_text = job_text;
    sampler->comm = comm;
    sampler->observer = *observer;
    sampler->began = reel_seconds();
    enum reel_status status = prepare(sampler);
    if (status == REEL_OK && sampler->inputs.prompts_made)
        tell(sampler,
             &(struct reel_event){.kind = REEL_EVENT_NOTE,
                                  .text = "prompt.embeds is not given: seeded random prompts stand in"});
    if (status == REEL_OK)
        status = allocate(sampler);
    if (status == REEL_OK)
        status = load(sampler);
    reel_random_seed(&sampler->noise, (uint64_t)job->sampler.seed);
    reel_random_seed(&sampler->addnoise, (uint64_t)job->sampler.seed ^ 0x9E3779B9u);
    if (status != REEL_OK)
        reel_sampler_close(sampler);
    return status;
}

void reel_sampler_close(struct reel_sampler *sampler)
{
    free(sampler->now.addnoise);
    free(sampler->now.timesteps);
    free(sampler->now.solver);
    free(sampler->calls);
    for (int64_t k = 0; sampler->matrices && k < sampler->chunk_count; k++)
        reel_timesteps_free(&sampler->matrices[k]);
    free(sampler->matrices);
    free(sampler->chunks);
    reel_arena_close(&sampler->arena);
    reel_inputs_close(&sampler->inputs);
    reel_model_close(&sampler->model_files);
    memset(sampler, 0, sizeof *sampler);
}
