/* Resuming: finding the checkpoint, and restoring the run from it. */
#include "sampler.h"

#include "fault.h"
#include "fingerprint.h"
#include "preempt_signal.h"
#include "output_read.h"
#include "heartbeat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a new job waits for the lock: after mpirun is killed, its ranks live on for a second. */
static const double lock_patience_s = 30, lock_pause_s = 0.1;

static int is_first(const struct reel_sampler *s)
{
    return s->comm->world.rank == 0;
}

/* Locks the checkpoint directory. Collective over world, so that every rank has a heartbeat while it waits
 * and no watchdog takes that for a hang. */
static enum reel_status lock_directory(struct reel_sampler *s)
{
    double began = reel_seconds();
    for (int busy = 1;;) {
        enum reel_status status = REEL_OK;
        if (is_first(s))
            status = reel_checkpoint_directory_lock(s->job->checkpoint.directory, &s->resume.folder, &busy);
        if (status == REEL_OK && reel_preempt_signal_seconds() >= 0)
            status = reel_fail(REEL_PREEMPTED,
                               "a notice came while the job waited for its checkpoint directory: nothing was "
                               "lost, and the same command starts the job again");
        if (status == REEL_OK && busy && is_first(s) && reel_seconds() - began > lock_patience_s)
            status = reel_fail(
                REEL_BAD_INPUT,
                "%s: checkpoint.directory is in use by another job (%s), expected one job per directory, or "
                "that the other job has ended",
                s->job->checkpoint.directory, s->resume.folder.owner);
        REEL_PASS(reel_agree(s->comm, status));
        REEL_PASS(reel_broadcast(s->comm, &busy, (int64_t)sizeof busy));
        reel_heartbeat();
        if (!busy)
            return REEL_OK;
        nanosleep(&(struct timespec){.tv_nsec = (long)(lock_pause_s * 1e9)}, NULL);
    }
}

/* The generations in the directory, on every rank; the caller frees them. Collective over world. */
static enum reel_status share_list(struct reel_sampler *s, int64_t **generations, int64_t *count)
{
    enum reel_status status = REEL_OK;
    *generations = NULL;
    *count = 0;
    if (is_first(s))
        status = reel_checkpoint_directory_list(s->job->checkpoint.directory, generations, count);
    status = reel_agree(s->comm, status);
    if (status == REEL_OK)
        status = reel_broadcast(s->comm, count, (int64_t)sizeof *count);
    if (status == REEL_OK && !is_first(s) &&
        !(*generations = malloc((size_t)(*count + 1) * sizeof **generations)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the list of checkpoints");
    status = reel_agree(s->comm, status);
    if (status == REEL_OK)
        status = reel_broadcast(s->comm, *generations, *count * (int64_t)sizeof **generations);
    if (status != REEL_OK) {
        free(*generations);
        *generations = NULL;
    }
    return status;
}

/* Finds the newest whole checkpoint. Damaged ones are skipped with a warning. Collective over world. */
static enum reel_status find_whole(struct reel_sampler *s)
{
    int64_t *generations, count;
    enum reel_status status = REEL_OK;
    int foreign = 0;
    REEL_PASS(share_list(s, &generations, &count));
    for (int64_t g = 0; g < count && !s->resume.found; g++) {
        reel_checkpoint_directory_file(s->job->checkpoint.directory, generations[g], s->resume.file);
        status = reel_checkpoint_verify(s->comm, s->resume.file, &foreign);
        if (status != REEL_OK && (foreign || status != REEL_BAD_INPUT))
            break;
        s->resume.found = status == REEL_OK;
        s->resume.obsolete_first = generations[g];
        s->resume.obsolete_last = generations[0];
        if (!s->resume.found)
            reel_sampler_note(s, "warning: %s; %s", reel_error_here()->cause,
                              g + 1 < count ? "the checkpoint before it is tried"
                                            : "there is none before it");
        reel_error_clear();
        status = REEL_OK;
    }
    if (count > 0 && !s->resume.found && status == REEL_OK)
        status = reel_agree(
            s->comm, reel_fail(REEL_BAD_INPUT,
                               "%s: none of its %lld checkpoints is whole, expected one to resume from, "
                               "or --fresh to start over",
                               s->job->checkpoint.directory, (long long)count));
    free(generations);
    return status;
}

/* Marks all checkpoints as obsolete. Collective over world. */
static enum reel_status start_over(struct reel_sampler *s)
{
    int64_t *generations, count;
    REEL_PASS(share_list(s, &generations, &count));
    s->resume.obsolete_first = -1;
    s->resume.obsolete_last = count > 0 ? generations[0] : -1;
    free(generations);
    return REEL_OK;
}

/* Sends a table of rank 0 to every rank. Returns rank 0's own table, and elsewhere new memory, which the
 * caller frees. Does nothing if *status is a failure. Collective over world. */
static void *share_table(struct reel_sampler *s, void *mine, int64_t bytes, enum reel_status *status)
{
    if (*status != REEL_OK)
        return mine;
    if (!is_first(s))
        mine = malloc((size_t)bytes + 1);
    *status = reel_agree(s->comm, mine ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the checkpoint"));
    if (*status == REEL_OK)
        *status = reel_broadcast(s->comm, mine, bytes);
    return mine;
}

/* The checkpoint's metadata, on every rank. Collective over world. */
static enum reel_status share_saved(struct reel_sampler *s)
{
    struct reel_checkpoint *saved = &s->resume.saved;
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    enum reel_status status =
        reel_agree(s->comm, is_first(s) ? reel_checkpoint_read(s->resume.file, saved) : REEL_OK);
    if (status == REEL_OK)
        status = reel_broadcast(s->comm, &saved->metadata, (int64_t)sizeof saved->metadata);
    saved->chunks = share_table(s, saved->chunks, metadata->begun * (int64_t)sizeof *saved->chunks, &status);
    saved->solver =
        share_table(s, saved->solver, metadata->chunk_frames * (int64_t)sizeof *saved->solver, &status);
    saved->calls =
        share_table(s, saved->calls, metadata->call_count * (int64_t)sizeof *saved->calls, &status);
    saved->savings =
        share_table(s, saved->savings, metadata->saving_count * (int64_t)sizeof *saved->savings, &status);
    return status;
}

/* Whether the output is complete and has exactly the checkpoint's latents. On rank 0. */
static int output_is_complete(const struct reel_sampler *s)
{
    struct reel_output_file output;
    const struct reel_checkpoint_metadata *metadata = &s->resume.saved.metadata;
    const int64_t shape[4] = {metadata->channels, metadata->finished_frames, metadata->rows,
                              metadata->columns};
    int complete = reel_output_open(s->job->output.latents, &output) == REEL_OK;
    if (complete) {
        struct reel_checkpoint video = {
            .metadata = *metadata,
            .arrays = {{"video", output.latents, metadata->finished_frames, metadata->finished_frames}},
            .array_count = 1};
        complete = output.complete && memcmp(output.shape, shape, sizeof shape) == 0 &&
                   reel_checkpoint_compare_arrays(s->resume.file, &video, 0, 1) == REEL_OK;
        reel_output_close(&output);
    }
    reel_error_clear();
    return complete;
}

int reel_resume_is_elsewhere(const struct reel_sampler *s)
{
    char then[REEL_LINE_BYTES], now[REEL_LINE_BYTES];
    reel_fingerprint_value(s->resume.saved.job, "model.path", then);
    reel_fingerprint_value(s->job_text, "model.path", now);
    return strcmp(then, now) != 0;
}

/* Whether the job and its output are complete, and model.path has not changed. On rank 0. */
static int has_nothing_to_do(const struct reel_sampler *s)
{
    return s->resume.saved.metadata.complete && !s->resume.grown && !reel_resume_is_elsewhere(s) &&
           output_is_complete(s);
}

enum reel_status reel_resume_find(struct reel_sampler *s, int fresh)
{
    enum reel_status status = REEL_OK;
    int known[2] = {0};
    s->preempt.chunk = s->preempt.iteration = -1;
    if (!s->job->checkpoint.directory[0])
        return REEL_OK;
    reel_heartbeat_at("looking for checkpoints");
    REEL_PASS(lock_directory(s));
    if (is_first(s)) {
        reel_checkpoint_directory_sweep(&s->resume.folder);
        if (s->job->output.latents[0])
            reel_output_sweep(s->job->output.latents);
        if (s->resume.folder.lock < 0)
            reel_sampler_note(
                s, "warning: %s: its file system has no locks: nothing keeps a second job from using it",
                s->job->checkpoint.directory);
    }
    if (fresh)
        return start_over(s);
    REEL_PASS(find_whole(s));
    if (!s->resume.found)
        return REEL_OK;
    REEL_PASS(share_saved(s));
    if (is_first(s)) {
        status = reel_resume_compare_job(s);
        known[0] = s->resume.grown;
        known[1] = status == REEL_OK && has_nothing_to_do(s);
    }
    REEL_PASS(reel_agree(s->comm, status));
    REEL_PASS(reel_broadcast(s->comm, known, (int64_t)sizeof known));
    s->resume.grown = known[0];
    s->nothing_to_do = known[1];
    reel_preempt_signal_hurry(REEL_PREEMPTED);
    return REEL_OK;
}

enum reel_status reel_resume_decide(struct reel_sampler *s)
{
    const struct reel_checkpoint *saved = &s->resume.saved;
    int64_t rows = 0, changed = 0;
    if (!s->resume.found)
        return REEL_OK;
    while (rows < saved->metadata.call_count && saved->calls[rows].chunk < saved->metadata.begun)
        rows++;
    int fits = rows <= 2 * s->timeline.rows && saved->metadata.calls_made <= rows &&
               (s->timeline.call_count == 0 || rows <= s->timeline.call_count);
    for (int64_t c = 0; fits && c < rows; c++) {
        const struct reel_call *now = &s->timeline.calls[c], *then = &saved->calls[c];
        if (c < s->timeline.call_count) {
            fits =
                now->chunk == then->chunk && now->iteration == then->iteration && now->branch == then->branch;
            changed += now->computed != then->computed;
        }
        s->timeline.calls[c] = *then;
    }
    if (s->timeline.call_count < rows)
        s->timeline.call_count = rows;
    REEL_NEED(fits, REEL_BAD_INPUT,
              "%s: its table of TeaCache calls does not fit this job, expected a checkpoint of this job",
              s->resume.file);
    if (changed > 0)
        reel_sampler_note(
            s,
            "warning: this machine would decide %lld of %lld TeaCache calls differently; the checkpoint's "
            "decisions are kept",
            (long long)changed, (long long)rows);
    return REEL_OK;
}

int reel_resume_is_within(const struct reel_sampler *s, int64_t k)
{
    return s->resume.found && s->resume.saved.metadata.chunk_frames > 0 &&
           k == s->resume.saved.metadata.chunk;
}

/* REEL_BAD_INPUT unless the weights are those that the checkpoint was made with. */
static enum reel_status compare_weights(const struct reel_sampler *s)
{
    REEL_NEED(!s->loaded || s->weights_hash == s->resume.saved.metadata.weights, REEL_BAD_INPUT,
              "%s: was made with weights of hash %016" PRIx64 ", and model.path %s has %016" PRIx64
              ", expected the same, or --fresh to start over",
              s->resume.file, s->resume.saved.metadata.weights, s->job->model.path, s->weights_hash);
    return REEL_OK;
}

/* Whether the output has less than the checkpoint: its path has changed, it was removed, or it is another
 * job's. On rank 0. */
static int output_is_behind(const struct reel_sampler *s)
{
    struct reel_output_file output;
    if (s->resume.saved.metadata.complete)
        return !output_is_complete(s) || s->resume.grown;
    int behind = reel_output_open(s->job->output.latents, &output) != REEL_OK;
    if (!behind) {
        behind = output.finished_frames < s->finished_frames || output.frames != s->job->video.frames;
        reel_output_close(&output);
    }
    reel_error_clear();
    return behind;
}

/* Restores the counters and random streams. */
static void restore_metadata(struct reel_sampler *s)
{
    const struct reel_checkpoint_metadata *metadata = &s->resume.saved.metadata;
    s->noise = metadata->noise;
    s->addnoise = metadata->addnoise;
    s->call_count = metadata->calls_made;
    s->done = metadata->done;
    s->attempts = metadata->attempts + 1;
    s->earlier_seconds = metadata->seconds;
    s->finished_frames = metadata->finished_frames;
    s->saving_count = metadata->saving_count;
    memcpy(s->savings, s->resume.saved.savings, (size_t)metadata->saving_count * sizeof *s->savings);
    s->preempt.chunk = metadata->chunk;
    s->preempt.iteration = metadata->iteration;
}

static int is_another_mesh(const struct reel_sampler *s)
{
    const struct reel_mesh *then = &s->resume.saved.metadata.mesh, *now = &s->plan.mesh;
    return then->ring != now->ring || then->tensor != now->tensor;
}

enum reel_status reel_resume_restore(struct reel_sampler *s)
{
    struct reel_checkpoint *saved = &s->resume.saved;
    if (!s->resume.found)
        return REEL_OK;
    REEL_PASS(reel_agree(s->comm, compare_weights(s)));
    reel_heartbeat_at("restoring %s", s->resume.file);
    REEL_PASS(reel_agree(s->comm, reel_sampler_arrays(s, saved)));
    REEL_PASS(reel_checkpoint_read_arrays(s->comm, s->resume.file, saved));
    REEL_PASS(reel_agree(s->comm, reel_sampler_store(s, saved)));
    restore_metadata(s);
    reel_sampler_note(s, "resumes from %s: chunk %lld, iteration %lld, %lld latent frames finished%s",
                      s->resume.file, (long long)saved->metadata.chunk, (long long)saved->metadata.iteration,
                      (long long)s->finished_frames,
                      is_another_mesh(s) ? "; on another mesh, which adds in another order" : "");
    int behind = 0;
    if (is_first(s) && s->finished_frames > 0 && s->job->output.latents[0])
        behind = output_is_behind(s);
    REEL_PASS(reel_broadcast(s->comm, &behind, (int64_t)sizeof behind));
    return behind ? reel_sampler_output(s) : REEL_OK;
}

void reel_resume_close(struct reel_resume *resume)
{
    reel_checkpoint_directory_unlock(&resume->folder);
    reel_checkpoint_free(&resume->saved);
    free(resume->fingerprint);
    memset(resume, 0, sizeof *resume);
}
