/* Saving checkpoints, and stopping after a preemption notice or at the time limit. */
#include "sampler.h"

#include "fault.h"
#include "gpu.h"
#include "preempt_signal.h"
#include "heartbeat.h"
#include "trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A slow disk, to estimate how long a save takes until one was measured; and the seconds that a run needs to
 * end. */
static const double slow_bytes_per_second = 50e6, end_seconds = 2;

enum { OF_CHUNK = REEL_CHECKPOINT_ARRAYS - 1 }; /* the arrays of a chunk: all but the video */

/* The arrays of the current chunk, in the checkpoint's order. */
static const struct {
    const char *name;
    enum reel_buffer buffer;
} of_chunk[OF_CHUNK] = {
    {"x", REEL_LATENTS_X}, {"m0", REEL_LATENTS_M0}, {"m1", REEL_LATENTS_M1}, {"last", REEL_LATENTS_LAST}};

/* The host's address of array a: in the arena, or in a host copy (view), which the first call allocates.
 * NULL: no memory. */
static float *view_of(struct reel_sampler *s, int64_t a)
{
    if (s->ops->is_host)
        return s->arena.at[of_chunk[a].buffer];
    if (!s->views[a])
        s->views[a] = reel_allocate_host(s->ops, reel_plan_bytes(&s->plan, 0, of_chunk[a].buffer));
    return s->views[a];
}

void reel_sampler_free_view(struct reel_sampler *s, int64_t a)
{
    if (s->views[a])
        reel_release_host(s->ops, s->views[a], reel_plan_bytes(&s->plan, 0, of_chunk[a].buffer));
    s->views[a] = NULL;
}

enum reel_status reel_sampler_arrays(struct reel_sampler *s, struct reel_checkpoint *checkpoint)
{
    const struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    int64_t of_solver = reel_solver_of(s->job->sampler.scheduler)->keeps_history ? OF_CHUNK : 1;
    checkpoint->array_count = 0;
    if (metadata->finished_frames > 0)
        checkpoint->arrays[checkpoint->array_count++] =
            (struct reel_checkpoint_array){.name = "video",
                                           .values = s->arena.at[REEL_LATENTS_VIDEO],
                                           .frames = metadata->finished_frames,
                                           .room_frames = s->plan.work.video_frames};
    for (int64_t a = 0; a < of_solver && metadata->chunk_frames > 0; a++) {
        float *values = view_of(s, a);
        REEL_NEED(values, REEL_NO_MEMORY, "no memory for a view of latents on the host");
        checkpoint->arrays[checkpoint->array_count++] =
            (struct reel_checkpoint_array){.name = of_chunk[a].name,
                                           .values = values,
                                           .frames = metadata->chunk_frames,
                                           .room_frames = metadata->chunk_frames};
    }
    return REEL_OK;
}

/* Copies all views to the device or from it. */
static void move_views(struct reel_sampler *s, const struct reel_checkpoint *checkpoint,
                       enum reel_direction direction)
{
    int64_t bytes = checkpoint->metadata.channels * checkpoint->metadata.chunk_frames *
                    checkpoint->metadata.rows * checkpoint->metadata.columns * (int64_t)sizeof(float);
    for (int64_t a = 0; a < OF_CHUNK && !s->ops->is_host; a++)
        if (s->views[a] && direction == REEL_FROM_DEVICE)
            reel_download(&s->stream, s->views[a], s->arena.at[of_chunk[a].buffer], bytes);
        else if (s->views[a])
            reel_upload(&s->stream, s->arena.at[of_chunk[a].buffer], s->views[a], bytes);
}

enum reel_status reel_sampler_fetch(struct reel_sampler *s, const struct reel_checkpoint *checkpoint)
{
    move_views(s, checkpoint, REEL_FROM_DEVICE);
    return s->stream.status;
}

enum reel_status reel_sampler_store(struct reel_sampler *s, const struct reel_checkpoint *checkpoint)
{
    move_views(s, checkpoint, REEL_TO_DEVICE);
    return s->stream.status;
}

/* The state before a row of the current chunk, or after the chunk if `within` is 0. */
static struct reel_checkpoint state_of(struct reel_sampler *s, int within, int64_t row)
{
    int64_t k = s->now.chunk->index;
    struct reel_checkpoint checkpoint = {
        .metadata = {.chunk = within ? k : k + 1,
                     .iteration = row,
                     .begun = k + 1,
                     .chunk_frames = within ? s->now.frames : 0,
                     .finished_frames = s->finished_frames,
                     .complete = !within && k + 1 == s->timeline.chunk_count,
                     .channels = s->plan.model.out_channels,
                     .rows = 2 * s->plan.work.H,
                     .columns = 2 * s->plan.work.W,
                     .calls_made = s->call_count,
                     .call_count = s->timeline.call_count,
                     .saving_count = s->saving_count,
                     .ranks = s->comm->world.size,
                     .mesh = s->plan.mesh,
                     .weights = s->weights_hash,
                     .done = s->done,
                     .attempts = s->attempts,
                     .skipped_iterations = within ? s->now.skipped_iterations : 0,
                     .seconds = s->earlier_seconds + s->step_seconds,
                     .chunk_seconds = within ? s->now.seconds : 0,
                     .skipped_seconds = within ? s->now.skipped_seconds : 0,
                     .saved_at = (int64_t)time(NULL),
                     .noise = s->noise,
                     .addnoise = s->addnoise},
        .chunks = s->timeline.chunks,
        .solver = s->now.solver,
        .calls = s->timeline.calls,
        .savings = s->savings,
        .job = (char *)s->job_text,
        .fingerprint = s->resume.fingerprint,
        .algorithms = s->algorithms};
    reel_gpu_gemm_algorithms(s->algorithms, sizeof s->algorithms);
    return checkpoint;
}

static void log_checkpoint(const struct reel_sampler *s, const struct reel_checkpoint *checkpoint,
                           const struct reel_written *written, const char *why, const char *cause)
{
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_CHECKPOINT,
                                              .chunk = checkpoint->metadata.chunk,
                                              .iteration = checkpoint->metadata.iteration,
                                              .text = cause ? cause : written->file,
                                              .bytes = cause ? 0 : written->bytes,
                                              .seconds = written->seconds,
                                              .why = why,
                                              .notice_seconds = reel_preempt_signal_seconds()});
}

/* Collective over world. Saves a checkpoint. A failure to write is an error only if the job says so, or if
 * this is the run's last save; else it is logged. */
static enum reel_status save_checkpoint(struct reel_sampler *s, int within, int64_t row, const char *why,
                                        int last)
{
    struct reel_checkpoint checkpoint = state_of(s, within, row);
    struct reel_written written;
    reel_heartbeat_at("saving before chunk %lld, iteration %lld", (long long)checkpoint.metadata.chunk,
                      (long long)row);
    enum reel_status status = reel_sampler_arrays(s, &checkpoint);
    if (status == REEL_OK) /* the state of a failed stream must not be saved */
        status = reel_sampler_fetch(s, &checkpoint);
    status = reel_agree(s->comm, status);
    memset(&written, 0, sizeof written);
    if (status == REEL_OK)
        status = reel_checkpoint_write(s->comm, &s->resume.folder, &checkpoint, &written);
    s->preempt.since_save = 0; /* also after a failure: the next attempt is due at the next interval */
    if (status == REEL_OK) {
        if (s->comm->world.rank == 0) {
            reel_checkpoint_directory_remove(&s->resume.folder, s->resume.obsolete_first,
                                             s->resume.obsolete_last);
            reel_checkpoint_directory_prune(&s->resume.folder, s->job->checkpoint.keep);
        }
        s->resume.obsolete_last = s->resume.obsolete_first; /* they are removed */
        s->preempt.chunk = checkpoint.metadata.chunk;
        s->preempt.iteration = row;
        s->preempt.save_seconds = written.seconds;
        reel_preempt_signal_hurry(REEL_PREEMPTED);
        log_checkpoint(s, &checkpoint, &written, why, NULL);
        return REEL_OK;
    }
    if (status != REEL_BAD_OUTPUT && status != REEL_NO_MEMORY)
        return status; /* not a failure of the disk */
    if (last || s->job->checkpoint.on_error == REEL_ON_ERROR_STOP)
        return status; /* main reports it; it is not logged as well */
    log_checkpoint(s, &checkpoint, &written, why, reel_error_here()->cause);
    reel_error_clear();
    return REEL_OK;
}

/* An upper estimate of the seconds that a save takes. */
static double save_seconds(const struct reel_sampler *s)
{
    if (s->preempt.save_seconds > 0)
        return 2 * s->preempt.save_seconds;
    double bytes = (double)(s->plan.work.video_frames + 4 * s->plan.work.chunk_frames) *
                   (double)(16 * s->plan.work.H * s->plan.work.W * s->plan.model.out_channels);
    return bytes / slow_bytes_per_second;
}

/* Seconds by which the job would miss its time limit if it worked for `seconds` more. Negative: it keeps the
 * limit; -INFINITY: there is no limit. */
static double beyond_limit(const struct reel_sampler *s, double seconds)
{
    double limit = s->job->checkpoint.time_limit_s;
    return limit > 0 ? reel_preempt_signal_uptime() + seconds + save_seconds(s) + end_seconds - limit
                     : -INFINITY;
}

/* Whether to stop, and why. */
enum reason { CONTINUE, NOTICE, TIME_LIMIT };

/* Sets *reason, the same on every rank: whether to stop before more work that takes `seconds`. Collective
 * over world. */
static enum reel_status ask_reason(struct reel_sampler *s, double seconds, enum reason *reason)
{
    double mine[2] = {reel_preempt_signal_seconds() >= 0, beyond_limit(s, seconds)}, all[2];
    REEL_NEED(MPI_Allreduce(mine, all, 2, MPI_DOUBLE, MPI_MAX, s->comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree whether to stop");
    *reason = all[0] > 0 ? NOTICE : all[1] > 0 ? TIME_LIMIT : CONTINUE;
    if (*reason == CONTINUE && s->preempt.cancelled) /* the time limit cancelled the iteration */
        *reason = TIME_LIMIT;
    return REEL_OK;
}

static enum reel_status fail_preempted(const struct reel_sampler *s, enum reason reason)
{
    return reel_fail(
        REEL_PREEMPTED,
        "%s: everything up to chunk %lld, iteration %lld is saved, and the same command %sresumes from there",
        reason == NOTICE ? "a notice came" : "checkpoint.time_limit is near", (long long)s->preempt.chunk,
        (long long)s->preempt.iteration, s->fresh ? "without --fresh " : "");
}

/* Collective over world. Saves, unless the last checkpoint has this state already, and returns
 * REEL_PREEMPTED. */
static enum reel_status save_and_leave(struct reel_sampler *s, int within, int64_t row, enum reason reason)
{
    int64_t chunk = s->now.chunk->index + !within;
    REEL_NEED(
        reason != TIME_LIMIT || s->timed > 0, REEL_BAD_JOB,
        "checkpoint.time_limit is %g s, too short for an iteration after the %.1f s of the start, expected "
        "more: every start would end like this one",
        s->job->checkpoint.time_limit_s, s->preempt.began);
    REEL_NEED(s->job->checkpoint.directory[0], REEL_BAD_COMM,
              "%s, and checkpoint.directory is off: nothing is saved, expected a directory for checkpoints",
              reason == NOTICE ? "a notice came" : "checkpoint.time_limit is near");
    if (s->preempt.chunk != chunk || s->preempt.iteration != row)
        REEL_TRY(save_checkpoint(s, within, row, reason == NOTICE ? "notice" : "time limit", 1),
                 "saving after a notice");
    return fail_preempted(s, reason);
}

/* Whether the next call is computed: then a checkpoint does not need TeaCache's residuals. */
static int computes_next(const struct reel_sampler *s, int64_t row)
{
    return reel_timesteps_runs(s->now.matrix, row) && s->timeline.calls[s->call_count].computed;
}

enum reel_status reel_preempt_before(struct reel_sampler *s, int64_t row)
{
    int64_t every = s->job->checkpoint.every_iterations;
    enum reason reason = CONTINUE;
    if (!computes_next(s, row))
        return REEL_OK;
    REEL_PASS(ask_reason(s, s->preempt.iteration_seconds, &reason));
    if (reason != CONTINUE)
        return save_and_leave(s, 1, row, reason);
    if (s->job->checkpoint.directory[0] && every > 0 && s->preempt.since_save >= every)
        return save_checkpoint(s, 1, row, "iterations", 0);
    return REEL_OK;
}

enum reel_status reel_preempt_save_chunk(struct reel_sampler *s)
{
    return s->job->checkpoint.directory[0] ? save_checkpoint(s, 0, 0, "chunk", 0) : REEL_OK;
}

enum reel_status reel_preempt_after(struct reel_sampler *s)
{
    enum reason reason = CONTINUE;
    if (s->now.chunk->index + 1 == s->timeline.chunk_count)
        return REEL_OK;
    REEL_PASS(ask_reason(s, s->preempt.iteration_seconds, &reason));
    return reason == CONTINUE ? REEL_OK : save_and_leave(s, 0, 0, reason);
}

/* Seconds by which the iteration would end too late for a notice or for the time limit, at its speed so
 * far. */
static double excess_of(const struct reel_sampler *s, int64_t done, int64_t blocks)
{
    double noticed = reel_preempt_signal_seconds(), took = reel_seconds() - s->preempt.iteration_began;
    double left = done > 0 ? took / (double)done * (double)(blocks - done) : s->preempt.iteration_seconds;
    double excess = beyond_limit(s, left);
    if (noticed >= 0)
        excess = fmax(excess, s->job->checkpoint.directory[0] ? noticed + left - s->job->checkpoint.grace_s
                                                              : INFINITY);
    return excess;
}

/* Returns whether to cancel the iteration: the answer of all ranks to the question that cancel_requested
 * asked one block earlier. The allreduce has had the time of that block, so the wait is usually short; a hang
 * here means that a rank left the iteration before its end. After the last block there is nothing left to
 * cancel: reel_preempt_end then takes the answer only to complete the request. */
static int take_answer(struct reel_sampler *s)
{
    if (s->preempt.asked == MPI_REQUEST_NULL)
        return 0;
    int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = "answer"});
    int failed = MPI_Wait(&s->preempt.asked, MPI_STATUS_IGNORE);
    reel_trace_end(span);
    if (failed != MPI_SUCCESS)
        reel_stream_fail(&s->stream, REEL_BAD_COMM, "the ranks could not agree whether to continue");
    return s->preempt.max_excess > 0;
}

/* Called before every block, on every rank before the same block: takes the answer to the last question, then
 * asks the next one, without waiting. So all ranks cancel before the same block. */
static int cancel_requested(void *context, int64_t done, int64_t blocks)
{
    struct reel_sampler *s = context;
    s->preempt.cancelled = take_answer(s);
    if (s->preempt.cancelled)
        return 1;
    s->preempt.excess = excess_of(s, done, blocks);
    if (MPI_Iallreduce(&s->preempt.excess, &s->preempt.max_excess, 1, MPI_DOUBLE, MPI_MAX, s->comm->world.mpi,
                       &s->preempt.asked) != MPI_SUCCESS)
        reel_stream_fail(&s->stream, REEL_BAD_COMM, "the ranks could not ask each other whether to continue");
    return 0;
}

struct reel_cancel reel_preempt_begin(struct reel_sampler *s)
{
    s->preempt.max_excess = 0;
    if (s->timed == 0)
        s->preempt.began = reel_preempt_signal_uptime();
    s->preempt.iteration_began = reel_seconds();
    s->preempt.cancelled = 0;
    s->preempt.asked = MPI_REQUEST_NULL;
    return (struct reel_cancel){.requested = reel_preempt_signal_listens() ? cancel_requested : NULL,
                                .context = s};
}

void reel_preempt_end(struct reel_sampler *s)
{
    take_answer(s);
}
