/* Axes and exchanges over Open MPI. */
#include "comm.h"

#include "fault.h"
#include "heartbeat.h"
#include "span.h"

#include <string.h>
#include <time.h>

enum {
    PIECE = 1 << 28,     /* bytes of one message: far below INT_MAX */
    STAGED = 1 << 22,    /* bytes of one message that goes through host memory */
    YIELD_NS = 50 * 1000 /* between two polls of a thread that yields */
};

/* Collective over parent. An axis of the ranks of one colour, in the order of key. */
static enum reel_status axis_open(MPI_Comm parent, int64_t colour, int64_t key, struct reel_axis *axis)
{
    int rank, size;
    memset(axis, 0, sizeof *axis);
    REEL_NEED(MPI_Comm_split(parent, (int)colour, (int)key, &axis->mpi) == MPI_SUCCESS, REEL_BAD_COMM,
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
              REEL_BAD_COMM, "MPI could not determine which ranks share a host");
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

/* Prepares the axis to send the backend's memory: over NCCL, or through host memory where the host cannot
 * read it. */
static enum reel_status give_memory(struct reel_axis *axis, const struct reel_transport *transport)
{
    axis->ops = transport->ops;
    if (axis->size == 1)
        return REEL_OK;
    if (transport->over_nccl)
        return reel_nccl_open(axis->mpi, transport->seconds, &axis->nccl);
    if (transport->ops->is_host)
        return REEL_OK;
    axis->staging = reel_allocate_host(transport->ops, 2 * STAGED);
    REEL_NEED(axis->staging, REEL_NO_MEMORY, "no memory for the host buffer of exchanges between devices");
    return REEL_OK;
}

enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_transport *transport)
{
    struct reel_coords coords = comm->coords = reel_plan_coords(plan, comm->world.rank);
    int64_t U = plan->mesh.ulysses, T = plan->mesh.tensor;
    /* the ranks of one axis have the same colour and differ in the key, their place on the axis */
    const struct {
        struct reel_axis *axis;
        int64_t colour, key;
    } axes[] = {
        {&comm->sequence, coords.cfg, reel_plan_part(plan, coords)},
        {&comm->cfg, reel_plan_part(plan, coords), coords.cfg},
        {&comm->ring, (coords.cfg * U + coords.ulysses) * T + coords.tensor, coords.ring},
        {&comm->ulysses, (coords.cfg * plan->mesh.ring + coords.ring) * T + coords.tensor, coords.ulysses},
        {&comm->tensor, comm->world.rank / T, coords.tensor},
        {&comm->blocks, coords.cfg * T + coords.tensor, coords.ring * U + coords.ulysses}};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++) {
        axis_close(axes[a].axis);
        REEL_PASS(axis_open(comm->world.mpi, axes[a].colour, axes[a].key, axes[a].axis));
    }
    /* the ranks agree after each axis: the next one is collective again */
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        REEL_PASS(reel_agree(comm, give_memory(axes[a].axis, transport)));
    return REEL_OK;
}

void reel_comm_close(struct reel_comm *comm)
{
    struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor,   &comm->ulysses, &comm->ring,
                                      &comm->cfg,    &comm->sequence, &comm->host,    &comm->world};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++)
        axis_close(axes[a]);
}

void reel_comm_abort(struct reel_comm *comm)
{
    struct reel_axis *const axes[] = {&comm->blocks, &comm->tensor, &comm->ulysses,
                                      &comm->ring,   &comm->cfg,    &comm->sequence};
    for (size_t a = 0; a < sizeof axes / sizeof axes[0]; a++) {
        reel_nccl_close(axes[a]->nccl);
        axes[a]->nccl = NULL;
    }
}

int64_t reel_comm_sent(const struct reel_comm *comm, enum reel_traffic_class traffic_class)
{
    return comm->sequence.sent_bytes[traffic_class] + comm->cfg.sent_bytes[traffic_class] +
           comm->ring.sent_bytes[traffic_class] + comm->ulysses.sent_bytes[traffic_class] +
           comm->tensor.sent_bytes[traffic_class] + comm->blocks.sent_bytes[traffic_class];
}

/* Waits for both requests, asleep between polls. */
static int wait_and_yield(MPI_Request requests[2])
{
    static const struct timespec pause = {.tv_nsec = YIELD_NS};
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

/* One message each way, of at most PIECE bytes; a count below 1 sends or receives nothing. Returns MPI's
 * error. */
static int sendrecv_piece(const struct reel_axis *axis, int64_t to, const void *send, int64_t send_bytes,
                          int64_t from, void *receive, int64_t receive_bytes, int yields)
{
    MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    int failed = MPI_SUCCESS;
    if (receive_bytes > 0)
        failed |= MPI_Irecv(receive, (int)receive_bytes, MPI_BYTE, (int)from, 0, axis->mpi, &requests[0]);
    if (send_bytes > 0)
        failed |= MPI_Isend(send, (int)send_bytes, MPI_BYTE, (int)to, 0, axis->mpi, &requests[1]);
    failed |= yields ? wait_and_yield(requests) : MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
    reel_heartbeat();
    return failed;
}

/* The same through host memory, in the order of the stream. */
static int sendrecv_staged(const struct reel_axis *axis, struct reel_stream *stream, int64_t to,
                           const char *send, int64_t send_bytes, int64_t from, char *receive,
                           int64_t receive_bytes, int yields)
{
    if (send_bytes > 0)
        reel_download(stream, axis->staging, send, send_bytes);
    int failed = sendrecv_piece(axis, to, axis->staging, send_bytes, from, axis->staging + STAGED,
                                receive_bytes, yields);
    if (receive_bytes > 0)
        reel_upload(stream, receive, axis->staging + STAGED, receive_bytes);
    return failed;
}

/* Piece by piece: both ends know a message's size and so split it in the same way. */
static enum reel_status sendrecv_over_mpi(const struct reel_axis *axis, struct reel_stream *stream,
                                          enum reel_traffic_class traffic_class,
                                          const struct reel_sendrecv *message)
{
    int64_t max = message->send_bytes > message->receive_bytes ? message->send_bytes : message->receive_bytes,
            piece = axis->staging ? STAGED : PIECE;
    int failed = MPI_SUCCESS;
    int64_t span =
        reel_trace_begin(&(struct reel_trace_what){.kind = REEL_TRACE_EXCHANGE,
                                                   .name = reel_traffic_class_name(traffic_class),
                                                   .numbers = {{"sent", message->send_bytes},
                                                               {"to", message->to},
                                                               {"received", message->receive_bytes},
                                                               {"from", message->from}}});
    for (int64_t at = 0; at < max; at += piece) {
        const char *out = (const char *)message->send + at;
        char *in = (char *)message->receive + at;
        int64_t out_bytes = smaller(piece, message->send_bytes - at),
                in_bytes = smaller(piece, message->receive_bytes - at);
        failed |= axis->staging ? sendrecv_staged(axis, stream, message->to, out, out_bytes, message->from,
                                                  in, in_bytes, message->yields)
                                : sendrecv_piece(axis, message->to, out, out_bytes, message->from, in,
                                                 in_bytes, message->yields);
    }
    reel_trace_end(span);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM,
              "an exchange between rank %lld and ranks %lld and %lld of an axis failed",
              (long long)axis->rank, (long long)message->to, (long long)message->from);
    return REEL_OK;
}

/* All messages as one NCCL group. */
static enum reel_status sendrecv_over_nccl(const struct reel_axis *axis, struct reel_stream *stream,
                                           enum reel_traffic_class traffic_class,
                                           const struct reel_sendrecv *messages, int64_t count)
{
    struct reel_trace_what what = {.kind = REEL_TRACE_EXCHANGE,
                                   .name = reel_traffic_class_name(traffic_class),
                                   .numbers = {{"sent", 0}, {"received", 0}, {"peers", count}}};
    for (int64_t i = 0; i < count; i++) {
        what.numbers[0].value += messages[i].send_bytes;
        what.numbers[1].value += messages[i].receive_bytes;
    }
    struct reel_span span = reel_span_begin(stream, &what);
    enum reel_status status = reel_nccl_begin(axis->nccl);
    for (int64_t i = 0; i < count && status == REEL_OK; i++)
        status =
            reel_nccl_sendrecv(axis->nccl, stream, messages[i].to, messages[i].send, messages[i].send_bytes,
                               messages[i].from, messages[i].receive, messages[i].receive_bytes);
    enum reel_status ended = reel_nccl_end(axis->nccl);
    reel_span_end(stream, span);
    reel_heartbeat();
    return status != REEL_OK ? status : ended;
}

enum reel_status reel_sendrecv(const struct reel_axis *axis, struct reel_stream *stream,
                               enum reel_traffic_class traffic_class, const struct reel_sendrecv *messages,
                               int64_t count)
{
    if (axis->nccl)
        return sendrecv_over_nccl(axis, stream, traffic_class, messages, count);
    enum reel_status status = REEL_OK;
    for (int64_t i = 0; i < count; i++) { /* continues after a failure, so that no peer waits for this rank */
        enum reel_status exchanged = sendrecv_over_mpi(axis, stream, traffic_class, &messages[i]);
        status = status == REEL_OK ? exchanged : status;
    }
    return status;
}

/* One message with every other rank of the axis; a failure becomes the stream's. */
static void sendrecv_all(struct reel_axis *axis, struct reel_stream *stream,
                         enum reel_traffic_class traffic_class, const struct reel_sendrecv *messages)
{
    enum reel_status status = reel_sendrecv(axis, stream, traffic_class, messages, axis->size - 1);
    if (status != REEL_OK)
        reel_stream_fail(stream, status, "%s", reel_error_here()->cause);
    for (int64_t i = 0; i + 1 < axis->size; i++)
        axis->sent_bytes[traffic_class] += messages[i].send_bytes;
}

/* The offset of a part when the parts are dense and in order. */
static int64_t offset_of(const int64_t *bytes, int64_t part)
{
    int64_t offset = 0;
    for (int64_t p = 0; p < part; p++)
        offset += bytes[p];
    return offset;
}

/* Copies a rank's part for itself. */
static void keep_own(struct reel_stream *stream, void *to, const void *from, int64_t bytes)
{
    reel_copy(stream,
              (struct reel_copy){
                  .direction = REEL_ON_DEVICE, .rows = 1, .row_bytes = bytes, .from = from, .to = to});
}

void reel_alltoall(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                   const void *send, const int64_t *send_bytes, void *receive, const int64_t *receive_bytes,
                   int yields)
{
    int64_t me = axis->rank, size = axis->size;
    const char *out = send;
    char *in = receive;
    struct reel_sendrecv messages[REEL_PARTS_MAX];
    keep_own(stream, in + offset_of(receive_bytes, me), out + offset_of(send_bytes, me), send_bytes[me]);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        messages[s - 1] = (struct reel_sendrecv){.to = to,
                                                 .from = from,
                                                 .send = out + offset_of(send_bytes, to),
                                                 .send_bytes = send_bytes[to],
                                                 .receive = in + offset_of(receive_bytes, from),
                                                 .receive_bytes = receive_bytes[from],
                                                 .yields = yields};
        if (reel_fault(REEL_FAULT_EXCHANGE))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: an exchange failed");
    }
    sendrecv_all(axis, stream, traffic_class, messages);
}

void reel_allgather(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                    const struct reel_cut *rows, int64_t row_bytes, const void *mine, void *all)
{
    int64_t me = axis->rank, size = axis->size, bytes = reel_cut_count(rows, me) * row_bytes;
    char *in = all, *own = in + rows->first[me] * row_bytes;
    struct reel_sendrecv messages[REEL_PARTS_MAX];
    if (mine != own)
        keep_own(stream, own, mine, bytes);
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        messages[s - 1] = (struct reel_sendrecv){.to = to,
                                                 .from = from,
                                                 .send = mine,
                                                 .send_bytes = bytes,
                                                 .receive = in + rows->first[from] * row_bytes,
                                                 .receive_bytes = reel_cut_count(rows, from) * row_bytes};
        if (reel_fault(REEL_FAULT_GATHER))
            reel_stream_fail(stream, REEL_BAD_COMM, "planted: gathering failed");
    }
    sendrecv_all(axis, stream, traffic_class, messages);
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
        reel_heartbeat();
    }
    reel_trace_end(span);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "rank %lld did not receive the broadcast of rank %lld",
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
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not agree on whether to continue");
    if (first == INT64_MAX)
        return REEL_OK;
    struct reel_error error = *reel_error_here();
    int speaker = (int)(first % comm->world.size);
    REEL_NEED(MPI_Bcast(&error, sizeof error, MPI_BYTE, speaker, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on an error");
    return reel_error_set(&error);
}
