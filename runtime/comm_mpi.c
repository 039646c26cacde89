/* Axes and exchanges over Open MPI. */
#include "comm.h"

#include "fault.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 26 }; /* floats of one message: 256 MiB, far below what an int counts */

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
    memset(comm, 0, sizeof *comm);
    REEL_PASS(axis_open(world, 0, 0, &comm->world));
    reel_fault_rank((int)comm->world.rank);
    return REEL_OK;
}

static void axis_close(struct reel_axis *axis)
{
    if (axis->size > 0)
        MPI_Comm_free(&axis->mpi);
    memset(axis, 0, sizeof *axis);
}

enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan)
{
    struct reel_seat seat = reel_plan_seat(plan, comm->world.rank);
    axis_close(&comm->sequence);
    axis_close(&comm->cfg);
    REEL_PASS(axis_open(comm->world.mpi, seat.cfg, seat.ulysses, &comm->sequence));
    return axis_open(comm->world.mpi, seat.ulysses, seat.cfg, &comm->cfg);
}

void reel_comm_close(struct reel_comm *comm)
{
    axis_close(&comm->cfg);
    axis_close(&comm->sequence);
    axis_close(&comm->world);
}

static int64_t pieces_of(int64_t count)
{
    return (count + PIECE - 1) / PIECE;
}

/* Sends and receives with one peer each, piece by piece. Both ends cut a message alike, for both know its
 * size. */
static int swap(struct reel_axis *axis, int64_t to, const float *send, int64_t send_count, int64_t from,
                float *receive, int64_t receive_count)
{
    int64_t rounds =
        pieces_of(send_count) > pieces_of(receive_count) ? pieces_of(send_count) : pieces_of(receive_count);
    int failed = MPI_SUCCESS;
    for (int64_t k = 0; k < rounds; k++) {
        MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        int64_t at = k * PIECE, out = send_count - at, in = receive_count - at;
        if (in > 0)
            failed |= MPI_Irecv(receive + at, (int)(in < PIECE ? in : PIECE), MPI_FLOAT, (int)from, 0,
                                axis->mpi, &requests[0]);
        if (out > 0)
            failed |= MPI_Isend(send + at, (int)(out < PIECE ? out : PIECE), MPI_FLOAT, (int)to, 0, axis->mpi,
                                &requests[1]);
        failed |= MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    }
    return failed;
}

/* Where part p begins when counts are dense in the order of parts. */
static int64_t offset_of(const int64_t *counts, int64_t part)
{
    int64_t offset = 0;
    for (int64_t p = 0; p < part; p++)
        offset += counts[p];
    return offset;
}

void reel_exchange(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                   const float *send, const int64_t *send_counts, float *receive,
                   const int64_t *receive_counts)
{
    int64_t me = axis->rank, size = axis->size;
    memcpy(receive + offset_of(receive_counts, me), send + offset_of(send_counts, me),
           (size_t)send_counts[me] * sizeof *send);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        int failed = swap(axis, to, send + offset_of(send_counts, to), send_counts[to], from,
                          receive + offset_of(receive_counts, from), receive_counts[from]);
        if (failed != MPI_SUCCESS)
            reel_stream_fail(stream, REEL_BAD_COMM,
                             "an exchange between rank %lld and ranks %lld and %lld failed", (long long)me,
                             (long long)to, (long long)from);
        if (reel_fault(REEL_FAULT_EXCHANGE))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: an exchange failed");
        axis->sent_bytes[purpose] += send_counts[to] * (int64_t)sizeof *send;
    }
}

void reel_gather(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                 const struct reel_cut *rows, int64_t width, const float *mine, float *all)
{
    int64_t me = axis->rank, size = axis->size, count = reel_cut_count(rows, me) * width;
    if (count && mine != all + rows->first[me] * width)
        memcpy(all + rows->first[me] * width, mine, (size_t)count * sizeof *mine);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        int failed = swap(axis, to, mine, count, from, all + rows->first[from] * width,
                          reel_cut_count(rows, from) * width);
        if (failed != MPI_SUCCESS)
            reel_stream_fail(stream, REEL_BAD_COMM,
                             "gathering between rank %lld and ranks %lld and %lld failed", (long long)me,
                             (long long)to, (long long)from);
        if (reel_fault(REEL_FAULT_GATHER))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: gathering failed");
        axis->sent_bytes[purpose] += count * (int64_t)sizeof *mine;
    }
}

enum reel_status reel_host_sum(struct reel_comm *comm, int64_t mine, int64_t *sum)
{
    MPI_Comm host;
    REEL_NEED(MPI_Comm_split_type(comm->world.mpi, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) ==
                  MPI_SUCCESS,
              REEL_BAD_COMM, "MPI could not tell which ranks share a host");
    int failed = MPI_Allreduce(&mine, sum, 1, MPI_INT64_T, MPI_SUM, host);
    MPI_Comm_free(&host);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks of a host could not add up their memory");
    return REEL_OK;
}

enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count)
{
    for (int64_t at = 0; at < count; at += PIECE) {
        int64_t piece = count - at < PIECE ? count - at : PIECE;
        REEL_NEED(MPI_Bcast((char *)bytes + at, (int)piece, MPI_BYTE, 0, comm->world.mpi) == MPI_SUCCESS,
                  REEL_BAD_COMM, "rank %lld did not receive what rank 0 sent to all",
                  (long long)comm->world.rank);
    }
    return REEL_OK;
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
