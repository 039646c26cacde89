/* Computes from a job what every rank will hold, send and compute. */
#include "plan_forecast.h"

#include "model_file.h"
#include "tensor_input.h"

#include <stdlib.h>
#include <string.h>

/* The latent frames in the tensor name of the file at path; 0 when path is "". */
static enum reel_status frames_of(const struct reel_job *job, const struct reel_model *model,
                                  const char *path, const char *name, int64_t *frames)
{
    int64_t shape[4] = {model->out_channels, -1, job->video.height / model->stride,
                        job->video.width / model->stride},
            found[4] = {0};
    *frames = 0;
    if (!path[0])
        return REEL_OK;
    REEL_PASS(reel_input_shape(path, name, 4, shape, found));
    *frames = found[1];
    return REEL_OK;
}

struct reel_workload reel_forecast_workload(const struct reel_forecast *forecast, const struct reel_job *job,
                                            const struct reel_timeline *timeline)
{
    enum reel_dtype dtype = reel_compute_dtype(job->model.compute, forecast->machine.device.dtype);
    const struct reel_ops *ops = forecast->machine.device.memory_bytes > 0 ? &reel_ops_cuda : &reel_ops_cpu;
    return reel_timeline_workload(timeline, job, &forecast->model, 1, dtype,
                                  reel_compute_matrix_dtype(job->model.compute, dtype), ops);
}

enum reel_status reel_forecast_open(const struct reel_job *job, int64_t ranks,
                                    const struct reel_machine *machine, struct reel_forecast *f)
{
    memset(f, 0, sizeof *f);
    f->job = job;
    f->ranks = ranks;
    f->machine = *machine;
    REEL_PASS(reel_model_sizes(job->model.path, &f->model));
    REEL_PASS(frames_of(job, &f->model, job->diffusion_forcing.prefix_latents, "prefix_latents",
                        &f->prefix_frames));
    REEL_PASS(frames_of(job, &f->model, job->diffusion_forcing.end_latents, "end_latents", &f->end_frames));
    REEL_PASS(reel_timeline_make(job, f->prefix_frames, f->end_frames, (struct reel_begun){.count = 0},
                                 &f->timeline));
    f->work = reel_forecast_workload(f, job, &f->timeline);
    f->asked = reel_timeline_mesh(job);
    enum reel_status status = reel_timeline_check(job, &f->model, &f->work);
    if (status == REEL_OK)
        status = reel_forecast_decide(f);
    if (status == REEL_OK)
        status = reel_candidates_make(&f->model, &f->work, &f->asked, ranks, machine, &f->candidates);
    if (status != REEL_OK)
        reel_forecast_close(f);
    return status;
}

static void fill_rank(const struct reel_forecast *f, int64_t rank, struct reel_forecast_rank *of)
{
    reel_memory_held(&reel_buffers, &f->plan, rank, of->held.bytes);
    of->held.bytes[REEL_MEMORY_LIBRARIES] = f->machine.device.libraries_bytes;
    for (int m = 0; m < REEL_MEMORIES; m++)
        of->held.total += of->held.bytes[m];
    reel_traffic_iteration(&f->plan, rank, (struct reel_iteration){f->work.window_frames, 1}, of->sent.bytes);
    reel_timeline_traffic(&f->timeline, &f->plan, rank, of->sent_by_job.bytes);
    reel_traffic_prompts(&f->plan, rank, reel_plan_branches(&f->plan), of->sent_by_job.bytes);
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++) {
        of->sent.total += of->sent.bytes[p];
        of->sent_by_job.total += of->sent_by_job.bytes[p];
    }
    of->flops = reel_flops_iteration(&f->plan, rank, f->work.window_frames);
}

/* Adds the seconds of all iterations of one kind, and the seconds saved when they are skipped. */
static void add_seconds(struct reel_forecast *f, const struct reel_timeline_kind *kind)
{
    double computed = reel_estimate_iteration(&f->plan, &f->machine, kind->of.frames).seconds;
    double each =
        kind->of.computed ? computed : reel_estimate_skipped(&f->plan, &f->machine, kind->of.frames);
    f->seconds += (double)kind->iterations * each;
    f->saved_seconds += (double)kind->iterations * (computed - each);
}

/* The seconds of the work done once: keys and values of the prompts and the image, and the timestep table. */
static double seconds_once(const struct reel_forecast *f)
{
    double flops = (double)reel_plan_branches(&f->plan) * reel_flops_prompt(&f->plan, 0).gemm +
                   reel_flops_image(&f->plan, 0).gemm + reel_flops_embedding(&f->plan).gemm;
    return flops / f->machine.device.gemm_rate;
}

enum reel_status reel_forecast_make(struct reel_forecast *f)
{
    const struct reel_mesh *mesh = &f->candidates.at[f->candidates.chosen].mesh;
    REEL_PASS(reel_plan_make(&f->model, &f->work, mesh, f->ranks, &f->plan));
    reel_candidates_why(&f->candidates, f->why);
    f->iteration = reel_estimate_iteration(&f->plan, &f->machine, f->work.window_frames);
    f->seconds = seconds_once(f);
    for (struct reel_timeline_kind kind = {.next = 0}; reel_timeline_next(&f->timeline, &kind);)
        add_seconds(f, &kind);
    f->of = calloc((size_t)f->ranks, sizeof *f->of);
    REEL_NEED(f->of, REEL_NO_MEMORY, "no memory for the table of %lld ranks", (long long)f->ranks);
    for (int64_t rank = 0; rank < f->ranks; rank++)
        fill_rank(f, rank, &f->of[rank]);
    return REEL_OK;
}

void reel_forecast_close(struct reel_forecast *f)
{
    reel_timeline_free(&f->timeline);
    free(f->of);
    f->of = NULL;
}
