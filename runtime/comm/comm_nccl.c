/* Exchanges over NCCL: non-blocking communicators, polled until a call is done. */
#include "comm_nccl.h"

#include "heartbeat.h"

#include <errno.h>
#include <nccl.h> /* NVIDIA's header */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    POLLS = 100,             /* without a sleep between them: most calls are done by then */
    SHORT_SLEEP_NS = 20000,  /* between the next POLLS polls */
    LONG_SLEEP_NS = 1000000, /* between all later polls */
    ROUND_SLEEP_NS = 2000000 /* between two rounds of connecting */
};
/* ncclCommAbort may hang: reel_nccl_close waits no longer */
static const double abort_seconds = 5;
static const char instead[] = "communication.transport: mpi sends without NCCL";

struct reel_nccl {
    /* Held by the thread that uses this communicator, for one call of NCCL or from the beginning of a group
     * to its end, so that no other thread aborts the communicator meanwhile. Recursive. */
    pthread_mutex_t lock;
    ncclComm_t comm; /* NULL: not started, or aborted */
    int aborted;
    enum reel_status status; /* the first failure; later calls return it */
    char cause[REEL_CAUSE_BYTES];
    int rank, ranks;
    double seconds;
    enum { OPEN, ABORTING, ABORTED } state; /* protected by list.lock */
    struct reel_nccl *next;
};

/* The communicators of this process. */
static struct {
    pthread_mutex_t lock; /* its holder never waits for NCCL or for a communicator's lock */
    pthread_cond_t changed;
    struct reel_nccl *first;
} list = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* The communicator whose group this thread has open: NCCL keeps one group per thread. */
static _Thread_local struct reel_nccl *grouped;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* does not jump when the date is set */
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The end of a wait that begins now: a little before the watchdog, which has the same timeout, would end the
 * process, because the message here says more. */
static double give_up_at(const struct reel_nccl *nccl)
{
    return now() + nccl->seconds - (nccl->seconds < 20 ? nccl->seconds / 20 : 1);
}

static void sleep_ns(long nanoseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

static enum reel_status first_failure(struct reel_nccl *nccl)
{
    pthread_mutex_lock(&nccl->lock);
    enum reel_status status = nccl->status;
    pthread_mutex_unlock(&nccl->lock);
    if (status == REEL_OK)
        return REEL_OK;
    return reel_fail(status, "NCCL has already failed on rank %d of an axis of %d", nccl->rank, nccl->ranks);
}

/* The caller holds the lock, and the failure is this thread's error. */
static void keep_first(struct reel_nccl *nccl, enum reel_status status)
{
    if (nccl->status != REEL_OK)
        return;
    nccl->status = status;
    snprintf(nccl->cause, sizeof nccl->cause, "%s", reel_error_here()->cause);
}

/* Records a failure of the communicator. NCCL itself could continue after ncclInvalidArgument, but the group
 * that had it is lost, and so all later calls fail, too. result ncclInProgress means that the
 * deadline has passed. */
static enum reel_status fail_communicator(struct reel_nccl *nccl, const char *doing, ncclResult_t result)
{
    char why[1024];
    pthread_mutex_lock(&nccl->lock);
    const char *words = nccl->aborted ? "the communicator was aborted" : ncclGetLastError(nccl->comm);
    if (result == ncclInProgress)
        snprintf(
            why, sizeof why,
            "not done within %g s (communication.timeout_s): another rank hangs, or the GPUs cannot reach "
            "each other",
            nccl->seconds);
    else
        snprintf(why, sizeof why, "%s (%s)", ncclGetErrorString(result),
                 words && *words ? words : "no details");
    enum reel_status status = reel_fail(REEL_BAD_COMM, "NCCL, %s on rank %d of an axis of %d: %s; %s", doing,
                                        nccl->rank, nccl->ranks, why, instead);
    keep_first(nccl, status);
    pthread_mutex_unlock(&nccl->lock);
    return status;
}

/* The communicator's state by NCCL; ncclInvalidUsage when it was aborted meanwhile. */
static ncclResult_t poll_communicator(struct reel_nccl *nccl)
{
    ncclResult_t found = ncclSuccess, asked = ncclInvalidUsage;
    pthread_mutex_lock(&nccl->lock);
    if (nccl->comm)
        asked = ncclCommGetAsyncError(nccl->comm, &found);
    pthread_mutex_unlock(&nccl->lock);
    return asked == ncclSuccess ? found : asked;
}

/* Waits until the call that returned this result is done. The return and the end of the call are heartbeats,
 * the wait is none, so that the watchdog notices a hang. */
static enum reel_status wait_for_call(struct reel_nccl *nccl, const char *doing, ncclResult_t result)
{
    double end = give_up_at(nccl);
    reel_heartbeat();
    for (int64_t polls = 0; result == ncclInProgress; polls++) {
        if (polls >= POLLS)
            sleep_ns(polls < 2 * POLLS ? SHORT_SLEEP_NS : LONG_SLEEP_NS);
        result = poll_communicator(nccl);
        if (result == ncclInProgress && now() > end)
            break;
    }
    reel_heartbeat();
    return result == ncclSuccess ? REEL_OK : fail_communicator(nccl, doing, result);
}

/* Collective. Every rank gets rank 0's id, or its error: both travel in one message. */
static enum reel_status share_id(MPI_Comm ranks, int rank, ncclUniqueId *id)
{
    struct {
        struct reel_error error;
        ncclUniqueId id;
    } first = {.error.status = REEL_OK};
    ncclResult_t result = rank == 0 ? ncclGetUniqueId(&first.id) : ncclSuccess;
    if (result != ncclSuccess) {
        const char *words = ncclGetLastError(NULL);
        reel_fail(REEL_BAD_COMM, "NCCL could not make the id of a communicator: %s (%s); %s",
                  ncclGetErrorString(result), words && *words ? words : "no details", instead);
        first.error = *reel_error_here();
    }
    REEL_NEED(MPI_Bcast(&first, sizeof first, MPI_BYTE, 0, ranks) == MPI_SUCCESS, REEL_BAD_COMM,
              "the id of an NCCL communicator did not reach every rank");
    reel_heartbeat();
    *id = first.id;
    if (first.error.status != REEL_OK)
        reel_error_set(&first.error);
    return first.error.status;
}

/* Not collective. Allocates a communicator and adds it to the list. */
static enum reel_status add_communicator(int rank, int ranks, double seconds, struct reel_nccl **nccl)
{
    pthread_mutexattr_t again;
    *nccl = calloc(1, sizeof **nccl);
    REEL_NEED(*nccl, REEL_NO_MEMORY, "no memory for an NCCL communicator");
    (*nccl)->rank = rank;
    (*nccl)->ranks = ranks;
    (*nccl)->seconds = seconds;
    pthread_mutexattr_init(&again);
    pthread_mutexattr_settype(&again, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&(*nccl)->lock, &again);
    pthread_mutexattr_destroy(&again);
    pthread_mutex_lock(&list.lock);
    (*nccl)->next = list.first;
    list.first = *nccl;
    pthread_mutex_unlock(&list.lock);
    return REEL_OK;
}

/* Begins to connect; does not wait for other ranks. */
static enum reel_status start_communicator(struct reel_nccl *nccl, ncclUniqueId id)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    pthread_mutex_lock(&nccl->lock);
    ncclResult_t result = ncclCommInitRankConfig(&nccl->comm, nccl->ranks, id, nccl->rank, &config);
    enum reel_status status = result == ncclSuccess || result == ncclInProgress
                                  ? REEL_OK
                                  : fail_communicator(nccl, "connecting", result);
    pthread_mutex_unlock(&nccl->lock);
    return status;
}

/* Collective. The error of that rank becomes the error of every rank. */
static enum reel_status share_error(MPI_Comm ranks, int64_t rank)
{
    struct reel_error error = *reel_error_here();
    REEL_NEED(MPI_Bcast(&error, sizeof error, MPI_BYTE, (int)rank, ranks) == MPI_SUCCESS, REEL_BAD_COMM,
              "the ranks could not agree on how NCCL failed");
    return reel_error_set(&error);
}

/* Collective. Polls in rounds until every rank is connected or one has failed. All ranks return in the same
 * round, so that none stays in NCCL and waits for a rank that has given up. A hang here means that a call of
 * NCCL did not return. */
static enum reel_status connect_ranks(MPI_Comm ranks, struct reel_nccl *nccl, enum reel_status mine, int rank)
{
    double end = nccl ? give_up_at(nccl) : 0;
    reel_heartbeat();
    for (int connected = 0;;) {
        ncclResult_t found = mine == REEL_OK && !connected ? poll_communicator(nccl) : ncclSuccess;
        if (found != ncclSuccess && (found != ncclInProgress || now() > end))
            mine = fail_communicator(nccl, "connecting", found);
        connected = found == ncclSuccess;
        int64_t state[2] = {mine == REEL_OK ? INT64_MAX : rank, connected}, all[2];
        REEL_NEED(MPI_Allreduce(state, all, 2, MPI_INT64_T, MPI_MIN, ranks) == MPI_SUCCESS, REEL_BAD_COMM,
                  "the ranks could not agree on whether NCCL connects them");
        if (all[0] < INT64_MAX)
            return share_error(ranks, all[0]);
        if (all[1])
            return REEL_OK;
        sleep_ns(ROUND_SLEEP_NS);
    }
}

int reel_nccl_is_here(void)
{
    int version;
    return ncclGetVersion(&version) == ncclSuccess;
}

enum reel_status reel_nccl_open(MPI_Comm ranks, double seconds, struct reel_nccl **nccl)
{
    ncclUniqueId id;
    int rank, size;
    *nccl = NULL;
    MPI_Comm_rank(ranks, &rank);
    MPI_Comm_size(ranks, &size);
    REEL_PASS(share_id(ranks, rank, &id));
    enum reel_status status = add_communicator(rank, size, seconds, nccl);
    if (status == REEL_OK)
        status = start_communicator(*nccl, id);
    status = connect_ranks(ranks, *nccl, status, rank);
    reel_heartbeat();
    if (status != REEL_OK) {
        reel_nccl_close(*nccl);
        *nccl = NULL;
    }
    return status;
}

/* Aborts one communicator, in a thread of its own. */
static void *abort_one(void *context)
{
    struct reel_nccl *nccl = context;
    pthread_mutex_lock(&nccl->lock);
    ncclComm_t comm = nccl->comm;
    nccl->aborted = 1;
    nccl->comm = NULL; /* a waiting thread notices, and no thread calls NCCL with it again */
    pthread_mutex_unlock(&nccl->lock);
    if (comm)
        ncclCommAbort(comm);
    pthread_mutex_lock(&list.lock);
    nccl->state = ABORTED;
    pthread_cond_broadcast(&list.changed);
    pthread_mutex_unlock(&list.lock);
    return NULL;
}

static int anyone_is_aborting(void)
{
    for (const struct reel_nccl *nccl = list.first; nccl; nccl = nccl->next)
        if (nccl->state == ABORTING)
            return 1;
    return 0;
}

/* Aborts all at once, each in a thread of its own: aborting one frees device memory, and that waits for the
 * work of the others on the device. */
void reel_nccl_abort_all(double seconds)
{
    double end = now() + seconds;
    struct timespec until = {.tv_sec = (time_t)end, .tv_nsec = (long)(1e9 * (end - (double)(time_t)end))};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&list.lock);
    for (struct reel_nccl *nccl = list.first; nccl; nccl = nccl->next) {
        pthread_t thread;
        if (nccl->state == OPEN && pthread_create(&thread, &attributes, abort_one, nccl) == 0)
            nccl->state = ABORTING;
    }
    while (anyone_is_aborting())
        if (pthread_cond_clockwait(&list.changed, &list.lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&list.lock);
    pthread_attr_destroy(&attributes);
}

/* Takes the communicator out of the list and returns 1. Returns 0 where a thread is still aborting it: the
 * communicator then belongs to that thread and is never freed. */
static int remove_from_list(struct reel_nccl *nccl)
{
    pthread_mutex_lock(&list.lock);
    int leaves = nccl->state != ABORTING;
    for (struct reel_nccl **at = &list.first; leaves && *at; at = &(*at)->next)
        if (*at == nccl) {
            *at = nccl->next;
            break;
        }
    pthread_mutex_unlock(&list.lock);
    return leaves;
}

/* Waits for the issued exchanges, so that ncclCommDestroy does not wait. */
static enum reel_status finalize_communicator(struct reel_nccl *nccl)
{
    pthread_mutex_lock(&nccl->lock);
    ncclResult_t result = nccl->comm ? ncclCommFinalize(nccl->comm) : ncclInvalidUsage;
    pthread_mutex_unlock(&nccl->lock);
    return wait_for_call(nccl, "closing", result);
}

void reel_nccl_close(struct reel_nccl *nccl)
{
    if (!nccl)
        return;
    enum reel_status before = reel_error_here()->status;
    int sound = nccl->status == REEL_OK && (before == REEL_OK || before == REEL_PREEMPTED);
    if (sound && finalize_communicator(nccl) != REEL_OK)
        sound = 0;
    if (before == REEL_OK)
        reel_error_clear(); /* closing reports no error */
    if (!sound)
        reel_nccl_abort_all(abort_seconds);
    if (!remove_from_list(nccl))
        return;
    if (sound && nccl->comm)
        ncclCommDestroy(nccl->comm);
    pthread_mutex_destroy(&nccl->lock);
    free(nccl);
}

enum reel_status reel_nccl_begin(struct reel_nccl *nccl)
{
    REEL_PASS(first_failure(nccl));
    REEL_NEED(!grouped, REEL_INTERNAL, "a group of exchanges over NCCL began within another group");
    pthread_mutex_lock(&nccl->lock);
    ncclResult_t result = nccl->comm ? ncclGroupStart() : ncclInvalidUsage;
    if (result == ncclSuccess) {
        grouped = nccl;
        return REEL_OK;
    }
    enum reel_status status = fail_communicator(nccl, "beginning an exchange", result);
    pthread_mutex_unlock(&nccl->lock);
    return status;
}

/* Ends the group that this thread has open, and unlocks. */
static ncclResult_t end_group(struct reel_nccl *nccl)
{
    ncclResult_t result = ncclGroupEnd();
    grouped = NULL;
    pthread_mutex_unlock(&nccl->lock);
    return result;
}

enum reel_status reel_nccl_end(struct reel_nccl *nccl)
{
    if (grouped != nccl) { /* a failed reel_nccl_sendrecv has ended it */
        REEL_PASS(first_failure(nccl));
        return reel_fail(REEL_INTERNAL, "a group of exchanges over NCCL ended, but none had begun");
    }
    return wait_for_call(nccl, "exchanging", end_group(nccl));
}

/* Issues both directions, in the open group. */
static enum reel_status issue_sendrecv(struct reel_nccl *nccl, cudaStream_t queue, int64_t to,
                                       const void *send, int64_t send_bytes, int64_t from, void *receive,
                                       int64_t receive_bytes)
{
    if (send_bytes > 0)
        REEL_PASS(wait_for_call(nccl, "sending",
                                ncclSend(send, (size_t)send_bytes, ncclInt8, (int)to, nccl->comm, queue)));
    if (receive_bytes > 0)
        REEL_PASS(
            wait_for_call(nccl, "receiving",
                          ncclRecv(receive, (size_t)receive_bytes, ncclInt8, (int)from, nccl->comm, queue)));
    return REEL_OK;
}

enum reel_status reel_nccl_sendrecv(struct reel_nccl *nccl, struct reel_stream *stream, int64_t to,
                                    const void *send, int64_t send_bytes, int64_t from, void *receive,
                                    int64_t receive_bytes)
{
    if (grouped != nccl)
        REEL_PASS(first_failure(nccl));
    REEL_NEED(grouped == nccl, REEL_INTERNAL, "an exchange over NCCL was issued outside a group");
    void *queue = reel_stream_handle(stream);
    int holds = send_bytes >= 0 && receive_bytes >= 0 && (send_bytes == 0 || (send && to != nccl->rank)) &&
                (receive_bytes == 0 || (receive && from != nccl->rank)) && (queue || !stream->queue);
    enum reel_status status =
        holds ? issue_sendrecv(nccl, queue, to, send, send_bytes, from, receive, receive_bytes)
              : reel_fail(REEL_INTERNAL,
                          "an exchange over NCCL has invalid arguments: rank %d, to rank %lld (%lld bytes), "
                          "from rank %lld (%lld bytes), on a stream of the backend %s",
                          nccl->rank, (long long)to, (long long)send_bytes, (long long)from,
                          (long long)receive_bytes, stream->ops->name);
    if (status != REEL_OK) { /* ends the group here: the caller may not call reel_nccl_end */
        keep_first(nccl, status);
        end_group(nccl);
    }
    return status;
}

enum reel_status reel_nccl_check(struct reel_nccl *nccl)
{
    REEL_PASS(first_failure(nccl));
    ncclResult_t found = poll_communicator(nccl);
    return found == ncclSuccess || found == ncclInProgress ? REEL_OK
                                                           : fail_communicator(nccl, "exchanging", found);
}

enum reel_status reel_nccl_check_all(void)
{
    enum reel_status status = REEL_OK;
    pthread_mutex_lock(&list.lock);
    for (struct reel_nccl *nccl = list.first; nccl && status == REEL_OK; nccl = nccl->next) {
        ncclResult_t found = ncclSuccess;
        if (nccl->state != OPEN || pthread_mutex_trylock(&nccl->lock) != 0)
            continue;
        if (nccl->status != REEL_OK)
            status = reel_fail(nccl->status, "%s", nccl->cause);
        else if (nccl->comm && ncclCommGetAsyncError(nccl->comm, &found) == ncclSuccess &&
                 found != ncclSuccess && found != ncclInProgress)
            status = fail_communicator(nccl, "exchanging", found);
        pthread_mutex_unlock(&nccl->lock);
    }
    pthread_mutex_unlock(&list.lock);
    return status;
}
