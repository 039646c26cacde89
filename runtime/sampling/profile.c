/* The profile of a run: one iteration of all ranks, on one clock, in one file. */
#include "profile.h"

#include "profile_text.h"
#include "heartbeat.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_SPANS = 1 << 17, /* per rank and iteration: the 14B model on a tensor axis of 8 has 60,000 */
    QUESTIONS = 64,      /* round trips to ask each rank its time; the fastest counts */
    PIECE = 1 << 28      /* max bytes of one message */
};

void reel_profile_open(struct reel_profile *profile, const char *file, int64_t spans)
{
    *profile = (struct reel_profile){
        .file = file ? file : "", .max_spans = spans > 0 ? spans : MAX_SPANS, .call = -1};
}

/* The first call of the second computed iteration from here on, because the first one warms up; of the first
 * if there is only one; -1 if there is none. */
static int64_t choose_call(const struct reel_run *run, int64_t branches)
{
    int64_t found = -1, seen = 0;
    for (int64_t c = run->position.calls_made; c < run->timeline.call_count && seen < 2; c += branches)
        if (run->timeline.calls[c].computed) {
            found = c;
            seen++;
        }
    return found;
}

/* Rank 0 measures how much its clock is ahead of another rank's, and sends it that: the other rank reads its
 * clock between two readings of rank 0's. found: [ahead, round trip]. */
static int ask_time(MPI_Comm world, int rank, int64_t found[2])
{
    int failed = MPI_SUCCESS;
    int64_t theirs = 0;
    found[1] = INT64_MAX;
    for (int i = 0; i < QUESTIONS && failed == MPI_SUCCESS; i++) {
        int64_t before = reel_trace_now();
        failed |= MPI_Sendrecv(&before, 1, MPI_INT64_T, rank, 0, &theirs, 1, MPI_INT64_T, rank, 0, world,
                               MPI_STATUS_IGNORE);
        int64_t trip = reel_trace_now() - before;
        if (trip < found[1]) {
            found[0] = before + trip / 2 - theirs;
            found[1] = trip;
        }
    }
    reel_heartbeat();
    return failed | MPI_Send(found, 2, MPI_INT64_T, rank, 0, world);
}

static int answer_time(struct reel_profile *profile, MPI_Comm world)
{
    int64_t question, answer, found[2];
    int failed = MPI_SUCCESS;
    for (int i = 0; i < QUESTIONS && failed == MPI_SUCCESS; i++) {
        failed |= MPI_Recv(&question, 1, MPI_INT64_T, 0, 0, world, MPI_STATUS_IGNORE);
        answer = reel_trace_now();
        failed |= MPI_Send(&answer, 1, MPI_INT64_T, 0, 0, world);
    }
    failed |= MPI_Recv(found, 2, MPI_INT64_T, 0, 0, world, MPI_STATUS_IGNORE);
    profile->ahead_ns = found[0];
    profile->trip_ns = found[1];
    return failed;
}

/* Collective over world. Relates all clocks to rank 0's, whose time now is where the file begins. */
static enum reel_status set_clocks(struct reel_profile *profile, struct reel_comm *comm)
{
    int failed = MPI_SUCCESS;
    profile->ahead_ns = profile->trip_ns = 0;
    if (comm->world.rank > 0)
        failed = answer_time(profile, comm->world.mpi);
    for (int rank = 1; comm->world.rank == 0 && rank < (int)comm->world.size; rank++) {
        int64_t found[2];
        failed |= ask_time(comm->world.mpi, rank, found);
    }
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not compare their clocks");
    profile->began_ns = reel_trace_now();
    return reel_broadcast(comm, &profile->began_ns, (int64_t)sizeof profile->began_ns);
}

/* Logs why there is no profile, and stops profiling. Only REEL_BAD_COMM is returned. */
static enum reel_status give_up(struct reel_profile *profile, const struct reel_run *run,
                                enum reel_status status)
{
    reel_trace_close();
    if (status == REEL_BAD_COMM)
        return status;
    reel_note(&run->observer, "warning: %s: there is no profile: %s", profile->file,
              reel_error_here()->cause);
    reel_error_clear();
    profile->file = "";
    return REEL_OK;
}

enum reel_status reel_profile_before(struct reel_profile *profile, struct reel_engine *engine,
                                     const struct reel_run *run, int64_t row)
{
    if (!profile->file[0])
        return REEL_OK;
    if (profile->call < 0)
        profile->call = choose_call(run, engine->plan.work.branches);
    if (run->position.calls_made != profile->call || !reel_timesteps_runs(run->latents.matrix, row))
        return REEL_OK;
    enum reel_status status = reel_trace_open(profile->max_spans);
    status = reel_agree(engine->comm, status);
    if (status != REEL_OK)
        return give_up(profile, run, status);
    const struct reel_ops *ops = engine->device.ops;
    profile->on_device = ops->events_open && ops->events_open(&engine->stream);
    REEL_PASS(set_clocks(profile, engine->comm));
    reel_trace_start();
    return REEL_OK;
}

/* This rank's texts. */
static enum reel_status make_text(const struct reel_profile *profile, const struct reel_engine *engine,
                                  int64_t frames, struct reel_profile_text *text)
{
    const struct reel_device *device = &engine->device;
    int64_t planned[REEL_TRAFFIC_CLASSES] = {0}, rank = engine->comm->world.rank;
    reel_traffic_iteration(&engine->plan, rank, (struct reel_iteration){.frames = frames, .computed = 1},
                           planned);
    struct reel_profile_rank mine = {.rank = rank,
                                     .device = device->text[0] ? device->text : device->ops->name,
                                     .ops = device->ops,
                                     .began_ns = profile->began_ns - profile->ahead_ns,
                                     .ended_ns = profile->ended_ns,
                                     .ahead_ns = profile->ahead_ns,
                                     .trip_ns = profile->trip_ns,
                                     .planned_bytes = planned};
    return reel_profile_text(&mine, text);
}

/* Rank 0's side of collect_texts: every rank's text, in order, with commas between them. */
static int receive_all(const struct reel_axis *world, const char *mine, const int64_t *sizes, char *room,
                       FILE *file)
{
    int failed = MPI_SUCCESS;
    fputs(mine, file);
    for (int rank = 1; rank < (int)world->size; rank++) {
        for (int64_t at = 0; at < sizes[rank]; at += PIECE) {
            int64_t bytes = sizes[rank] - at < PIECE ? sizes[rank] - at : PIECE;
            failed |= MPI_Recv(room + at, (int)bytes, MPI_BYTE, rank, 0, world->mpi, MPI_STATUS_IGNORE);
            reel_heartbeat();
        }
        fputs(",\n", file);
        fwrite(room, 1, (size_t)sizes[rank], file);
    }
    return failed;
}

static int send_text(const struct reel_axis *world, const char *mine, int64_t size)
{
    int failed = MPI_SUCCESS;
    for (int64_t at = 0; at < size; at += PIECE) {
        int64_t bytes = size - at < PIECE ? size - at : PIECE;
        failed |= MPI_Send(mine + at, (int)bytes, MPI_BYTE, 0, 0, world->mpi);
        reel_heartbeat();
    }
    return failed;
}

/* Collective over world. Rank 0 writes the texts of all ranks to the file. The caller checks the file for
 * write errors. */
static enum reel_status collect_texts(struct reel_comm *comm, const char *mine, FILE *file)
{
    int64_t size = (int64_t)strlen(mine), ranks = comm->world.size, max = 1, *sizes = NULL;
    char *room = NULL;
    enum reel_status status = REEL_OK;
    if (comm->world.rank == 0 && !(sizes = calloc((size_t)ranks, sizeof *sizes)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the sizes of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(comm, status));
    int failed = MPI_Gather(&size, 1, MPI_INT64_T, sizes, 1, MPI_INT64_T, 0, comm->world.mpi);
    for (int64_t rank = 1; sizes && rank < ranks; rank++)
        max = sizes[rank] > max ? sizes[rank] : max;
    if (failed != MPI_SUCCESS)
        status = reel_fail(REEL_BAD_COMM, "the sizes of the ranks' profiles did not reach rank 0");
    else if (sizes && !(room = malloc((size_t)max)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for a rank's profile, %lld bytes", (long long)max);
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        failed =
            sizes ? receive_all(&comm->world, mine, sizes, room, file) : send_text(&comm->world, mine, size);
    free(room);
    free(sizes);
    REEL_PASS(status);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' profiles did not reach rank 0");
    return REEL_OK;
}

/* Collective over world. Rank 0 writes the whole file. */
static enum reel_status write_text(struct reel_comm *comm, const struct reel_run *run, int64_t row,
                                   const struct reel_profile_text *text, FILE *file)
{
    int first = comm->world.rank == 0;
    if (first)
        fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file);
    REEL_PASS(collect_texts(comm, text->events, file));
    if (first)
        fprintf(file, "\n],\"otherData\":{\"reel\":\"%s\",\"chunk\":%lld,\"iteration\":%lld,\"ranks\":[\n",
                REEL_VERSION, (long long)run->latents.chunk->index, (long long)row);
    REEL_PASS(collect_texts(comm, text->summary, file));
    if (first)
        fputs("\n]}}\n", file);
    return REEL_OK;
}

static enum reel_status cannot_write(void)
{
    return reel_fail(REEL_BAD_OUTPUT, "it could not be written: %s", strerror(errno));
}

/* Collective over world. The file is written under a temporary name, then renamed. */
static enum reel_status write_file(const struct reel_profile *profile, struct reel_comm *comm,
                                   const struct reel_run *run, int64_t row,
                                   const struct reel_profile_text *text)
{
    char aside[REEL_PATH_BYTES + 32];
    FILE *file = NULL;
    enum reel_status status = REEL_OK;
    snprintf(aside, sizeof aside, "%s.%lld.tmp", profile->file, (long long)getpid());
    if (comm->world.rank == 0 && !(file = fopen(aside, "we")))
        status = cannot_write();
    REEL_PASS(reel_agree(comm, status));
    status = write_text(comm, run, row, text, file);
    if (file) {
        int failed = ferror(file);
        if ((fclose(file) != 0 || failed || rename(aside, profile->file) != 0) && status == REEL_OK)
            status = cannot_write();
        unlink(aside);
    }
    return reel_agree(comm, status);
}

/* How many spans of all ranks found no room in memory. Collective over world. */
static enum reel_status count_lost(const struct reel_comm *comm, int64_t *lost)
{
    int64_t count, mine;
    reel_trace_spans(&count, &mine);
    REEL_NEED(MPI_Allreduce(&mine, lost, 1, MPI_INT64_T, MPI_SUM, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not count their spans");
    return REEL_OK;
}

static void log_profile(const struct reel_profile *profile, const struct reel_run *run, int64_t row,
                        int64_t lost, int has_events)
{
    char words[96] = "";
    if (lost > 0)
        snprintf(words, sizeof words, "; %lld spans found no room and are missing", (long long)lost);
    reel_note(&run->observer, "%s: the profile of chunk %lld, iteration %lld%s%s", profile->file,
              (long long)run->latents.chunk->index, (long long)row, words,
              has_events && !profile->on_device
                  ? "; the device could not be timed: only the times at which work was issued are known"
                  : "");
}

enum reel_status reel_profile_after(struct reel_profile *profile, struct reel_engine *engine,
                                    const struct reel_run *run, int64_t row, int ran)
{
    struct reel_profile_text text = {.events = NULL};
    const struct reel_ops *ops = engine->device.ops;
    int64_t lost = 0, frames = reel_timesteps_window(run->latents.matrix, row).count;
    if (!reel_trace_is_on())
        return REEL_OK;
    reel_finish(&engine->stream);
    reel_trace_stop();
    profile->ended_ns = reel_trace_now();
    if (!ran) { /* it was cancelled; the next attempt repeats it */
        reel_trace_close();
        return REEL_OK;
    }
    if (profile->on_device)
        ops->events_settle(&engine->stream);
    enum reel_status status = reel_agree(engine->comm, make_text(profile, engine, frames, &text));
    if (status == REEL_OK)
        status = count_lost(engine->comm, &lost);
    if (status == REEL_OK)
        status = write_file(profile, engine->comm, run, row, &text);
    free(text.events);
    free(text.summary);
    if (status != REEL_OK)
        return give_up(profile, run, status);
    log_profile(profile, run, row, lost, ops->events_open != NULL);
    reel_trace_close();
    profile->file = "";
    return REEL_OK;
}

void reel_profile_end(const struct reel_profile *profile, const struct reel_run *run)
{
    if (profile->file[0] && profile->call < 0)
        reel_note(&run->observer, "%s was not written: no iteration was left to compute", profile->file);
}

void reel_profile_close(struct reel_profile *profile)
{
    reel_trace_close();
    memset(profile, 0, sizeof *profile);
}
