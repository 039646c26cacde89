/* The profile of a run: one iteration of all ranks, on one clock, in one file. */
#include "sampler.h"

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

struct reel_profile reel_profile_of(const struct reel_start *start)
{
    return (struct reel_profile){.file = start->profile ? start->profile : "",
                                 .max_spans = start->profile_spans > 0 ? start->profile_spans : MAX_SPANS,
                                 .call = -1};
}

/* The first call of the second computed iteration from here on, because the first one warms up; of the first
 * if there is only one; -1 if there is none. */
static int64_t choose_call(const struct reel_sampler *s)
{
    int64_t found = -1, seen = 0;
    for (int64_t c = s->call_count; c < s->timeline.call_count && seen < 2; c += s->plan.work.branches)
        if (s->timeline.calls[c].computed) {
            found = c;
            seen++;
        }
    return found;
}

/* Rank 0 measures how much its clock is ahead of another rank's, and sends it that: the other rank reads its
 * clock between two readings of rank 0's. found: [ahead, round trip]. */
static int ask_time(struct reel_sampler *s, int rank, int64_t found[2])
{
    int failed = MPI_SUCCESS;
    int64_t theirs = 0;
    found[1] = INT64_MAX;
    for (int i = 0; i < QUESTIONS && failed == MPI_SUCCESS; i++) {
        int64_t before = reel_trace_now();
        failed |= MPI_Sendrecv(&before, 1, MPI_INT64_T, rank, 0, &theirs, 1, MPI_INT64_T, rank, 0,
                               s->comm->world.mpi, MPI_STATUS_IGNORE);
        int64_t trip = reel_trace_now() - before;
        if (trip < found[1]) {
            found[0] = before + trip / 2 - theirs;
            found[1] = trip;
        }
    }
    reel_heartbeat();
    return failed | MPI_Send(found, 2, MPI_INT64_T, rank, 0, s->comm->world.mpi);
}

static int answer_time(struct reel_sampler *s)
{
    MPI_Comm world = s->comm->world.mpi;
    int64_t question, answer, found[2];
    int failed = MPI_SUCCESS;
    for (int i = 0; i < QUESTIONS && failed == MPI_SUCCESS; i++) {
        failed |= MPI_Recv(&question, 1, MPI_INT64_T, 0, 0, world, MPI_STATUS_IGNORE);
        answer = reel_trace_now();
        failed |= MPI_Send(&answer, 1, MPI_INT64_T, 0, 0, world);
    }
    failed |= MPI_Recv(found, 2, MPI_INT64_T, 0, 0, world, MPI_STATUS_IGNORE);
    s->profile.ahead_ns = found[0];
    s->profile.trip_ns = found[1];
    return failed;
}

/* Collective over world. Relates all clocks to rank 0's, whose time now is where the file begins. */
static enum reel_status set_clocks(struct reel_sampler *s)
{
    int failed = MPI_SUCCESS;
    s->profile.ahead_ns = s->profile.trip_ns = 0;
    if (s->comm->world.rank > 0)
        failed = answer_time(s);
    for (int rank = 1; s->comm->world.rank == 0 && rank < (int)s->comm->world.size; rank++) {
        int64_t found[2];
        failed |= ask_time(s, rank, found);
    }
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not compare their clocks");
    s->profile.began_ns = reel_trace_now();
    return reel_broadcast(s->comm, &s->profile.began_ns, (int64_t)sizeof s->profile.began_ns);
}

/* Logs why there is no profile, and stops profiling. Only REEL_BAD_COMM is returned. */
static enum reel_status give_up(struct reel_sampler *s, enum reel_status status)
{
    reel_trace_close();
    if (status == REEL_BAD_COMM)
        return status;
    reel_sampler_note(s, "warning: %s: there is no profile: %s", s->profile.file, reel_error_here()->cause);
    reel_error_clear();
    s->profile.file = "";
    return REEL_OK;
}

enum reel_status reel_profile_before(struct reel_sampler *s, int64_t row)
{
    if (!s->profile.file[0])
        return REEL_OK;
    if (s->profile.call < 0)
        s->profile.call = choose_call(s);
    if (s->call_count != s->profile.call || !reel_timesteps_runs(s->now.matrix, row))
        return REEL_OK;
    enum reel_status status = reel_trace_open(s->profile.max_spans);
    status = reel_agree(s->comm, status);
    if (status != REEL_OK)
        return give_up(s, status);
    s->profile.on_device = s->ops->events_open && s->ops->events_open(&s->stream);
    REEL_PASS(set_clocks(s));
    reel_trace_start();
    return REEL_OK;
}

/* This rank's texts. */
static enum reel_status make_text(const struct reel_sampler *s, int64_t row, struct reel_profile_text *text)
{
    const struct reel_timesteps *matrix = s->now.matrix;
    int64_t planned[REEL_TRAFFIC_CLASSES] = {0}, rank = s->comm->world.rank;
    struct reel_iteration iteration = {.frames = matrix->interval[2 * row + 1] - matrix->interval[2 * row],
                                       .computed = 1};
    reel_traffic_iteration(&s->plan, rank, iteration, planned);
    struct reel_profile_rank mine = {.rank = rank,
                                     .device = s->device.text[0] ? s->device.text : s->ops->name,
                                     .ops = s->ops,
                                     .began_ns = s->profile.began_ns - s->profile.ahead_ns,
                                     .ended_ns = s->profile.ended_ns,
                                     .ahead_ns = s->profile.ahead_ns,
                                     .trip_ns = s->profile.trip_ns,
                                     .planned_bytes = planned};
    return reel_profile_text(&mine, text);
}

/* Rank 0's side of collect_texts: every rank's text, in order, with commas between them. */
static int receive_all(struct reel_sampler *s, const char *mine, const int64_t *sizes, char *room, FILE *file)
{
    int failed = MPI_SUCCESS;
    fputs(mine, file);
    for (int rank = 1; rank < (int)s->comm->world.size; rank++) {
        for (int64_t at = 0; at < sizes[rank]; at += PIECE) {
            int64_t bytes = sizes[rank] - at < PIECE ? sizes[rank] - at : PIECE;
            failed |=
                MPI_Recv(room + at, (int)bytes, MPI_BYTE, rank, 0, s->comm->world.mpi, MPI_STATUS_IGNORE);
            reel_heartbeat();
        }
        fputs(",\n", file);
        fwrite(room, 1, (size_t)sizes[rank], file);
    }
    return failed;
}

static int send_text(struct reel_sampler *s, const char *mine, int64_t size)
{
    int failed = MPI_SUCCESS;
    for (int64_t at = 0; at < size; at += PIECE) {
        int64_t bytes = size - at < PIECE ? size - at : PIECE;
        failed |= MPI_Send(mine + at, (int)bytes, MPI_BYTE, 0, 0, s->comm->world.mpi);
        reel_heartbeat();
    }
    return failed;
}

/* Collective over world. Rank 0 writes the texts of all ranks to the file. The caller checks the file for
 * write errors. */
static enum reel_status collect_texts(struct reel_sampler *s, const char *mine, FILE *file)
{
    int64_t size = (int64_t)strlen(mine), ranks = s->comm->world.size, max = 1, *sizes = NULL;
    char *room = NULL;
    enum reel_status status = REEL_OK;
    if (s->comm->world.rank == 0 && !(sizes = calloc((size_t)ranks, sizeof *sizes)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the sizes of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(s->comm, status));
    int failed = MPI_Gather(&size, 1, MPI_INT64_T, sizes, 1, MPI_INT64_T, 0, s->comm->world.mpi);
    for (int64_t rank = 1; sizes && rank < ranks; rank++)
        max = sizes[rank] > max ? sizes[rank] : max;
    if (failed != MPI_SUCCESS)
        status = reel_fail(REEL_BAD_COMM, "the sizes of the ranks' profiles did not reach rank 0");
    else if (sizes && !(room = malloc((size_t)max)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for a rank's profile, %lld bytes", (long long)max);
    status = reel_agree(s->comm, status);
    if (status == REEL_OK)
        failed = sizes ? receive_all(s, mine, sizes, room, file) : send_text(s, mine, size);
    free(room);
    free(sizes);
    REEL_PASS(status);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' profiles did not reach rank 0");
    return REEL_OK;
}

/* Collective over world. Rank 0 writes the whole file. */
static enum reel_status write_text(struct reel_sampler *s, int64_t row, const struct reel_profile_text *text,
                                   FILE *file)
{
    int first = s->comm->world.rank == 0;
    if (first)
        fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file);
    REEL_PASS(collect_texts(s, text->events, file));
    if (first)
        fprintf(file, "\n],\"otherData\":{\"reel\":\"%s\",\"chunk\":%lld,\"iteration\":%lld,\"ranks\":[\n",
                REEL_VERSION, (long long)s->now.chunk->index, (long long)row);
    REEL_PASS(collect_texts(s, text->summary, file));
    if (first)
        fputs("\n]}}\n", file);
    return REEL_OK;
}

static enum reel_status cannot_write(void)
{
    return reel_fail(REEL_BAD_OUTPUT, "it could not be written: %s", strerror(errno));
}

/* Collective over world. The file is written under a temporary name, then renamed. */
static enum reel_status write_file(struct reel_sampler *s, int64_t row, const struct reel_profile_text *text)
{
    char aside[REEL_PATH_BYTES + 32];
    FILE *file = NULL;
    enum reel_status status = REEL_OK;
    snprintf(aside, sizeof aside, "%s.%lld.tmp", s->profile.file, (long long)getpid());
    if (s->comm->world.rank == 0 && !(file = fopen(aside, "we")))
        status = cannot_write();
    REEL_PASS(reel_agree(s->comm, status));
    status = write_text(s, row, text, file);
    if (file) {
        int failed = ferror(file);
        if ((fclose(file) != 0 || failed || rename(aside, s->profile.file) != 0) && status == REEL_OK)
            status = cannot_write();
        unlink(aside);
    }
    return reel_agree(s->comm, status);
}

/* How many spans of all ranks found no room in memory. Collective over world. */
static enum reel_status count_lost(struct reel_sampler *s, int64_t *lost)
{
    int64_t count, mine;
    reel_trace_spans(&count, &mine);
    REEL_NEED(MPI_Allreduce(&mine, lost, 1, MPI_INT64_T, MPI_SUM, s->comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not count their spans");
    return REEL_OK;
}

static void log_profile(const struct reel_sampler *s, int64_t row, int64_t lost)
{
    char words[96] = "";
    if (lost > 0)
        snprintf(words, sizeof words, "; %lld spans found no room and are missing", (long long)lost);
    reel_sampler_note(
        s, "%s: the profile of chunk %lld, iteration %lld%s%s", s->profile.file,
        (long long)s->now.chunk->index, (long long)row, words,
        s->ops->events_open && !s->profile.on_device
            ? "; the device could not be timed: only the times at which work was issued are known"
            : "");
}

enum reel_status reel_profile_after(struct reel_sampler *s, int64_t row, int ran)
{
    struct reel_profile_text text = {.events = NULL};
    int64_t lost = 0;
    if (!reel_trace_is_on())
        return REEL_OK;
    reel_finish(&s->stream);
    reel_trace_stop();
    s->profile.ended_ns = reel_trace_now();
    if (!ran) { /* it was cancelled; the next attempt repeats it */
        reel_trace_close();
        return REEL_OK;
    }
    if (s->profile.on_device)
        s->ops->events_settle(&s->stream);
    enum reel_status status = reel_agree(s->comm, make_text(s, row, &text));
    if (status == REEL_OK)
        status = count_lost(s, &lost);
    if (status == REEL_OK)
        status = write_file(s, row, &text);
    free(text.events);
    free(text.summary);
    if (status != REEL_OK)
        return give_up(s, status);
    log_profile(s, row, lost);
    reel_trace_close();
    s->profile.file = "";
    return REEL_OK;
}

void reel_profile_end(const struct reel_sampler *s)
{
    if (s->profile.file[0] && s->profile.call < 0)
        reel_sampler_note(s, "%s was not written: no iteration was left to compute", s->profile.file);
}
