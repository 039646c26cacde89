/* Linked in place of comm_nccl.c where the program is built without NCCL. */
#include "comm_nccl.h"

static enum reel_status refuse_nccl(void)
{
    return reel_fail(REEL_BAD_JOB,
                     "communication.transport is nccl, but this program was built without NCCL, "
                     "expected auto or mpi");
}

int reel_nccl_is_here(void)
{
    return 0;
}

enum reel_status reel_nccl_open(MPI_Comm ranks, double seconds, struct reel_nccl **nccl)
{
    (void)ranks;
    (void)seconds;
    *nccl = NULL;
    return refuse_nccl();
}

void reel_nccl_close(struct reel_nccl *nccl)
{
    (void)nccl;
}

enum reel_status reel_nccl_begin(struct reel_nccl *nccl)
{
    (void)nccl;
    return refuse_nccl();
}

enum reel_status reel_nccl_end(struct reel_nccl *nccl)
{
    (void)nccl;
    return refuse_nccl();
}

enum reel_status reel_nccl_sendrecv(struct reel_nccl *nccl, struct reel_stream *stream, int64_t to,
                                    const void *send, int64_t send_bytes, int64_t from, void *receive,
                                    int64_t receive_bytes)
{
    (void)nccl;
    (void)stream;
    (void)to;
    (void)send;
    (void)send_bytes;
    (void)from;
    (void)receive;
    (void)receive_bytes;
    return refuse_nccl();
}

enum reel_status reel_nccl_check(struct reel_nccl *nccl)
{
    (void)nccl;
    return refuse_nccl();
}

void reel_nccl_abort_all(double seconds)
{
    (void)seconds;
}

enum reel_status reel_nccl_check_all(void)
{
    return REEL_OK;
}
