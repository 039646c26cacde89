/* Axes and exchanges over Open MPI. */
#include "comm.h"

#include "fault.h"
#include "pulse.h"
#include "span.h"

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
    reel_nccl_close(axis->nccl);
    if (axis->size > 0)
        MPI_Comm_free(&axis->mpi);
    if (axis->staging)
        reel_release_host(axis->ops, axis->staging, 2 * STAGED);
    memset(axis, 0, sizeof *axis);
}

/* Memory that the host cannot read is sent by the device, or from memory that it can. */
static enum reel_status give_memory(struct reel_axis *axis, const struct reel_carrier *carrier)
{
    axis->ops = carrier->ops;
    if (axis->size == 1)
        return REEL_OK;
    if (carrier->over_nccl)
        return reel_nccl_open(axis->mpi, carrier->seconds, &axis->nccl);
    if (carrier->ops->is_host)
        return REEL_OK;
    axis->staging = reel_allocate_host(carrier->ops, 2 * STAGED);
    REEL_NEED(axis->staging, REEL_NO_MEMORY, "no memory for what travels through the host");
    return REEL_OK;
}

enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_carrier *carrier)
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
    for (size_t a = 0; a < sizeof axes / sizeof axes[0];
         a++) /* one verdict each: the next is collective again */
        REEL_PASS(reel_agree(comm, give_memory(axes[a].axis, carrier)));
    return REEL_OK;
}

void reel_comm_close(struct reel_comm *comm)
{
    struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor,   &comm->ulysses, &comm->ring,
                                      &comm->cfg,    &comm->sequence, &comm->host,    &comm->world};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        axis_close(axes[a]);
}

void reel_comm_abandon(struct reel_comm *comm)
{
    struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor, &comm->ulysses,
                                      &comm->ring,   &comm->cfg,    &comm->sequence};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++) {
        reel_nccl_close(axes[a]->nccl);
        axes[a]->nccl = NULL;
    }
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

/* The same through the host's memory, in the order of the stream. */
static int swap_staged(const struct reel_axis *axis, struct reel_stream *stream, int64_t to, const char *send,
                       int64_t send_bytes, int64_t from, char *receive, int64_t receive_bytes, int patient)
{
    if (send_bytes > 0)
        reel_download(stream, axis->staging, send, send_bytes);
    int failed =
        swap_piece(axis, to, axis->staging, send_bytes, from, axis->staging + STAGED, receive_bytes, patient);
    if (receive_bytes > 0)
        reel_upload(stream, receive, axis->staging + STAGED, receive_bytes);
    return failed;
}

/* Piece by piece: both ends cut a message alike, for both know its size. */
static enum reel_status swap_over_mpi(const struct reel_axis *axis, struct reel_stream *stream,
                                      enum reel_purpose purpose, const struct reel_swap *swap)
{
    int64_t most = swap->send_bytes > swap->receive_bytes ? swap->send_bytes : swap->receive_bytes,
            piece = axis->staging ? STAGED : PIECE;
    int failed = MPI_SUCCESS;
    int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_EXCHANGE,
                                                              .name = reel_purpose_name(purpose),
                                                              .numbers = {{"sent", swap->send_bytes},
                                                                          {"to", swap->to},
                                                                          {"received", swap->receive_bytes},
                                                                          {"from", swap->from}}});
    for (int64_t at = 0; at < most; at += piece) {
        const char *out = (const char *)swap->send + at;
        char *in = (char *)swap->receive + at;
        int64_t out_bytes = smaller(piece, swap->send_bytes - at),
                in_bytes = smaller(piece, swap->receive_bytes - at);
        failed |=
            axis->staging
                ? swap_staged(axis, stream, swap->to, out, out_bytes, swap->from, in, in_bytes, swap->patient)
                : swap_piece(axis, swap->to, out, out_bytes, swap->from, in, in_bytes, swap->patient);
    }
    reel_trace_end(span);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM,
              "an exchange between rank %lld and ranks %lld and %lld of an axis failed",
              (long long)axis->rank, (long long)swap->to, (long long)swap->from);
    return REEL_OK;
}

/* As one group. */
static enum reel_status swap_over_nccl(const struct reel_axis *axis, struct reel_stream *stream,
                                       enum reel_purpose purpose, const struct reel_swap *swaps,
                                       int64_t count)
{
    struct reel_trace_what what = {.kind = REEL_TRACE_EXCHANGE,
                                   .name = reel_purpose_name(purpose),
                                   .numbers = {{"sent", 0}, {"received", 0}, {"peers", count}}};
    for (int64_t i = 0; i < count; i++) {
        what.numbers[0].value += swaps[i].send_bytes;
        what.numbers[1].value += swaps[i].receive_bytes;
    }
    struct reel_span span = reel_span_begin(stream, &what);
    enum reel_status status = reel_nccl_begin(axis->nccl);
    for (int64_t i = 0; i < count && status == REEL_OK; i++)
        status = reel_nccl_swap(axis->nccl, stream, swaps[i].to, swaps[i].send, swaps[i].send_bytes,
                                swaps[i].from, swaps[i].receive, swaps[i].receive_bytes);
    enum reel_status ended = reel_nccl_end(axis->nccl);
    reel_span_end(stream, span);
    reel_pulse();
    return status != REEL_OK ? status : ended;
}

enum reel_status reel_swap(const struct reel_axis *axis, struct reel_stream *stream,
                           enum reel_purpose purpose, const struct reel_swap *swaps, int64_t count)
{
    if (axis->nccl)
        return swap_over_nccl(axis, stream, purpose, swaps, count);
    enum reel_status status = REEL_OK;
    for (int64_t i = 0; i < count; i++) { /* to the end also after a failure: the others come by */
        enum reel_status swapped = swap_over_mpi(axis, stream, purpose, &swaps[i]);
        status = status == REEL_OK ? swapped : status;
    }
    return status;
}

/* As part of a stream of work: its failure is the stream's. */
static void swap_all(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                     const struct reel_swap *swaps)
{
    enum reel_status status = reel_swap(axis, stream, purpose, swaps, axis->size - 1);
    if (status != REEL_OK)
        reel_stream_fail(stream, status, "%s", reel_error_here()->cause);
    for (int64_t i = 0; i + 1 < axis->size; i++)
        axis->sent_bytes[purpose] += swaps[i].send_bytes;
}

/* Where part p begins when parts are dense and in order. */
static int64_t offset_of(const int64_t *bytes, int64_t part)
{
    int64_t offset = 0;
    for (int64_t p = 0; p < part; p++)
        offset += bytes[p];
    return offset;
}

/* What a rank keeps for itself. */
static void keep_own(struct reel_stream *stream, void *to, const void *from, int64_t bytes)
{
    reel_copy(stream,
              (struct reel_copy){
                  .direction = REEL_ON_DEVICE, .rows = 1, .row_bytes = bytes, .from = from, .to = to});
}

void reel_exchange(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                   const void *send, const int64_t *send_bytes, void *receive, const int64_t *receive_bytes,
                   int patient)
{
    int64_t me = axis->rank, size = axis->size;
    const char *out = send;
    char *in = receive;
    struct reel_swap swaps[REEL_PARTS_MAX];
    keep_own(stream, in + offset_of(receive_bytes, me), out + offset_of(send_bytes, me), send_bytes[me]);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        swaps[s - 1] = (struct reel_swap){.to = to,
                                          .from = from,
                                          .send = out + offset_of(send_bytes, to),
                                          .send_bytes = send_bytes[to],
                                          .receive = in + offset_of(receive_bytes, from),
                                          .receive_bytes = receive_bytes[from],
                                          .patient = patient};
        if (reel_fault(REEL_FAULT_EXCHANGE))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: an exchange failed");
    }
    swap_all(axis, stream, purpose, swaps);
}

void reel_gather(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                 const struct reel_cut *rows, int64_t row_bytes, const void *mine, void *all)
{
    int64_t me = axis->rank, size = axis->size, bytes = reel_cut_count(rows, me) * row_bytes;
    char *in = all, *own = in + rows->first[me] * row_bytes;
    struct reel_swap swaps[REEL_PARTS_MAX];
    if (mine != own)
        keep_own(stream, own, mine, bytes);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        swaps[s - 1] = (struct reel_swap){.to = to,
                                          .from = from,
                                          .send = mine,
                                          .send_bytes = bytes,
                                          .receive = in + rows->first[from] * row_bytes,
                                          .receive_bytes = reel_cut_count(rows, from) * row_bytes};
        if (reel_fault(REEL_FAULT_GATHER))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: gathering failed");
    }
    swap_all(axis, stream, purpose, swaps);
}

enum reel_status reel_comm_check(const struct reel_comm *comm)
{
    const struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor, &comm->ulysses,
                                            &comm->ring,   &comm->cfg,    &comm->sequence};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        if (axes[a]->nccl)
            REEL_PASS(reel_nccl_check(axes[a]->nccl));
    return REEL_OK;
}

enum reel_status reel_broadcast_from(struct reel_comm *comm, int64_t rank, void *bytes, int64_t count)
{
    int failed = MPI_SUCCESS;
    int64_t span = reel_trace_begin(&(struct reel_trace_what){
        .kind = REEL_TRACE_EXCHANGE, .name = "broadcast", .numbers = {{"bytes", count}, {"from", rank}}});
    for (int64_t at = 0; at < count && failed == MPI_SUCCESS; at += PIECE) {
        int64_t piece = smaller(PIECE, count - at);
        failed = MPI_Bcast((char *)bytes + at, (int)piece, MPI_BYTE, (int)rank, comm->world.mpi);
        reel_pulse();
    }
    reel_trace_end(span);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "rank %lld did not receive what rank %lld sent to all",
              (long long)comm->world.rank, (long long)rank);
    return REEL_OK;
}

enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count)
{
    return reel_broadcast_from(comm, 0, bytes, count);
}

enum reel_status reel_agree(struct reel_comm *comm, enum reel_status mine)
{
    int64_t after = mine == REEL_INTERNAL ? comm->world.size : 0, first = INT64_MAX;
    int64_t failing = mine == REEL_OK ? INT64_MAX : comm->world.rank + after;
    int64_t span = reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_WAIT, .name = "agree"});
    int failed = MPI_Allreduce(&failing, &first, 1, MPI_INT64_T, MPI_MIN, comm->world.mpi);
    reel_trace_end(span);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not agree on how to go on");
    if (first == INT64_MAX)
        return REEL_OK;
    struct reel_error error = *reel_error_here();
    int speaker = (int)(first % comm->world.size);
    REEL_NEED(MPI_Bcast(&error, sizeof error, MPI_BYTE, speaker, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on an error");
    return reel_error_set(&error);
}
