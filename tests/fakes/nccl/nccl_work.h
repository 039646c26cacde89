/* The transfer of the bytes of a group, which the fake runs in the order of a stream. It knows nothing of the
 * communicator, which may have ended by then. */
#ifndef REEL_NCCL_WORK_H
#define REEL_NCCL_WORK_H

#include <mpi.h>
#include <stdint.h>

struct reel_nccl_item {
    int is_sent;
    void *memory;
    int64_t bytes;
    int rank, peer; /* of the communicator */
    int world_peer; /* of MPI_COMM_WORLD */
    /* of items that are received */
    int64_t announced; /* the bytes that the sender announced */
    MPI_Request announcement;
    int is_expected; /* its receives are posted */
};

struct reel_nccl_work {
    void *queue;
    int count_tag, bytes_tag;
    int64_t count, room;
    struct reel_nccl_item *items;
    int request_count;
    MPI_Request *requests;
};

struct reel_nccl_work *reel_nccl_work_new(void *queue, int count_tag, int bytes_tag);
void reel_nccl_work_add(struct reel_nccl_work *work, struct reel_nccl_item item);
void reel_nccl_work_free(struct reel_nccl_work *work);

/* Called while a transfer waits; NULL: nothing else can be done meanwhile. */
extern void (*reel_nccl_work_yield)(void);

/* Moves all items at the same time, waits until they are done, and frees the work. */
void reel_nccl_work_run(void *work);

#endif
