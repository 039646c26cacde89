/* Resuming: finding the checkpoint, and restoring the run from it. */
#include "resume.h"

#include "fingerprint.h"
#include "heartbeat.h"
#include "output.h"
#include "output_read.h"
#include "preempt_signal.h"
#include "report.h"
#include "resume_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The generations in the directory, on every rank; the caller frees them. Collective over world. */
static enum reel_status share_list(struct reel_comm *comm, const char *directory, int64_t **generations,
                                   int64_t *count)
{
    enum reel_status status = REEL_OK;
    int is_first = comm->world.rank == 0;
    *generations = NULL;
    *count = 0;
    if (is_first)
        status = reel_checkpoint_directory_list(directory, generations, count);
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status = reel_broadcast(comm, count, (int64_t)sizeof *count);
    if (status == REEL_OK && !is_first &&
        !(*generations = malloc((size_t)(*count + 1) * sizeof **generations)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the list of checkpoints");
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status = reel_broadcast(comm, *generations, *count * (int64_t)sizeof **generations);
    if (status != REEL_OK) {
        free(*generations);
        *generations = NULL;
    }
    return status;
}

/* Finds the newest whole checkpoint. Damaged ones are skipped with a warning. Collective over world. */
static enum reel_status find_whole(struct reel_resume *resume, struct reel_saves *saves,
                                   struct reel_comm *comm, const struct reel_run *run)
{
    const char *directory = run->job->checkpoint.directory;
    int64_t *generations, count;
    enum reel_status status = REEL_OK;
    int foreign = 0;
    REEL_PASS(share_list(comm, directory, &generations, &count));
    for (int64_t g = 0; g < count && !resume->found; g++) {
        reel_checkpoint_directory_file(directory, generations[g], resume->file);
        status = reel_checkpoint_verify(comm, resume->file, &foreign);
        if (status != REEL_OK && (foreign || status != REEL_BAD_INPUT))
            break;
        resume->found = status == REEL_OK;
        reel_saves_obsolete(saves, generations[g], generations[0]);
        if (!resume->found)
            reel_note(&run->observer, "warning: %s; %s", reel_error_here()->cause,
                      g + 1 < count ? "the checkpoint before it is tried" : "there is none before it");
        reel_error_clear();
        status = REEL_OK;
    }
    if (count > 0 && !resume->found && status == REEL_OK)
        status = reel_agree(
            comm, reel_fail(REEL_BAD_INPUT,
                            "%s: none of its %lld checkpoints is whole, expected one to resume from, "
                            "or --fresh to start over",
                            directory, (long long)count));
    free(generations);
    return status;
}

/* Marks all checkpoints as obsolete. Collective over world. */
static enum reel_status start_over(struct reel_saves *saves, struct reel_comm *comm, const char *directory)
{
    int64_t *generations, count;
    REEL_PASS(share_list(comm, directory, &generations, &count));
    reel_saves_obsolete(saves, -1, count > 0 ? generations[0] : -1);
    free(generations);
    return REEL_OK;
}

/* Sends a table of rank 0 to every rank. Returns rank 0's own table, and elsewhere new memory, which the
 * caller frees. Does nothing if *status is a failure. Collective over world. */
static void *share_table(struct reel_comm *comm, void *mine, int64_t bytes, enum reel_status *status)
{
    if (*status != REEL_OK)
        return mine;
    if (comm->world.rank > 0)
        mine = malloc((size_t)bytes + 1);
    *status = reel_agree(comm, mine ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the checkpoint"));
    if (*status == REEL_OK)
        *status = reel_broadcast(comm, mine, bytes);
    return mine;
}

/* The checkpoint's metadata, on every rank. Collective over world. */
static enum reel_status share_saved(struct reel_resume *resume, struct reel_comm *comm)
{
    struct reel_checkpoint *saved = &resume->saved;
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    enum reel_status status =
        reel_agree(comm, comm->world.rank == 0 ? reel_checkpoint_read(resume->file, saved) : REEL_OK);
    if (status == REEL_OK)
        status = reel_broadcast(comm, &saved->metadata, (int64_t)sizeof saved->metadata);
    saved->chunks =
        share_table(comm, saved->chunks, metadata->begun * (int64_t)sizeof *saved->chunks, &status);
    saved->solver =
        share_table(comm, saved->solver, metadata->chunk_frames * (int64_t)sizeof *saved->solver, &status);
    saved->calls =
        share_table(comm, saved->calls, metadata->call_count * (int64_t)sizeof *saved->calls, &status);
    saved->savings =
        share_table(comm, saved->savings, metadata->saving_count * (int64_t)sizeof *saved->savings, &status);
    return status;
}

/* Whether the output is complete and has exactly the checkpoint's latents. On rank 0. */
static int output_is_complete(const struct reel_resume *resume, const struct reel_run *run)
{
    struct reel_output_file output;
    const struct reel_checkpoint_metadata *metadata = &resume->saved.metadata;
    const int64_t shape[4] = {metadata->channels, metadata->finished_frames, metadata->rows,
                              metadata->columns};
    int complete = reel_output_open(run->job->output.latents, &output) == REEL_OK;
    if (complete) {
        struct reel_checkpoint video = {
            .metadata = *metadata,
            .arrays = {{"video", output.latents, metadata->finished_frames, metadata->finished_frames}},
            .array_count = 1};
        complete = output.complete && memcmp(output.shape, shape, sizeof shape) == 0 &&
                   reel_checkpoint_compare_arrays(resume->file, &video, 0, 1) == REEL_OK;
        reel_output_close(&output);
    }
    reel_error_clear();
    return complete;
}

/* Whether model.path differs from the checkpoint's. On rank 0. */
static int is_elsewhere(const struct reel_resume *resume, const struct reel_run *run)
{
    char then[REEL_LINE_BYTES], now[REEL_LINE_BYTES];
    reel_fingerprint_value(resume->saved.job, "model.path", then);
    reel_fingerprint_value(run->job_text, "model.path", now);
    return strcmp(then, now) != 0;
}

/* Whether the job and its output are complete, and model.path has not changed. On rank 0. */
static int has_nothing_to_do(const struct reel_resume *resume, const struct reel_run *run)
{
    return resume->saved.metadata.complete && !resume->grown && !resume->is_elsewhere &&
           output_is_complete(resume, run);
}

/* Compares the checkpoint with the job as far as that can be done before inputs are read. Collective over
 * world. */
static enum reel_status compare_early(struct reel_resume *resume, const struct reel_engine *engine,
                                      const struct reel_run *run)
{
    enum reel_status status = REEL_OK;
    int known[2] = {0};
    if (engine->comm->world.rank == 0) {
        resume->is_elsewhere = is_elsewhere(resume, run);
        status = reel_compare_job(resume, &engine->model_files.model, run, &resume->grown);
        known[0] = resume->grown;
        known[1] = status == REEL_OK && has_nothing_to_do(resume, run);
    }
    REEL_PASS(reel_agree(engine->comm, status));
    REEL_PASS(reel_broadcast(engine->comm, known, (int64_t)sizeof known));
    resume->grown = known[0];
    resume->nothing_to_do = known[1];
    return REEL_OK;
}

enum reel_status reel_resume_find(struct reel_resume *resume, struct reel_saves *saves,
                                  const struct reel_engine *engine, const struct reel_run *run, int fresh)
{
    const struct reel_job *job = run->job;
    memset(resume, 0, sizeof *resume);
    if (!job->checkpoint.directory[0])
        return REEL_OK;
    if (engine->comm->world.rank == 0 && job->output.latents[0])
        reel_output_sweep(job->output.latents);
    if (fresh)
        return start_over(saves, engine->comm, job->checkpoint.directory);
    REEL_PASS(find_whole(resume, saves, engine->comm, run));
    if (!resume->found)
        return REEL_OK;
    REEL_PASS(share_saved(resume, engine->comm));
    REEL_PASS(compare_early(resume, engine, run));
    reel_preempt_signal_hurry(REEL_PREEMPTED);
    return REEL_OK;
}

enum reel_status reel_resume_compare(struct reel_resume *resume, struct reel_saves *saves,
                                     const struct reel_engine *engine, const struct reel_run *run)
{
    enum reel_status status = REEL_OK;
    char *fingerprint;
    if (!run->job->checkpoint.directory[0])
        return REEL_OK;
    REEL_PASS(reel_compare_make_fingerprint(engine, run, &fingerprint));
    reel_saves_fingerprint(saves, fingerprint);
    if (engine->comm->world.rank == 0 && resume->found)
        status = reel_compare_fingerprint(resume, run, fingerprint);
    REEL_PASS(reel_agree(engine->comm, status));
    return resume->found ? reel_compare_state(resume, &engine->model_files.model, run) : REEL_OK;
}

int reel_resume_is_within(const struct reel_resume *resume, int64_t k)
{
    return resume->found && resume->saved.metadata.chunk_frames > 0 && k == resume->saved.metadata.chunk;
}

/* REEL_BAD_INPUT unless the weights are those that the checkpoint was made with. */
static enum reel_status compare_weights(const struct reel_resume *resume, const struct reel_engine *engine)
{
    REEL_NEED(!engine->is_loaded || engine->weights_hash == resume->saved.metadata.weights, REEL_BAD_INPUT,
              "%s: was made with weights of hash %016" PRIx64 ", and model.path %s has %016" PRIx64
              ", expected the same, or --fresh to start over",
              resume->file, resume->saved.metadata.weights, engine->model_path, engine->weights_hash);
    return REEL_OK;
}

/* Whether the output has less than the checkpoint: its path has changed, it was removed, or it is another
 * job's. On rank 0. */
static int output_is_behind(const struct reel_resume *resume, const struct reel_run *run)
{
    struct reel_output_file output;
    if (resume->saved.metadata.complete)
        return !output_is_complete(resume, run) || resume->grown;
    int behind = reel_output_open(run->job->output.latents, &output) != REEL_OK;
    if (!behind) {
        behind =
            output.finished_frames < run->position.finished_frames || output.frames != run->job->video.frames;
        reel_output_close(&output);
    }
    reel_error_clear();
    return behind;
}

static int is_another_mesh(const struct reel_mesh *then, const struct reel_mesh *now)
{
    return then->ring != now->ring || then->tensor != now->tensor;
}

enum reel_status reel_resume_restore(struct reel_resume *resume, struct reel_saves *saves,
                                     struct reel_engine *engine, struct reel_run *run)
{
    struct reel_checkpoint *saved = &resume->saved;
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    int behind = 0;
    if (!resume->found)
        return REEL_OK;
    REEL_PASS(reel_agree(engine->comm, compare_weights(resume, engine)));
    reel_heartbeat_at("restoring %s", resume->file);
    REEL_PASS(reel_agree(engine->comm, reel_latents_collect(&run->latents, saved)));
    REEL_PASS(reel_checkpoint_read_arrays(engine->comm, resume->file, saved));
    REEL_PASS(reel_agree(engine->comm, reel_latents_store(&run->latents, saved)));
    reel_latents_restore(&run->latents, metadata);
    reel_position_restore(&run->position, saved);
    reel_saves_resumed(saves, metadata);
    reel_note(&run->observer, "resumes from %s: chunk %lld, iteration %lld, %lld latent frames finished%s",
              resume->file, (long long)metadata->chunk, (long long)metadata->iteration,
              (long long)metadata->finished_frames,
              is_another_mesh(&metadata->mesh, &engine->plan.mesh)
                  ? "; on another mesh, which adds in another order"
                  : "");
    if (engine->comm->world.rank == 0 && metadata->finished_frames > 0 && run->job->output.latents[0])
        behind = output_is_behind(resume, run);
    REEL_PASS(reel_broadcast(engine->comm, &behind, (int64_t)sizeof behind));
    return behind ? reel_report_output(engine, run) : REEL_OK;
}

void reel_resume_close(struct reel_resume *resume)
{
    reel_checkpoint_free(&resume->saved);
    memset(resume, 0, sizeof *resume);
}
