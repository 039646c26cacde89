/* Stopping after a preemption notice or at the time limit. */
#include "preempt.h"

#include "clock.h"
#include "preempt_signal.h"
#include "trace.h"

#include <math.h>

/* The seconds that a run needs to end. */
static const double end_seconds = 2;

void reel_preempt_open(struct reel_preempt *preempt, struct reel_engine *engine, struct reel_run *run,
                       struct reel_saves *saves, int is_fresh)
{
    *preempt = (struct reel_preempt){
        .engine = engine, .run = run, .saves = saves, .is_fresh = is_fresh, .asked = MPI_REQUEST_NULL};
}

/* Seconds by which the job would miss its time limit if it worked for `seconds` more. Negative: it keeps the
 * limit; -INFINITY: there is no limit. */
static double beyond_limit(const struct reel_preempt *p, double seconds)
{
    double limit = p->run->job->checkpoint.time_limit_s;
    return limit > 0 ? reel_preempt_signal_uptime() + seconds +
                           reel_save_seconds(p->saves, &p->engine->plan) + end_seconds - limit
                     : -INFINITY;
}

/* Whether to stop, and why. */
enum reason { CONTINUE, NOTICE, TIME_LIMIT };

/* Sets *reason, the same on every rank: whether to stop before another iteration. Collective over world. */
static enum reel_status ask_reason(const struct reel_preempt *p, enum reason *reason)
{
    double seconds = p->run->position.computed_seconds;
    double mine[2] = {reel_preempt_signal_seconds() >= 0, beyond_limit(p, seconds)}, all[2];
    REEL_NEED(MPI_Allreduce(mine, all, 2, MPI_DOUBLE, MPI_MAX, p->engine->comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree whether to stop");
    *reason = all[0] > 0 ? NOTICE : all[1] > 0 ? TIME_LIMIT : CONTINUE;
    if (*reason == CONTINUE && p->cancelled) /* the time limit cancelled the iteration */
        *reason = TIME_LIMIT;
    return REEL_OK;
}

static const char *cause_of(enum reason reason)
{
    return reason == NOTICE ? "a notice came" : "checkpoint.time_limit is near";
}

/* Collective over world. Saves, unless the last checkpoint has this state already, and returns
 * REEL_PREEMPTED. */
static enum reel_status save_and_leave(const struct reel_preempt *p, int within, int64_t row,
                                       enum reason reason)
{
    const struct reel_job *job = p->run->job;
    struct reel_saves *saves = p->saves;
    int64_t chunk = p->run->latents.chunk->index + !within;
    const struct reel_save_request request = {
        .within = within, .row = row, .why = reason == NOTICE ? "notice" : "time limit", .last = 1};
    REEL_NEED(
        reason != TIME_LIMIT || p->run->position.timed > 0, REEL_BAD_JOB,
        "checkpoint.time_limit is %g s, too short for an iteration after the %.1f s of the start, expected "
        "more: every start would end like this one",
        job->checkpoint.time_limit_s, p->began);
    REEL_NEED(job->checkpoint.directory[0], REEL_BAD_COMM,
              "%s, and checkpoint.directory is off: nothing is saved, expected a directory for checkpoints",
              cause_of(reason));
    if (saves->chunk != chunk || saves->iteration != row)
        REEL_TRY(reel_save(saves, p->engine, p->run, &request), "saving after a notice");
    return reel_fail(
        REEL_PREEMPTED,
        "%s: everything up to chunk %lld, iteration %lld is saved, and the same command %sresumes from there",
        cause_of(reason), (long long)saves->chunk, (long long)saves->iteration,
        p->is_fresh ? "without --fresh " : "");
}

/* Whether the next call is computed: then a checkpoint does not need TeaCache's residuals. */
static int computes_next(const struct reel_run *run, int64_t row)
{
    return reel_timesteps_runs(run->latents.matrix, row) &&
           run->timeline.calls[run->position.calls_made].computed;
}

enum reel_status reel_preempt_check(struct reel_preempt *p, int64_t row)
{
    const struct reel_job *job = p->run->job;
    int64_t every = job->checkpoint.every_iterations;
    enum reason reason = CONTINUE;
    if (!computes_next(p->run, row))
        return REEL_OK;
    REEL_PASS(ask_reason(p, &reason));
    if (reason != CONTINUE)
        return save_and_leave(p, 1, row, reason);
    if (job->checkpoint.directory[0] && every > 0 && p->saves->since >= every)
        return reel_save(p->saves, p->engine, p->run,
                         &(struct reel_save_request){.within = 1, .row = row, .why = "iterations"});
    return REEL_OK;
}

enum reel_status reel_preempt_leave(struct reel_preempt *p)
{
    enum reason reason = CONTINUE;
    if (p->run->latents.chunk->index + 1 == p->run->timeline.chunk_count)
        return REEL_OK;
    REEL_PASS(ask_reason(p, &reason));
    return reason == CONTINUE ? REEL_OK : save_and_leave(p, 0, 0, reason);
}

/* Seconds by which the iteration would end too late for a notice or for the time limit, at its speed so
 * far. */
static double excess_of(const struct reel_preempt *p, int64_t done, int64_t blocks)
{
    const struct reel_job *job = p->run->job;
    double noticed = reel_preempt_signal_seconds(), took = reel_seconds() - p->iteration_began;
    double left =
        done > 0 ? took / (double)done * (double)(blocks - done) : p->run->position.computed_seconds;
    double excess = beyond_limit(p, left);
    if (noticed >= 0)
        excess =
            fmax(excess, job->checkpoint.directory[0] ? noticed + left - job->checkpoint.grace_s : INFINITY);
    return excess;
}

/* Returns whether to cancel the iteration: the answer of all ranks to the question that cancel_requested
 * asked one block earlier. The allreduce has had the time of that block, so the wait is usually short; a hang
 * here means that a rank left the iteration before its end. After the last block there is nothing left to
 * cancel: reel_preempt_end then takes the answer only to complete the request. */
static int take_answer(struct reel_preempt *p)
{
    if (p->asked == MPI_REQUEST_NULL)
        return 0;
    int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = "answer"});
    int failed = MPI_Wait(&p->asked, MPI_STATUS_IGNORE);
    reel_trace_end(span);
    if (failed != MPI_SUCCESS)
        reel_stream_fail(&p->engine->stream, REEL_BAD_COMM, "the ranks could not agree whether to continue");
    return p->max_excess > 0;
}

/* Called before every block, on every rank before the same block: takes the answer to the last question, then
 * asks the next one, without waiting. So all ranks cancel before the same block. */
static int cancel_requested(void *context, int64_t done, int64_t blocks)
{
    struct reel_preempt *p = context;
    p->cancelled = take_answer(p);
    if (p->cancelled)
        return 1;
    p->excess = excess_of(p, done, blocks);
    if (MPI_Iallreduce(&p->excess, &p->max_excess, 1, MPI_DOUBLE, MPI_MAX, p->engine->comm->world.mpi,
                       &p->asked) != MPI_SUCCESS)
        reel_stream_fail(&p->engine->stream, REEL_BAD_COMM,
                         "the ranks could not ask each other whether to continue");
    return 0;
}

struct reel_cancel reel_preempt_begin(struct reel_preempt *p)
{
    p->max_excess = 0;
    if (p->run->position.timed == 0)
        p->began = reel_preempt_signal_uptime();
    p->iteration_began = reel_seconds();
    p->cancelled = 0;
    p->asked = MPI_REQUEST_NULL;
    return (struct reel_cancel){.requested = reel_preempt_signal_listens() ? cancel_requested : NULL,
                                .context = p};
}

void reel_preempt_end(struct reel_preempt *p)
{
    take_answer(p);
}
