/* Ranks and the axes they stand on, and the few ways in which data crosses between them.
 *
 * Model code names what it wants (heads for tokens, everybody's output), not MPI verbs. Sizes are int64_t
 * everywhere; MPI's int counts are dealt with inside. Exchanges take place in the order of the stream that they are given.
 * They are sticky like it: after a failure they still meet their peers, so that nobody waits for a rank that went on alone.
 *
 * What a device has moves from device to device over NCCL, or over MPI through memory of the host; what the host has moves
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
    MPI_Comm mpi; /* duplicated: errors return, tags are its own */
    int64_t rank, size;
    const struct reel_ops *ops; /* whose memory travels on it; NULL: the host's */
    struct reel_nccl *nccl;     /* NULL: over MPI */
    char *staging;              /* of the host, where the backend's memory cannot be sent from: two pieces */
    int64_t sent_bytes[REEL_TRAFFIC_CLASSES]; /* by this rank to others, counted where it is sent */
};

struct reel_comm {
    struct reel_axis world; /* all ranks of the job */
    struct reel_axis host;  /* those that share this host's memory */
    /* of the mesh, once the plan is made */
    struct reel_coords coords;
    struct reel_axis sequence; /* the ranks of one branch: tokens are cut over it */
    struct reel_axis cfg;      /* those that hold the same tokens of the other branch */
    struct reel_axis ring, ulysses, tensor;
    struct reel_axis blocks; /* ring x ulysses: those that gather the same slices of weights */
};

/* Collective over world. Makes the axes of all ranks and of this host; world stays the caller's. */
enum reel_status reel_comm_open(MPI_Comm world, struct reel_comm *comm);

/* How what a device has moves. Over NCCL: with that deadline, in seconds. */
struct reel_transport {
    const struct reel_ops *ops;
    int over_nccl;
    double seconds;
};

/* Collective over world. Makes the axes of the plan's mesh, on which memory of that backend travels. */
enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_transport *transport);

/* Not collective. What the transport has noticed by itself since: a lost network or peer. */
enum reel_status reel_comm_check(const struct reel_comm *comm);

/* Collective over world. A comm of zeros is allowed. */
void reel_comm_close(struct reel_comm *comm);

/* Not collective. After a failure, before anything waits for the device: exchanges over NCCL that its peers may never take
 * part in are aborted. */
void reel_comm_abort(struct reel_comm *comm);

/* Not collective. Bytes that this rank has sent for a purpose, over all axes of the mesh. */
int64_t reel_comm_sent(const struct reel_comm *comm, enum reel_traffic_class traffic_class);

/* Collective over the axis. Sends send_bytes[p] to every part p and receives receive_bytes[p] from
 * it; both buffers are dense in the order of parts. What a rank keeps for itself is copied. Patient: as in a swap below. */
void reel_alltoall(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                   const void *send, const int64_t *send_bytes, void *receive, const int64_t *receive_bytes,
                   int yields);

/* Collective over the axis. The rows of every part come together on every rank in the order of parts:
 * mine [count of my part] rows -> all [total] rows. mine may already be its place in all. */
void reel_allgather(struct reel_axis *axis, struct reel_stream *stream, enum reel_traffic_class traffic_class,
                    const struct reel_cut *rows, int64_t row_bytes, const void *mine, void *all);

/* One message each way: bytes of the axis' backend to one peer and from another; either may be 0. */
struct reel_sendrecv {
    int64_t to, from;
    const void *send;
    int64_t send_bytes;
    void *receive;
    int64_t receive_bytes;
    int yields; /* between looks the thread sleeps instead of spinning: for those that work beside computing */
};

/* Collective over the axis. Those swaps, in this order or at once; peers must agree on the sizes. The purpose is what a
 * profile calls them, nothing is counted. The stream's failures are not returned. */
enum reel_status reel_sendrecv(const struct reel_axis *axis, struct reel_stream *stream,
                               enum reel_traffic_class traffic_class, const struct reel_sendrecv *messages,
                               int64_t count);

/* Collective over world. Rank 0's bytes reach every rank. */
enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count);

/* Collective over world. The bytes of that rank reach every rank. */
enum reel_status reel_broadcast_from(struct reel_comm *comm, int64_t rank, void *bytes, int64_t count);

/* Collective over world. One verdict for all: the error of the lowest rank that has one becomes the error of every
 * rank, REEL_INTERNAL only where there is no other: numbers that are not finite may be what a failure of another rank
 * has sent. Called once an iteration and after every phase that a rank runs by itself; a hang in it means that some
 * rank left the common path without coming here. */
enum reel_status reel_agree(struct reel_comm *comm, enum reel_status mine);

#endif
