/* The ranks, the axes of the mesh, and the exchanges between ranks.
 *
 * Sizes are int64_t everywhere; MPI's int counts are handled inside. An exchange takes place in the order of
 * its stream. After a failure a rank still takes part in every exchange, so that no other rank waits for it.
 *
 * Device memory travels from device to device over NCCL, or through host memory over MPI. Host memory travels
 * over MPI. */
#ifndef REEL_COMM_H
#define REEL_COMM_H

#include "cut.h"
#include "comm_nccl.h"
#include "ops.h"
#include "plan.h"
#include "status.h"
#include "traffic.h"

#include <mpi.h>

struct reel_axis {
    MPI_Comm mpi; /* used by this axis alone; its errors return */
    int64_t rank, size;
    const struct reel_ops *ops; /* the backend whose memory travels on this axis; NULL: host memory */
    struct reel_nccl *nccl;     /* NULL: exchanges go over MPI */
    char *staging; /* two pieces of host memory where MPI cannot send the backend's memory, else NULL */
    int64_t sent_bytes[REEL_TRAFFIC_CLASSES]; /* by this rank to others, counted where they are sent */
};

struct reel_comm {
    struct reel_axis world; /* all ranks of the job */
    struct reel_axis host;  /* the ranks that share this host's memory */
    /* the plan's mesh, made by reel_comm_mesh */
    struct reel_coords coords;
    struct reel_axis sequence; /* the ranks of one branch: tokens are cut over it */
    struct reel_axis cfg;      /* this rank, and the one with the same tokens of the other branch */
    struct reel_axis ring, ulysses, tensor;
    struct reel_axis blocks; /* ring x ulysses: the ranks that gather the same slices of weights */
};

/* Collective over world. Makes the axes world and host; the caller still owns the communicator.
 * REEL_BAD_COMM. */
enum reel_status reel_comm_open(MPI_Comm world, struct reel_comm *comm);

/* How the backend's memory travels. seconds is the deadline of NCCL's calls, unused over MPI. */
struct reel_transport {
    const struct reel_ops *ops;
    int over_nccl;
    double seconds;
};

/* Collective over world. Makes the axes of the plan's mesh. All ranks return the same error. */
enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_transport *transport);

/* Not collective. The errors that NCCL has reported since the last call: a lost network or peer,
 * REEL_BAD_COMM. */
enum reel_status reel_comm_check(const struct reel_comm *comm);

/* Collective over world. A zeroed comm is allowed. */
void reel_comm_close(struct reel_comm *comm);

/* Not collective. Aborts the exchanges over NCCL. Call it after a failure, before anything waits for the
 * device: the peers may never take part in these exchanges, and then the wait would not end. */
void reel_comm_abort(struct reel_comm *comm);

/* Not collective. Bytes of a traffic class that this rank has sent, over all axes of the mesh. */
int64_t reel_comm_sent(const struct reel_comm *comm, enum reel_traffic_class traffic_class);

/* Collective over the axis. Sends send_bytes[p] bytes to every rank p of the axis and receives
 * receive_bytes[p] bytes from it. Both buffers are dense, in the order of ranks. A rank's part for itself is
 * copied. yields: as in reel_sendrecv. A failure becomes the stream's. */
void reel_alltoall(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                   const void *send, const int64_t *send_bytes, void *receive, const int64_t *receive_bytes,
                   int yields);

/* Collective over the axis. Every rank p of the axis contributes part p of the cut, and every rank receives
 * all parts in order: mine [count of my part, row_bytes] -> all [total, row_bytes]. mine may already lie at
 * its place in all. A failure becomes the stream's. */
void reel_allgather(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                    const struct reel_cut *rows, int64_t row_bytes, const void *mine, void *all);

/* One message each way: bytes of the axis's backend to one peer and from another; either count may be 0. */
struct reel_sendrecv {
    int64_t to, from;
    const void *send;
    int64_t send_bytes;
    void *receive;
    int64_t receive_bytes;
    int yields; /* over MPI: sleeps between polls instead of spinning, beside threads that compute */
};

/* Collective over the axis. Exchanges the messages, in this order or all at once; peers must give the same
 * sizes. The traffic class is their name in a profile; sent_bytes does not count them. Returns failures of
 * the transport; a failed copy through host memory is a failure of the stream alone. */
enum reel_status reel_sendrecv(const struct reel_axis *axis, struct reel_stream *stream,
                               enum reel_traffic_class traffic_class, const struct reel_sendrecv *messages,
                               int64_t count);

/* Collective over world. Copies rank 0's bytes to every rank. */
enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count);

/* Collective over world. Copies that rank's bytes to every rank. */
enum reel_status reel_broadcast_from(struct reel_comm *comm, int64_t rank, void *bytes, int64_t count);

/* Collective over world. Gives all ranks the same result: the error of the lowest rank that has one becomes
 * the error of every rank. REEL_INTERNAL is chosen only where no rank has another error, because values that
 * are not finite may come from a failure on another rank. Called once an iteration and after every phase that
 * a rank runs by itself. A hang in it means that some rank left the common path without calling it. */
enum reel_status reel_agree(struct reel_comm *comm, enum reel_status mine);

#endif
