/* Checking that a checkpoint is of this job, and that its state is possible. */
#include "sampler.h"

#include "fingerprint.h"
#include "gpu.h"
#include "heartbeat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_first(const struct reel_sampler *s)
{
    return s->comm->world.rank == 0;
}

/* The number of frames may grow, but not shrink. On rank 0. */
static enum reel_status compare_frames(struct reel_sampler *s)
{
    char value[REEL_LINE_BYTES];
    const struct reel_job *job = s->job;
    if (!reel_fingerprint_value(s->resume.saved.job, "video.frames", value))
        return REEL_OK;
    long long saved = atoll(value), now = (long long)job->video.frames;
    s->resume.grown = now > saved;
    REEL_NEED(now >= saved, REEL_BAD_INPUT,
              "%s: was made with video.frames %lld, and the job has %lld, expected as many or more, or "
              "--fresh to start over",
              s->resume.file, saved, now);
    REEL_NEED(!s->resume.grown || !job->diffusion_forcing.end_latents[0], REEL_BAD_INPUT,
              "%s: was made with video.frames %lld, and the job has %lld, expected the same, because "
              "its last chunk ends with diffusion_forcing.end_latents",
              s->resume.file, saved, now);
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

enum reel_status reel_resume_compare_job(struct reel_sampler *s)
{
    struct reel_fingerprint_rules rules = {.file = s->resume.file, .partial = 1};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    REEL_NEED(out, REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    reel_fingerprint_job(out, s->job_text);
    model_line(out, &s->model_files.model);
    fclose(out);
    enum reel_status status = reel_fingerprint_compare(s->resume.saved.fingerprint, text, &rules);
    free(text);
    return status == REEL_OK ? compare_frames(s) : status;
}

static void coefficients_line(FILE *out, const struct reel_teacache_rule *rule)
{
    fprintf(out, "teacache.coefficients: [");
    for (int64_t c = 0; rule->mode != REEL_TEACACHE_OFF && c < rule->coefficient_count; c++)
        fprintf(out, "%s%.17g", c ? ", " : "", rule->coefficients[c]);
    fprintf(out, "]\n");
}

/* Makes rank 0's fingerprint: a text with everything, except the weights, that the result depends on.
 * Collective over world, so that every rank has a heartbeat while rank 0 reads noise files. */
static enum reel_status make_fingerprint(struct reel_sampler *s)
{
    const struct reel_model *model = &s->model_files.model;
    size_t bytes = 0;
    FILE *out = is_first(s) ? open_memstream(&s->resume.fingerprint, &bytes) : NULL;
    enum reel_status status = REEL_OK;
    if (is_first(s) && !out)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    REEL_PASS(reel_agree(s->comm, status));
    if (out) {
        reel_fingerprint_job(out, s->job_text);
        fprintf(out, "model.compute: %s\n",
                s->device.matrix_dtype == REEL_F8_E4M3 ? "fp8"
                : s->device.dtype == REEL_F32          ? "fp32"
                                                       : "bf16");
        model_line(out, model);
        coefficients_line(out, &s->teacache);
        reel_inputs_fingerprint(s->job, model, &s->inputs, out);
    }
    for (int64_t k = 0; k < s->timeline.chunk_count && status == REEL_OK; k++) {
        if (out)
            status = reel_inputs_fingerprint_chunk(s->job, model, &s->timeline.chunks[k],
                                                   s->timeline.matrices[k].rows, &s->inputs, out);
        status = reel_agree(s->comm, status);
        reel_heartbeat();
    }
    if (out) {
        int failed = ferror(out);
        failed |= fclose(out) != 0;
        if (status == REEL_OK && failed)
            status = reel_fail(REEL_NO_MEMORY, "no memory for the fingerprint of the job");
    }
    return reel_agree(s->comm, status);
}

/* Logs that the video grows, and whether the result will be that of a fresh job of the new length: it is if
 * the chunks that have begun are also that job's. On rank 0. */
static void log_growth(const struct reel_sampler *s)
{
    struct reel_chunk *fresh;
    int64_t count, begun = s->resume.saved.metadata.begun;
    int same = reel_chunks_make(s->job, s->inputs.prefix_frames, s->inputs.end_frames,
                                (struct reel_begun){.count = 0}, &fresh, &count) == REEL_OK;
    same =
        same && begun <= count && memcmp(fresh, s->resume.saved.chunks, (size_t)begun * sizeof *fresh) == 0;
    free(fresh);
    reel_error_clear();
    reel_sampler_note(
        s, "the video grows to %lld frames: %lld finished latent frames are kept, new chunks follow%s",
        (long long)s->job->video.frames, (long long)s->resume.saved.metadata.finished_frames,
        same ? "; the result is that of a fresh job of this length"
             : "; the last chunk was shorter than the others, so the result is not that of a fresh job of "
               "this length");
}

/* The number of calls before a row of a chunk, by the timestep matrices. */
static int64_t calls_before(const struct reel_sampler *s, int64_t chunk, int64_t row, int64_t branches)
{
    int64_t calls = 0;
    for (int64_t k = 0; k <= chunk && k < s->timeline.chunk_count; k++)
        for (int64_t r = 0; r < (k < chunk ? s->timeline.matrices[k].rows : row); r++)
            calls += branches * reel_timesteps_runs(&s->timeline.matrices[k], r);
    return calls;
}

/* Whether the checkpoint's chunks follow each other as chunks of this job must. */
static int chunks_fit(const struct reel_sampler *s)
{
    const struct reel_checkpoint_metadata *metadata = &s->resume.saved.metadata;
    int64_t overlap = reel_latent_frames(s->job->diffusion_forcing.overlap_frames),
            video = reel_latent_frames(s->job->video.frames);
    for (int64_t k = 0; k < metadata->begun; k++) {
        const struct reel_chunk *c = &s->resume.saved.chunks[k], *before = k > 0 ? c - 1 : NULL;
        if (c->index != k || c->first_frame != (before ? before->kept - overlap : 0) || c->frames <= 0 ||
            c->frames > video || c->kept != c->first_frame + c->frames || c->kept > video ||
            c->prefix_frames < 0 || c->prefix_frames >= c->frames ||
            (before && (c->prefix_frames != overlap || c->kept <= before->kept)) || c->end_frames < 0 ||
            c->end_frames != (k + 1 == s->timeline.chunk_count ? s->inputs.end_frames : 0))
            return 0;
    }
    return 1;
}

/* REEL_BAD_INPUT unless the checkpoint's state is possible in this job. Its hashes prove that it is what was
 * written, not that a correct program wrote it: no index in it may lead out of this job's arrays. The same on
 * every rank. */
static enum reel_status check_state(const struct reel_sampler *s)
{
    const struct reel_checkpoint *saved = &s->resume.saved;
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    int64_t k = metadata->chunk, branches = s->job->sampler.guidance_scale > 1 ? 2 : 1;
    int within = metadata->chunk_frames > 0;
    int fits = k >= 0 && k + within <= s->timeline.chunk_count && metadata->begun == k + within &&
               chunks_fit(s) && metadata->finished_frames == (k > 0 ? saved->chunks[k - 1].kept : 0) &&
               metadata->saving_count == k * branches &&
               metadata->channels == s->model_files.model.out_channels &&
               metadata->rows == s->job->video.height / 8 && metadata->columns == s->job->video.width / 8;
    if (fits)
        fits = within ? metadata->iteration >= 0 && metadata->iteration < s->timeline.matrices[k].rows &&
                            metadata->chunk_frames ==
                                s->timeline.chunks[k].frames + s->timeline.chunks[k].end_frames
                      : metadata->iteration == 0;
    if (fits)
        fits = metadata->calls_made == calls_before(s, k, metadata->iteration, branches) &&
               metadata->calls_made <= metadata->call_count;
    for (int64_t f = 0; fits && f < metadata->chunk_frames; f++) {
        const struct reel_solver_state *solver = &saved->solver[f];
        fits = solver->step >= 0 && solver->step <= s->job->sampler.steps && solver->last_order >= 0 &&
               solver->last_order <= 2 && solver->estimates >= 0 && solver->estimates <= 2;
    }
    REEL_NEED(fits, REEL_BAD_INPUT,
              "%s: its state at chunk %lld, iteration %lld is impossible in this job, expected a checkpoint "
              "of this job",
              s->resume.file, (long long)k, (long long)metadata->iteration);
    return REEL_OK;
}

enum reel_status reel_resume_compare(struct reel_sampler *s)
{
    enum reel_status status = REEL_OK;
    const struct reel_checkpoint *saved = &s->resume.saved;
    if (!s->job->checkpoint.directory[0])
        return REEL_OK;
    REEL_PASS(make_fingerprint(s));
    if (is_first(s) && s->resume.found) {
        struct reel_fingerprint_rules rules = {
            .file = s->resume.file, .begun = saved->metadata.begun, .grown = s->resume.grown};
        status = reel_fingerprint_compare(saved->fingerprint, s->resume.fingerprint, &rules);
        if (status == REEL_OK && s->resume.grown)
            log_growth(s);
    }
    REEL_PASS(reel_agree(s->comm, status));
    if (!s->resume.found)
        return REEL_OK;
    REEL_PASS(check_state(s));
    s->timeline.first_call = saved->metadata.calls_made;
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

void reel_resume_compare_algorithms(struct reel_sampler *s)
{
    const char *line = s->resume.found ? s->resume.saved.algorithms : NULL;
    if (!line || !is_first(s))
        return;
    reel_gpu_gemm_algorithms(s->algorithms, sizeof s->algorithms);
    while (*line) {
        size_t bytes = strcspn(line, "\n"), key = strcspn(line, ":\n");
        const char *now = line_like(s->algorithms, line, key + 1);
        if (now && (strcspn(now, "\n") != bytes || strncmp(now, line, bytes) != 0)) {
            reel_sampler_note(s,
                              "warning: GEMMs are computed differently than before the resume (%.*s before, "
                              "%.*s now): another GPU or library, so that bits may differ",
                              (int)bytes, line, (int)strcspn(now, "\n"), now);
            return;
        }
        line += bytes + (line[bytes] == '\n');
    }
}
