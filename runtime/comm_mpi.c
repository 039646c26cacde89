/* Axes and exchanges over Open MPI. */
#include "comm.h"

#include "fault.h"
#include "pulse.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PIECE = 1 << 28,        /* bytes of one message: far below what an int counts */
    STAGED = 1 << 22,       /* bytes of one message that goes through the host's memory */
    PATIENCE_NS = 50 * 1000 /* between two looks of a thread that works beside others */
};

/* Collective over parent. The ranks of one colour, in the order of place. */
static enum reel_status axis_open(MPI_Comm parent, int64_t colour, int64_t place, struct reel_axis *axis)
{
    int rank, size;
    memset(axis, 0, sizeof *axis);
    REEL_NEED(MPI_Comm_split(parent, (int)colour, (int)place, &axis->mpi) == MPI_SUCCESS, REEL_BAD_COMM,
              "MPI could not make a communicator");
    MPI_Comm_set_errhandler(axis->mpi, MPI_ERRORS_RETURN);
    MPI_Comm_rank(axis->mpi, &rank);
    MPI_Comm_size(axis->mpi, &size);
    axis->rank = rank;
    axis->size = size;
    return REEL_OK;
}

enum reel_status reel_comm_open(MPI_Comm world, struct reel_comm *comm)
{
    MPI_Comm host;
    memset(comm, 0, sizeof *comm);
    REEL_PASS(axis_open(world, 0, 0, &comm->world));
    reel_fault_rank((int)comm->world.rank);
    REEL_NEED(MPI_Comm_split_type(comm->world.mpi, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) ==
                  MPI_SUCCESS,
              REEL_BAD_COMM, "MPI could not tell which ranks share a host");
    enum reel_status status = axis_open(host, 0, 0, &comm->host);
    MPI_Comm_free(&host);
    return status;
}

static void axis_close(struct reel_axis *axis)
{
    if (axis->size > 0)
        MPI_Comm_free(&axis->mpi);
    free(axis->staging);
    memset(axis, 0, sizeof *axis);
}

/* Memory that the host cannot read is sent from memory that it can. */
static enum reel_status give_memory(struct reel_axis *axis, const struct reel_ops *ops)
{
    axis->ops = ops;
    if (ops->is_host || axis->size == 1)
        return REEL_OK;
    axis->staging = malloc(2 * STAGED);
    REEL_NEED(axis->staging, REEL_NO_MEMORY, "no memory for what travels through the host");
    return REEL_OK;
}

enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_ops *ops)
{
    struct reel_seat seat = comm->seat = reel_plan_seat(plan, comm->world.rank);
    int64_t U = plan->mesh.ulysses, T = plan->mesh.tensor;
    /* the ranks of an axis differ in their place on it alone; the colour is what they have in common */
    const struct {
        struct reel_axis *axis;
        int64_t colour, place;
    } axes[] = {{&comm->sequence, seat.cfg, reel_plan_part(plan, seat)},
                {&comm->cfg, reel_plan_part(plan, seat), seat.cfg},
                {&comm->ring, (seat.cfg * U + seat.ulysses) * T + seat.tensor, seat.ring},
                {&comm->ulysses, (seat.cfg * plan->mesh.ring + seat.ring) * T + seat.tensor, seat.ulysses},
                {&comm->tensor, comm->world.rank / T, seat.tensor},
                {&comm->blocks, seat.cfg * T + seat.tensor, seat.ring * U + seat.ulysses}};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++) {
        axis_close(axes[a].axis);
        REEL_PASS(axis_open(comm->world.mpi, axes[a].colour, axes[a].place, axes[a].axis));
    }
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        REEL_PASS(give_memory(axes[a].axis, ops));
    return REEL_OK;
}

void reel_comm_close(struct reel_comm *comm)
{
    struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor,   &comm->ulysses, &comm->ring,
                                      &comm->cfg,    &comm->sequence, &comm->host,    &comm->world};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        axis_close(axes[a]);
}

int64_t reel_comm_sent(const struct reel_comm *comm, enum reel_purpose purpose)
{
    return comm->sequence.sent_bytes[purpose] + comm->cfg.sent_bytes[purpose] +
           comm->ring.sent_bytes[purpose] + comm->ulysses.sent_bytes[purpose] +
           comm->tensor.sent_bytes[purpose] + comm->blocks.sent_bytes[purpose];
}

/* Waits for both, asleep between looks. */
static int wait_patiently(MPI_Request requests[2])
{
    static const struct timespec pause = {.tv_nsec = PATIENCE_NS};
    for (;;) {
        int done = 0, failed = MPI_Testall(2, requests, &done, MPI_STATUSES_IGNORE);
        if (done || failed != MPI_SUCCESS)
            return failed;
        nanosleep(&pause, NULL);
    }
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One message each way, of at most a piece; a count below 1 is none. Returns MPI's verdict. */
static int swap_piece(const struct reel_axis *axis, int64_t to, const void *send, int64_t send_bytes,
                      int64_t from, void *receive, int64_t receive_bytes, int patient)
{
    MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    int failed = MPI_SUCCESS;
    if (receive_bytes > 0)
        failed |= MPI_Irecv(receive, (int)receive_bytes, MPI_BYTE, (int)from, 0, axis->mpi, &requests[0]);
    if (send_bytes > 0)
        failed |= MPI_Isend(send, (int)send_bytes, MPI_BYTE, (int)to, 0, axis->mpi, &requests[1]);
    failed |= patient ? wait_patiently(requests) : MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    reel_pulse();
    return failed;
}

/* The same through the host's memory. */
static int swap_staged(const struct reel_axis *axis, struct reel_stream *copies, int64_t to, const char *send,
                       int64_t send_bytes, int64_t from, char *receive, int64_t receive_bytes, int patient)
{
    if (send_bytes > 0)
        reel_download(copies, axis->staging, send, send_bytes);
    int failed =
        swap_piece(axis, to, axis->staging, send_bytes, from, axis->staging + STAGED, receive_bytes, patient);
    if (receive_bytes > 0)
        reel_upload(copies, receive, axis->staging + STAGED, receive_bytes);
    return failed;
}

enum reel_status reel_swap(const struct reel_axis *axis, int64_t to, const void *send, int64_t send_bytes,
                           int64_t from, void *receive, int64_t receive_bytes, int patient)
{
    int64_t most = send_bytes > receive_bytes ? send_bytes : receive_bytes,
            piece = axis->staging ? STAGED : PIECE;
    struct reel_stream copies = {.ops = axis->ops}; /* its own: it may run beside others */
    int failed = MPI_SUCCESS;
    /* piece by piece: both ends cut a message alike, for both know its size */
    for (int64_t at = 0; at < most; at += piece) {
        const char *out = (const char *)send + at;
        char *in = (char *)receive + at;
        int64_t out_bytes = smaller(piece, send_bytes - at), in_bytes = smaller(piece, receive_bytes - at);
        failed |= axis->staging ? swap_staged(axis, &copies, to, out, out_bytes, from, in, in_bytes, patient)
                                : swap_piece(axis, to, out, out_bytes, from, in, in_bytes, patient);
    }
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM,
              "an exchange between rank %lld and ranks %lld and %lld of an axis failed",
              (long long)axis->rank, (long long)to, (long long)from);
    return copies.status;
}

/* As part of a stream of work: its failure is the stream's. */
static void swap_floats(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                        int64_t to, const float *send, int64_t send_count, int64_t from, float *receive,
                        int64_t receive_count)
{
    enum reel_status status = reel_swap(axis, to, send, send_count * (int64_t)sizeof *send, from, receive,
                                        receive_count * (int64_t)sizeof *receive, 0);
    if (status != REEL_OK)
        reel_stream_fail(stream, status, "%s", reel_error_here()->cause);
    axis->sent_bytes[purpose] += send_count * (int64_t)sizeof *send;
}

/* Where part p begins when counts are dense in the order of parts. */
static int64_t offset_of(const int64_t *counts, int64_t part)
{
    int64_t offset = 0;
    for (int64_t p = 0; p < part; p++)
        offset += counts[p];
    return offset;
}

/* What a rank keeps for itself. */
static void keep_own(struct reel_stream *stream, float *to, const float *from, int64_t count)
{
    reel_copy(stream, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                         .rows = 1,
                                         .row_bytes = count * (int64_t)sizeof *from,
                                         .from = from,
                                         .to = to});
}

void reel_exchange(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                   const float *send, const int64_t *send_counts, float *receive,
                   const int64_t *receive_counts)
{
    int64_t me = axis->rank, size = axis->size;
    keep_own(stream, receive + offset_of(receive_counts, me), send + offset_of(send_counts, me),
             send_counts[me]);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        swap_floats(axis, stream, purpose, to, send + offset_of(send_counts, to), send_counts[to], from,
                    receive + offset_of(receive_counts, from), receive_counts[from]);
        if (reel_fault(REEL_FAULT_EXCHANGE))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: an exchange failed");
    }
}

void reel_gather(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                 const struct reel_cut *rows, int64_t width, const float *mine, float *all)
{
    int64_t me = axis->rank, size = axis->size, count = reel_cut_count(rows, me) * width;
    if (mine != all + rows->first[me] * width)
        keep_own(stream, all + rows->first[me] * width, mine, count);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        swap_floats(axis, stream, purpose, to, mine, count, from, all + rows->first[from] * width,
                    reel_cut_count(rows, from) * width);
        if (reel_fault(REEL_FAULT_GATHER))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: gathering failed");
    }
}

enum reel_status reel_broadcast_from(struct reel_comm *comm, int64_t rank, void *bytes, int64_t count)
{
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t piece = smaller(PIECE, count - at);
        REEL_NEED(MPI_Bcast((char *)bytes + at, (int)piece, MPI_BYTE, (int)rank, comm->world.mpi) ==
                      MPI_SUCCESS,
                  REEL_BAD_COMM, "rank %lld did not receive what rank %lld sent to all",
                  (long long)comm->world.rank, (long long)rank);
        reel_pulse();
    }
    return REEL_OK;
}

enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count)
{
    return reel_broadcast_from(comm, 0, bytes, count);
}

enum reel_status reel_agree(struct reel_comm *comm, enum reel_status mine)
{
    int64_t failing = mine == REEL_OK ? INT64_MAX : comm->world.rank, first = INT64_MAX;
    REEL_NEED(MPI_Allreduce(&failing, &first, 1, MPI_INT64_T, MPI_MIN, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on how to go on");
    if (first == INT64_MAX)
        return REEL_OK;
    struct reel_error *error = reel_error_here();
    REEL_NEED(MPI_Bcast(error, sizeof *error, MPI_BYTE, (int)first, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on an error");
    return error->status;
}
