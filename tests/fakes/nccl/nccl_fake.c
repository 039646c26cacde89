/* NCCL's calls over MPI: communicators, their state, and groups. */
#include "nccl_fake.h"

#include "nccl.h"
#include "nccl_trouble.h"
#include "nccl_work.h"
#include "ops.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANKS_MAX = 64, FIRST_TAG = 1 << 20 };
enum { HELLO, TABLE, COUNT, BYTES, TAGS }; /* tags of the messages of a communicator */

/* The contents of an ncclUniqueId: the rank of MPI_COMM_WORLD that made it, and which of its ids it is. */
struct id {
    int root, number;
};

enum doing { READY, CONNECTING, CALLING, ISSUING, CLOSING, CLOSED };

/* Never freed, so that a use after its end is found. */
struct ncclComm {
    int alive, within; /* within: a thread is within a call */
    int rank, ranks;
    struct id id;
    int world[RANKS_MAX]; /* the rank in MPI_COMM_WORLD, by rank */
    enum doing doing;
    int64_t looks_left; /* until the call in progress is done */
    int hangs;
    ncclResult_t result; /* ncclSuccess until it fails */
    ncclResult_t fails;  /* the result when the call in progress is done */
    MPI_Request requests[RANKS_MAX];
    int request_count, hellos[RANKS_MAX][2];
    struct reel_nccl_work *work; /* the work that the end of a group will issue */
    struct ncclComm *next;
};

/* All communicators that this process ever had. */
static struct {
    pthread_mutex_t lock;
    int ids;
    struct ncclComm *comms;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const struct reel_nccl_host *host;
static _Thread_local char last_error[256];

/* The group that this thread has open. */
static _Thread_local struct {
    int is_open;
    ncclResult_t result;
    struct ncclComm *comm;
    struct reel_nccl_work *work;
} group;

void reel_nccl_fake_host(const struct reel_nccl_host *given)
{
    host = given;
}

static void run_at_once(void *queue, void (*work)(void *), void *context, const struct reel_nccl_range *reads,
                        int64_t read_count, const struct reel_nccl_range *writes, int64_t write_count)
{
    struct reel_stream stream = {.ops = &reel_ops_shadow, .queue = queue};
    (void)reads;
    (void)read_count;
    (void)writes;
    (void)write_count;
    reel_ops_shadow.enter(&stream);
    work(context);
    reel_ops_shadow.leave(&stream);
}

/* Refuses a call that NCCL does not allow. */
static ncclResult_t refuse(ncclResult_t result, const char *words)
{
    snprintf(last_error, sizeof last_error, "%s", words);
    reel_nccl_count(&reel_nccl_counted.refused);
    return result;
}

static ncclResult_t enter(struct ncclComm *comm)
{
    if (!comm || !comm->alive)
        return refuse(ncclInvalidArgument, "the communicator is none, or was destroyed or aborted");
    if (__atomic_exchange_n(&comm->within, 1, __ATOMIC_ACQ_REL))
        reel_nccl_stop("two threads are within one communicator");
    return ncclSuccess;
}

static ncclResult_t leave(struct ncclComm *comm, ncclResult_t result)
{
    __atomic_store_n(&comm->within, 0, __ATOMIC_RELEASE);
    return result;
}

static int tag(const struct ncclComm *comm, int kind)
{
    int size;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    return FIRST_TAG + (comm->id.number * size + comm->id.root) * TAGS + kind;
}

/* Every rank sends its number in MPI_COMM_WORLD to rank 0, which sends the table to all. */
static void connect_begin(struct ncclComm *comm)
{
    int me[2] = {comm->rank};
    MPI_Comm_rank(MPI_COMM_WORLD, &me[1]);
    if (comm->rank == 0) {
        comm->world[0] = me[1];
        for (int r = 1; r < comm->ranks; r++)
            MPI_Irecv(comm->hellos[r], 2, MPI_INT, MPI_ANY_SOURCE, tag(comm, HELLO), MPI_COMM_WORLD,
                      &comm->requests[comm->request_count++]);
        return;
    }
    memcpy(comm->hellos[0], me, sizeof me);
    MPI_Isend(comm->hellos[0], 2, MPI_INT, comm->id.root, tag(comm, HELLO), MPI_COMM_WORLD,
              &comm->requests[comm->request_count++]);
    MPI_Irecv(comm->world, comm->ranks, MPI_INT, comm->id.root, tag(comm, TABLE), MPI_COMM_WORLD,
              &comm->requests[comm->request_count++]);
}

/* Continues to connect. Returns whether that is done. */
static int connect_goes_on(struct ncclComm *comm)
{
    int done;
    MPI_Testall(comm->request_count, comm->requests, &done, MPI_STATUSES_IGNORE);
    if (!done)
        return 0;
    comm->request_count = 0;
    for (int r = 1; comm->rank == 0 && r < comm->ranks; r++)
        comm->world[comm->hellos[r][0]] = comm->hellos[r][1];
    for (int r = 1; comm->rank == 0 && r < comm->ranks; r++)
        MPI_Send(comm->world, comm->ranks, MPI_INT, comm->world[r], tag(comm, TABLE), MPI_COMM_WORLD);
    return 1;
}

static void issue(struct ncclComm *comm)
{
    struct reel_nccl_work *work = comm->work;
    struct reel_nccl_range *reads = calloc((size_t)work->count, sizeof *reads),
                           *writes = calloc((size_t)work->count, sizeof *writes);
    int64_t read_count = 0, write_count = 0;
    for (int64_t i = 0; i < work->count; i++) {
        const struct reel_nccl_item *item = &work->items[i];
        struct reel_nccl_range range = {item->memory, item->bytes};
        *(item->is_sent ? &reads[read_count++] : &writes[write_count++]) = range;
    }
    comm->work = NULL;
    reel_nccl_count(&reel_nccl_counted.groups);
    (host ? host->run : run_at_once)(work->queue, reel_nccl_work_run, work, reads, read_count, writes,
                                     write_count);
    free(reads);
    free(writes);
}

/* One look at the call in progress, which the first few looks find unfinished. */
static ncclResult_t go_on(struct ncclComm *comm)
{
    if (comm->result == ncclSuccess && comm->doing != READY && comm->doing != CLOSED) {
        if (comm->hangs || comm->looks_left-- > 0 ||
            (comm->doing == CONNECTING && comm->fails == ncclSuccess && !connect_goes_on(comm))) {
            reel_nccl_count(&reel_nccl_counted.looks);
            return ncclInProgress;
        }
        if (comm->doing == ISSUING)
            issue(comm);
        comm->doing = comm->doing == CLOSING ? CLOSED : READY;
        comm->result = comm->fails;
    }
    return comm->result;
}

/* Begins an operation. Returns the result of the call. */
static ncclResult_t begin(struct ncclComm *comm, enum doing doing)
{
    comm->looks_left = reel_nccl_looks();
    comm->doing = doing;
    return go_on(comm);
}

/* ncclSuccess if a call may begin. */
static ncclResult_t is_ready(struct ncclComm *comm)
{
    if (comm->result != ncclSuccess)
        return comm->result;
    if (comm->doing != READY)
        return refuse(ncclInvalidArgument, comm->doing == CLOSED
                                               ? "the communicator is closed"
                                               : "a call came before the last one was found to be done");
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    struct id made;
    if (reel_nccl_is_planned(REEL_NCCL_ID_FAILS)) {
        snprintf(last_error, sizeof last_error, "planned: no id");
        return ncclSystemError;
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &made.root);
    pthread_mutex_lock(&all.lock);
    made.number = all.ids++;
    pthread_mutex_unlock(&all.lock);
    memset(id, 0, sizeof *id);
    memcpy(id->internal, &made, sizeof made);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    const ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;
    if (config->size != fresh.size || config->magic != fresh.magic || config->blocking != 0)
        return refuse(ncclInvalidArgument, "the configuration is none, or blocks");
    if (group.is_open || ranks < 1 || ranks > RANKS_MAX || rank < 0 || rank >= ranks)
        return refuse(ncclInvalidUsage, "a communicator begins within a group, or with such ranks");
    if (reel_nccl_is_planned(REEL_NCCL_INIT_REFUSED)) {
        snprintf(last_error, sizeof last_error, "planned: two ranks on one GPU");
        return ncclInvalidUsage;
    }
    struct ncclComm *comm = calloc(1, sizeof *comm);
    comm->alive = 1;
    comm->rank = rank;
    comm->ranks = ranks;
    memcpy(&comm->id, id.internal, sizeof comm->id);
    pthread_mutex_lock(&all.lock);
    comm->next = all.comms;
    all.comms = comm;
    pthread_mutex_unlock(&all.lock);
    reel_nccl_count(&reel_nccl_counted.started);
    *out = comm;
    comm->hangs = reel_nccl_is_planned(REEL_NCCL_INIT_HANGS);
    comm->fails = reel_nccl_is_planned(REEL_NCCL_INIT_FAILS) ? ncclSystemError : ncclSuccess;
    if (!comm->hangs && comm->fails == ncclSuccess)
        connect_begin(comm);
    else
        snprintf(last_error, sizeof last_error, "planned: connecting does not work");
    return begin(comm, CONNECTING);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *found)
{
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess)
        return result;
    if (reel_nccl_is_planned(REEL_NCCL_POLL_FAILS)) {
        snprintf(last_error, sizeof last_error, "planned: a peer is gone");
        comm->result = ncclRemoteError;
    }
    *found = go_on(comm);
    return leave(comm, ncclSuccess);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess)
        return result;
    result = is_ready(comm);
    if (result == ncclSuccess) {
        comm->hangs = reel_nccl_is_planned(REEL_NCCL_CLOSE_HANGS);
        result = begin(comm, CLOSING);
    }
    return leave(comm, result);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess)
        return result;
    if (comm->doing != CLOSED || comm->result != ncclSuccess)
        return leave(comm, refuse(ncclInvalidUsage, "a communicator is destroyed that was not finalized"));
    comm->alive = 0;
    reel_nccl_count(&reel_nccl_counted.destroyed);
    return leave(comm, ncclSuccess);
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess)
        return result;
    if (reel_nccl_is_planned(REEL_NCCL_ABORT_HANGS))
        for (;;)
            pause();
    for (int r = 0; r < comm->request_count; r++)
        if (comm->requests[r] != MPI_REQUEST_NULL) {
            MPI_Cancel(&comm->requests[r]);
            MPI_Request_free(&comm->requests[r]);
        }
    reel_nccl_work_free(comm->work);
    comm->work = NULL;
    comm->alive = 0;
    reel_nccl_count(&reel_nccl_counted.aborted);
    return leave(comm, ncclSuccess);
}

ncclResult_t ncclCommCount(ncclComm_t comm, int *ranks)
{
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess)
        return result;
    *ranks = comm->ranks;
    return leave(comm, is_ready(comm));
}

ncclResult_t ncclGetVersion(int *version)
{
    *version = 0;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    static const char *const words[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "NCCL operation in progress"};
    return words[result];
}

const char *ncclGetLastError(ncclComm_t comm)
{
    (void)comm;
    return last_error;
}

ncclResult_t ncclGroupStart(void)
{
    if (group.is_open)
        reel_nccl_stop("a group begins within a group: NCCL would issue it with the outer one");
    group.is_open = 1;
    group.result = ncclSuccess;
    group.comm = NULL;
    group.work = NULL;
    return ncclSuccess;
}

/* A group has failed: drops the work collected for it, and fails its communicator. */
static ncclResult_t drop_group(struct ncclComm *comm)
{
    reel_nccl_work_free(group.work);
    comm->result = group.result;
    return group.result;
}

ncclResult_t ncclGroupEnd(void)
{
    struct ncclComm *comm = group.comm;
    if (!group.is_open)
        return refuse(ncclInvalidUsage, "a group ends that did not begin");
    group.is_open = 0;
    if (!comm)
        return group.result;
    ncclResult_t result = enter(comm);
    if (result != ncclSuccess) {
        reel_nccl_work_free(group.work);
        return result;
    }
    if (group.result == ncclSuccess && reel_nccl_is_planned(REEL_NCCL_GROUP_REFUSED))
        group.result = ncclUnhandledCudaError;
    if (group.result == ncclSuccess)
        group.result = is_ready(comm);
    if (group.result != ncclSuccess)
        return leave(comm, drop_group(comm));
    comm->work = group.work;
    comm->hangs = reel_nccl_is_planned(REEL_NCCL_GROUP_HANGS);
    if (reel_nccl_is_planned(REEL_NCCL_GROUP_FAILS)) {
        snprintf(last_error, sizeof last_error, "planned: a group failed");
        comm->fails = ncclSystemError;
    }
    return leave(comm, begin(comm, ISSUING));
}

/* Adds a call to the group. Returns its result; a failure is that of the group too. */
static ncclResult_t gather(int is_sent, void *memory, size_t bytes, ncclDataType_t type, int peer,
                           struct ncclComm *comm, cudaStream_t stream)
{
    ncclResult_t result = is_ready(comm);
    if (result != ncclSuccess)
        return result;
    if (type != ncclInt8 || peer < 0 || peer >= comm->ranks || peer == comm->rank || !memory)
        return refuse(ncclInvalidArgument, "bytes go to, or come from, another rank of the communicator");
    if (is_sent && reel_nccl_is_planned(REEL_NCCL_SEND_REFUSED))
        return ncclInvalidArgument;
    if (!group.work)
        group.work = reel_nccl_work_new(stream, tag(comm, COUNT), tag(comm, BYTES));
    if (group.work->queue != stream)
        reel_nccl_stop("two streams in one group: NCCL would make each wait for the other");
    reel_nccl_work_add(group.work, (struct reel_nccl_item){.is_sent = is_sent,
                                                           .memory = memory,
                                                           .bytes = (int64_t)bytes,
                                                           .peer = peer,
                                                           .rank = comm->rank,
                                                           .world_peer = comm->world[peer]});
    return begin(comm, CALLING);
}

static ncclResult_t send_or_receive(int is_sent, void *memory, size_t bytes, ncclDataType_t type, int peer,
                                    struct ncclComm *comm, cudaStream_t stream)
{
    if (!group.is_open)
        return refuse(ncclInvalidUsage, "bytes are sent or received outside of a group");
    ncclResult_t result = enter(comm);
    if (result == ncclSuccess) {
        if (group.comm && group.comm != comm)
            reel_nccl_stop("two communicators in one group");
        group.comm = comm;
        result = leave(comm, gather(is_sent, memory, bytes, type, peer, comm, stream));
    }
    if (result != ncclSuccess && result != ncclInProgress && group.result == ncclSuccess)
        group.result = result;
    return result;
}

ncclResult_t ncclSend(const void *from, size_t bytes, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return send_or_receive(1, (void *)(uintptr_t)from, bytes, type, peer, comm, stream);
}

ncclResult_t ncclRecv(void *to, size_t bytes, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return send_or_receive(0, to, bytes, type, peer, comm, stream);
}
