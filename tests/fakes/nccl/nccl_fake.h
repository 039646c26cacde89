/* A fake of NCCL over MPI: how it accesses memory, and how it fails when a test plans it. A "look" is a call
 * that asks whether the last one is still in progress.
 *
 *     reel_nccl_fake_slow(7, 200);                     calls stay in progress for up to 200 looks
 *     reel_nccl_fake_plan(REEL_NCCL_GROUP_FAILS, 3);   the third group of this process from now on fails
 *
 * and from outside, for programs:
 *
 *     REEL_NCCL_SLOW=7:200 REEL_NCCL_TROUBLE=group-fails:1:3       the third group of rank 1 of the job fails
 *
 * The fake refuses, with NCCL's codes, what NCCL refuses: a communicator whose last call is in progress, one
 * that was aborted, and sends outside of a group. What would hang NCCL, or harm it unseen, ends the job with
 * a message: counts that do not match, two threads within one communicator, and groups within groups, of two
 * communicators or of two streams. MPI must be initialized, with MPI_THREAD_MULTIPLE where several threads
 * exchange. Messages go over MPI_COMM_WORLD with tags of 2^20 and more. Not collective. */
#ifndef REEL_NCCL_FAKE_H
#define REEL_NCCL_FAKE_H

#include <stdint.h>

struct reel_nccl_range {
    const void *start;
    int64_t bytes;
};

/* How the work of a group takes its place in a stream. run arranges that work(context) is called once, when
 * everything that was issued to the queue before has ended, at once or later and in any thread. Until it
 * returns, the calling thread must be able to access device memory. The work blocks until the peers take
 * part, and frees the context. The ranges are all that the work reads and writes; they are valid until run
 * returns. queue: the stream that was given to ncclSend. */
struct reel_nccl_host {
    void (*run)(void *queue, void (*work)(void *context), void *context, const struct reel_nccl_range *reads,
                int64_t read_count, const struct reel_nccl_range *writes, int64_t write_count);
};

/* NULL: the work runs at once, between the enter and leave of reel_ops_shadow. */
void reel_nccl_fake_host(const struct reel_nccl_host *host);

enum reel_nccl_trouble {
    REEL_NCCL_ID_FAILS,      /* ncclGetUniqueId: ncclSystemError */
    REEL_NCCL_INIT_REFUSED,  /* ncclCommInitRankConfig: ncclInvalidUsage at once */
    REEL_NCCL_INIT_FAILS,    /* connecting: ncclSystemError, while it is in progress */
    REEL_NCCL_INIT_HANGS,    /* connecting: in progress for ever, and so for its peers */
    REEL_NCCL_SEND_REFUSED,  /* ncclSend: ncclInvalidArgument */
    REEL_NCCL_GROUP_REFUSED, /* ncclGroupEnd: ncclUnhandledCudaError at once, and nothing moves */
    REEL_NCCL_GROUP_FAILS,   /* ncclSystemError after the bytes have moved */
    REEL_NCCL_GROUP_HANGS,   /* nothing moves, and it is in progress for ever */
    REEL_NCCL_POLL_FAILS,    /* ncclCommGetAsyncError: finds ncclRemoteError, from then on */
    REEL_NCCL_CLOSE_HANGS,   /* ncclCommFinalize: in progress for ever */
    REEL_NCCL_ABORT_HANGS,   /* ncclCommAbort does not return */
    REEL_NCCL_TROUBLES
};

/* The nth call of that kind from now on, counted from 1, has that trouble, once; 0: none has. */
void reel_nccl_fake_plan(enum reel_nccl_trouble trouble, int64_t nth);

/* Calls stay in progress for a random number of looks from 0 to max. */
void reel_nccl_fake_slow(uint64_t seed, int64_t max);

/* The counts of this process. */
struct reel_nccl_counts {
    int64_t started, destroyed, aborted; /* communicators */
    int64_t groups;                      /* that were issued */
    int64_t looks;                       /* that found something in progress */
    int64_t refused;                     /* calls that NCCL does not allow */
};
struct reel_nccl_counts reel_nccl_fake_counts(void);

#endif
