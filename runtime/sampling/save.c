/* Writing checkpoints of a run. */
#include "save.h"

#include "clock.h"
#include "gpu.h"
#include "heartbeat.h"
#include "preempt_signal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a new job waits for the lock: after mpirun is killed, its ranks live on for a second. */
static const double lock_patience_s = 30, lock_pause_s = 0.1;

/* A slow disk, to estimate how long a save takes until one was measured. */
static const double slow_bytes_per_second = 50e6;

/* Locks the directory. Collective over world, so that every rank has a heartbeat while it waits and no
 * watchdog takes that for a hang. */
static enum reel_status lock_directory(struct reel_saves *saves, struct reel_comm *comm,
                                       const char *directory)
{
    double began = reel_seconds();
    int is_first = comm->world.rank == 0;
    for (int busy = 1;;) {
        enum reel_status status = REEL_OK;
        if (is_first)
            status = reel_checkpoint_directory_lock(directory, &saves->directory, &busy);
        if (status == REEL_OK && reel_preempt_signal_seconds() >= 0)
            status = reel_fail(REEL_PREEMPTED,
                               "a notice came while the job waited for its checkpoint directory: nothing was "
                               "lost, and the same command starts the job again");
        if (status == REEL_OK && busy && is_first && reel_seconds() - began > lock_patience_s)
            status = reel_fail(
                REEL_BAD_INPUT,
                "%s: checkpoint.directory is in use by another job (%s), expected one job per directory, or "
                "that the other job has ended",
                directory, saves->directory.owner);
        REEL_PASS(reel_agree(comm, status));
        REEL_PASS(reel_broadcast(comm, &busy, (int64_t)sizeof busy));
        reel_heartbeat();
        if (!busy)
            return REEL_OK;
        nanosleep(&(struct timespec){.tv_nsec = (long)(lock_pause_s * 1e9)}, NULL);
    }
}

enum reel_status reel_saves_open(struct reel_saves *saves, struct reel_comm *comm, const struct reel_run *run)
{
    const struct reel_job *job = run->job;
    memset(saves, 0, sizeof *saves);
    saves->chunk = saves->iteration = -1;
    if (!job->checkpoint.directory[0])
        return REEL_OK;
    reel_heartbeat_at("looking for checkpoints");
    REEL_PASS(lock_directory(saves, comm, job->checkpoint.directory));
    if (comm->world.rank > 0)
        return REEL_OK;
    reel_checkpoint_directory_sweep(&saves->directory);
    if (saves->directory.lock < 0)
        reel_note(&run->observer,
                  "warning: %s: its file system has no locks: nothing keeps a second job from using it",
                  job->checkpoint.directory);
    return REEL_OK;
}

void reel_saves_close(struct reel_saves *saves)
{
    reel_checkpoint_directory_unlock(&saves->directory);
    free(saves->fingerprint);
    memset(saves, 0, sizeof *saves);
}

void reel_saves_fingerprint(struct reel_saves *saves, char *fingerprint)
{
    free(saves->fingerprint);
    saves->fingerprint = fingerprint;
}

void reel_saves_obsolete(struct reel_saves *saves, int64_t first, int64_t last)
{
    saves->obsolete_first = first;
    saves->obsolete_last = last;
}

void reel_saves_resumed(struct reel_saves *saves, const struct reel_checkpoint_metadata *saved)
{
    saves->chunk = saved->chunk;
    saves->iteration = saved->iteration;
}

void reel_saves_iterated(struct reel_saves *saves)
{
    saves->since++;
}

/* The state that the request asks for. */
static struct reel_checkpoint state_of(struct reel_saves *saves, const struct reel_engine *engine,
                                       const struct reel_run *run, const struct reel_save_request *request)
{
    const struct reel_position *position = &run->position;
    const struct reel_latents *latents = &run->latents;
    const struct reel_plan *plan = &engine->plan;
    int64_t k = latents->chunk->index;
    int within = request->within;
    reel_gpu_gemm_algorithms(saves->algorithms, sizeof saves->algorithms);
    return (struct reel_checkpoint){
        .metadata = {.chunk = within ? k : k + 1,
                     .iteration = request->row,
                     .begun = k + 1,
                     .chunk_frames = within ? latents->frames : 0,
                     .finished_frames = position->finished_frames,
                     .complete = !within && k + 1 == run->timeline.chunk_count,
                     .channels = plan->model.out_channels,
                     .rows = plan->model.patch * plan->work.H,
                     .columns = plan->model.patch * plan->work.W,
                     .calls_made = position->calls_made,
                     .call_count = run->timeline.call_count,
                     .saving_count = position->saving_count,
                     .ranks = engine->comm->world.size,
                     .mesh = plan->mesh,
                     .weights = engine->weights_hash,
                     .done = position->done,
                     .attempts = position->attempts,
                     .skipped_iterations = within ? position->skipped_iterations : 0,
                     .seconds = position->earlier_seconds + position->seconds,
                     .chunk_seconds = within ? position->chunk_seconds : 0,
                     .skipped_seconds = within ? position->skipped_seconds : 0,
                     .saved_at = (int64_t)time(NULL),
                     .noise = latents->noise,
                     .addnoise = latents->addnoise},
        .chunks = run->timeline.chunks,
        .solver = latents->solver,
        .calls = run->timeline.calls,
        .savings = position->savings,
        .job = (char *)run->job_text,
        .fingerprint = saves->fingerprint,
        .algorithms = saves->algorithms};
}

static void log_checkpoint(const struct reel_run *run, const struct reel_checkpoint *checkpoint,
                           const struct reel_written *written, const char *why, const char *cause)
{
    reel_tell(&run->observer, &(struct reel_event){.kind = REEL_EVENT_CHECKPOINT,
                                                   .chunk = checkpoint->metadata.chunk,
                                                   .iteration = checkpoint->metadata.iteration,
                                                   .text = cause ? cause : written->file,
                                                   .bytes = cause ? 0 : written->bytes,
                                                   .seconds = written->seconds,
                                                   .why = why,
                                                   .notice_seconds = reel_preempt_signal_seconds()});
}

/* Writes the checkpoint. Collective over world. */
static enum reel_status write_checkpoint(const struct reel_saves *saves, struct reel_comm *comm,
                                         struct reel_latents *latents, struct reel_checkpoint *checkpoint,
                                         struct reel_written *written)
{
    enum reel_status status = reel_latents_collect(latents, checkpoint);
    if (status == REEL_OK) /* the state of a failed stream must not be saved */
        status = reel_latents_fetch(latents, checkpoint);
    REEL_PASS(reel_agree(comm, status));
    return reel_checkpoint_write(comm, &saves->directory, checkpoint, written);
}

/* Removes the checkpoints that the one just written makes superfluous. On rank 0. */
static void remove_old(const struct reel_saves *saves, int64_t keep)
{
    reel_checkpoint_directory_remove(&saves->directory, saves->obsolete_first, saves->obsolete_last);
    reel_checkpoint_directory_prune(&saves->directory, keep);
}

enum reel_status reel_save(struct reel_saves *saves, struct reel_engine *engine, struct reel_run *run,
                           const struct reel_save_request *request)
{
    struct reel_checkpoint checkpoint = state_of(saves, engine, run, request);
    struct reel_written written;
    memset(&written, 0, sizeof written);
    reel_heartbeat_at("saving before chunk %lld, iteration %lld", (long long)checkpoint.metadata.chunk,
                      (long long)request->row);
    enum reel_status status = write_checkpoint(saves, engine->comm, &run->latents, &checkpoint, &written);
    saves->since = 0; /* also after a failure: the next attempt is due at the next interval */
    if (status == REEL_OK) {
        if (engine->comm->world.rank == 0)
            remove_old(saves, run->job->checkpoint.keep);
        saves->obsolete_last = saves->obsolete_first; /* they are removed */
        saves->chunk = checkpoint.metadata.chunk;
        saves->iteration = request->row;
        saves->seconds = written.seconds;
        reel_preempt_signal_hurry(REEL_PREEMPTED);
        log_checkpoint(run, &checkpoint, &written, request->why, NULL);
        return REEL_OK;
    }
    if (status != REEL_BAD_OUTPUT && status != REEL_NO_MEMORY)
        return status; /* not a failure of the disk */
    if (request->last || run->job->checkpoint.on_error == REEL_ON_ERROR_STOP)
        return status; /* main reports it; it is not logged as well */
    log_checkpoint(run, &checkpoint, &written, request->why, reel_error_here()->cause);
    reel_error_clear();
    return REEL_OK;
}

double reel_save_seconds(const struct reel_saves *saves, const struct reel_plan *plan)
{
    if (saves->seconds > 0)
        return 2 * saves->seconds;
    double bytes = (double)(plan->work.video_frames + 4 * plan->work.chunk_frames) *
                   (double)(4 * reel_latents_plane(plan) * plan->model.out_channels);
    return bytes / slow_bytes_per_second;
}
