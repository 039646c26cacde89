/* Checking that a checkpoint is of this job, and that its state is possible. */
#include "resume_compare.h"

#include "fingerprint.h"
#include "gpu.h"
#include "heartbeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of frames may grow, but not shrink. On rank 0. */
static enum reel_status compare_frames(const struct reel_resume *resume, const struct reel_job *job,
                                       int *grown)
{
    char value[REEL_LINE_BYTES];
    *grown = 0;
    if (!reel_fingerprint_value(resume->saved.job, "video.frames", value))
        return REEL_OK;
    long long saved = atoll(value), now = (long long)job->video.frames;
    *grown = now > saved;
    REEL_NEED(now >= saved, REEL_BAD_INPUT,
              "%s: was made with video.frames %lld, and the job has %lld, expected as many or more, or "
              "--fresh to start over",
              resume->file, saved, now);
    REEL_NEED(!*grown || !job->diffusion_forcing.end_latents[0], REEL_BAD_INPUT,
              "%s: was made with video.frames %lld, and the job has %lld, expected the same, because "
              "its last chunk ends with diffusion_forcing.end_latents",
              resume->file, saved, now);
    return REEL_OK;
}

static void model_line(FILE *out, const struct reel_model *m)
{
    fprintf(out,
            "model: %lld layers of %lld, %lld heads, feed-forward %lld, %lld channels in and %lld out, text "
            "%lld x %lld, image %lld x %lld, frequencies %lld, epsilon %.17g\n",
            (long long)m->layers, (long long)m->width, (long long)m->heads, (long long)m->ffn,
            (long long)m->in_channels, (long long)m->out_channels, (long long)m->text_rows,
            (long long)m->text_width, (long long)m->image_rows, (long long)m->image_width,
            (long long)m->frequencies, m->epsilon);
}

enum reel_status reel_compare_job(const struct reel_resume *resume, const struct reel_model *model,
                                  const struct reel_run *run, int *grown)
{
    struct reel_fingerprint_rules rules = {.file = resume->file, .partial = 1};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    REEL_NEED(out, REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    reel_fingerprint_job(out, run->job_text);
    model_line(out, model);
    fclose(out);
    enum reel_status status = reel_fingerprint_compare(resume->saved.fingerprint, text, &rules);
    free(text);
    return status == REEL_OK ? compare_frames(resume, run->job, grown) : status;
}

static void coefficients_line(FILE *out, const struct reel_teacache_rule *rule)
{
    fprintf(out, "teacache.coefficients: [");
    for (int64_t c = 0; rule->mode != REEL_TEACACHE_OFF && c < rule->coefficient_count; c++)
        fprintf(out, "%s%.17g", c ? ", " : "", rule->coefficients[c]);
    fprintf(out, "]\n");
}

/* Writes the parts of the fingerprint that all chunks share. On rank 0. */
static void write_shared(const struct reel_engine *engine, const struct reel_run *run, FILE *out)
{
    const struct reel_model *model = &engine->model_files.model;
    reel_fingerprint_job(out, run->job_text);
    fprintf(out, "model.compute: %s\n",
            engine->device.matrix_dtype == REEL_F8_E4M3 ? "fp8"
            : engine->device.dtype == REEL_F32          ? "fp32"
                                                        : "bf16");
    model_line(out, model);
    coefficients_line(out, &run->teacache);
    reel_inputs_fingerprint(run->job, model, &run->inputs, out);
}

enum reel_status reel_compare_make_fingerprint(const struct reel_engine *engine, const struct reel_run *run,
                                               char **fingerprint)
{
    const struct reel_timeline *timeline = &run->timeline;
    int is_first = engine->comm->world.rank == 0;
    size_t bytes = 0;
    *fingerprint = NULL;
    FILE *out = is_first ? open_memstream(fingerprint, &bytes) : NULL;
    enum reel_status status = REEL_OK;
    if (is_first && !out)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    REEL_PASS(reel_agree(engine->comm, status));
    if (out)
        write_shared(engine, run, out);
    for (int64_t k = 0; k < timeline->chunk_count && status == REEL_OK; k++) {
        if (out)
            status = reel_inputs_fingerprint_chunk(run->job, &engine->model_files.model, &timeline->chunks[k],
                                                   timeline->matrices[k].rows, &run->inputs, out);
        status = reel_agree(engine->comm, status);
        reel_heartbeat();
    }
    if (out) {
        int failed = ferror(out);
        failed |= fclose(out) != 0;
        if (status == REEL_OK && failed)
            status = reel_fail(REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    }
    status = reel_agree(engine->comm, status);
    if (status != REEL_OK) {
        free(*fingerprint);
        *fingerprint = NULL;
    }
    return status;
}

/* Logs that the video grows, and whether the result will be that of a fresh job of the new length: it is if
 * the chunks that have begun are also that job's. On rank 0. */
static void log_growth(const struct reel_resume *resume, const struct reel_run *run)
{
    struct reel_chunk *fresh;
    int64_t count, begun = resume->saved.metadata.begun;
    int same = reel_chunks_make(run->job, run->inputs.prefix_frames, run->inputs.end_frames,
                                (struct reel_begun){.count = 0}, &fresh, &count) == REEL_OK;
    same = same && begun <= count && memcmp(fresh, resume->saved.chunks, (size_t)begun * sizeof *fresh) == 0;
    free(fresh);
    reel_error_clear();
    reel_note(
        &run->observer,
        "the video grows to %lld frames: %lld finished latent frames are kept, new chunks follow%s",
        (long long)run->job->video.frames, (long long)resume->saved.metadata.finished_frames,
        same ? "; the result is that of a fresh job of this length"
             : "; the last chunk was shorter than the others, so the result is not that of a fresh job of "
               "this length");
}

enum reel_status reel_compare_fingerprint(const struct reel_resume *resume, const struct reel_run *run,
                                          const char *fingerprint)
{
    struct reel_fingerprint_rules rules = {
        .file = resume->file, .begun = resume->saved.metadata.begun, .grown = resume->grown};
    REEL_PASS(reel_fingerprint_compare(resume->saved.fingerprint, fingerprint, &rules));
    if (resume->grown)
        log_growth(resume, run);
    return REEL_OK;
}

/* The number of calls before a row of a chunk, by the timestep matrices. */
static int64_t calls_before(const struct reel_timeline *timeline, int64_t chunk, int64_t row,
                            int64_t branches)
{
    int64_t calls = 0;
    for (int64_t k = 0; k <= chunk && k < timeline->chunk_count; k++)
        for (int64_t r = 0; r < (k < chunk ? timeline->matrices[k].rows : row); r++)
            calls += branches * reel_timesteps_runs(&timeline->matrices[k], r);
    return calls;
}

/* Whether the checkpoint's chunks follow each other as chunks of this job must. */
static int chunks_fit(const struct reel_checkpoint *saved, const struct reel_run *run)
{
    int64_t overlap = reel_latent_frames(run->job->diffusion_forcing.overlap_frames),
            video = reel_latent_frames(run->job->video.frames);
    for (int64_t k = 0; k < saved->metadata.begun; k++) {
        const struct reel_chunk *c = &saved->chunks[k], *before = k > 0 ? c - 1 : NULL;
        if (c->index != k || c->first_frame != (before ? before->kept - overlap : 0) || c->frames <= 0 ||
            c->frames > video || c->kept != c->first_frame + c->frames || c->kept > video ||
            c->prefix_frames < 0 || c->prefix_frames >= c->frames ||
            (before && (c->prefix_frames != overlap || c->kept <= before->kept)) || c->end_frames < 0 ||
            c->end_frames != (k + 1 == run->timeline.chunk_count ? run->inputs.end_frames : 0))
            return 0;
    }
    return 1;
}

enum reel_status reel_compare_state(const struct reel_resume *resume, const struct reel_model *model,
                                    const struct reel_run *run)
{
    const struct reel_checkpoint *saved = &resume->saved;
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    const struct reel_timeline *timeline = &run->timeline;
    const struct reel_job *job = run->job;
    int64_t k = metadata->chunk, branches = job->sampler.guidance_scale > 1 ? 2 : 1;
    int within = metadata->chunk_frames > 0;
    int fits = k >= 0 && k + within <= timeline->chunk_count && metadata->begun == k + within &&
               chunks_fit(saved, run) &&
               metadata->finished_frames == (k > 0 ? saved->chunks[k - 1].kept : 0) &&
               metadata->saving_count == k * branches && metadata->channels == model->out_channels &&
               metadata->rows == job->video.height / model->stride &&
               metadata->columns == job->video.width / model->stride;
    if (fits)
        fits = within
                   ? metadata->iteration >= 0 && metadata->iteration < timeline->matrices[k].rows &&
                         metadata->chunk_frames == timeline->chunks[k].frames + timeline->chunks[k].end_frames
                   : metadata->iteration == 0;
    if (fits)
        fits = metadata->calls_made == calls_before(timeline, k, metadata->iteration, branches) &&
               metadata->calls_made <= metadata->call_count;
    for (int64_t f = 0; fits && f < metadata->chunk_frames; f++) {
        const struct reel_solver_state *solver = &saved->solver[f];
        fits = solver->step >= 0 && solver->step <= job->sampler.steps && solver->last_order >= 0 &&
               solver->last_order <= 2 && solver->estimates >= 0 && solver->estimates <= 2;
    }
    REEL_NEED(fits, REEL_BAD_INPUT,
              "%s: its state at chunk %lld, iteration %lld is impossible in this job, expected a checkpoint "
              "of this job",
              resume->file, (long long)k, (long long)metadata->iteration);
    return REEL_OK;
}

/* The first line of text that begins with line's first `bytes` bytes; NULL if there is none. */
static const char *line_like(const char *text, const char *line, size_t bytes)
{
    while (text && strncmp(text, line, bytes) != 0) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text;
}

void reel_resume_compare_algorithms(const struct reel_resume *resume, const struct reel_run *run)
{
    char algorithms[REEL_GEMM_ALGORITHMS_BYTES];
    const char *line = resume->found ? resume->saved.algorithms : NULL; /* NULL on other ranks too */
    if (!line)
        return;
    reel_gpu_gemm_algorithms(algorithms, sizeof algorithms);
    while (*line) {
        size_t bytes = strcspn(line, "\n"), key = strcspn(line, ":\n");
        const char *now = line_like(algorithms, line, key + 1);
        if (now && (strcspn(now, "\n") != bytes || strncmp(now, line, bytes) != 0)) {
            reel_note(&run->observer,
                      "warning: GEMMs are computed differently than before the resume (%.*s before, "
                      "%.*s now): another GPU or library, so that bits may differ",
                      (int)bytes, line, (int)strcspn(now, "\n"), now);
            return;
        }
        line += bytes + (line[bytes] == '\n');
    }
}
