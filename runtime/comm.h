/* Ranks and the axes they stand on, and the few ways in which data crosses between them.
 *
 * Model code names what it wants (heads for tokens, everybody's output), not MPI verbs. Sizes are int64_t
 * everywhere; MPI's int counts are dealt with inside. Exchanges are sticky like the stream they report to:
 * after a failure they still meet their peers, so that nobody waits for a rank that went on alone. */
#ifndef REEL_COMM_H
#define REEL_COMM_H

#include "cut.h"
#include "ops.h"
#include "plan.h"
#include "status.h"
#include "traffic.h"

#include <mpi.h>

struct reel_axis {
    MPI_Comm mpi; /* duplicated: errors return, tags are its own */
    int64_t rank, size;
    const struct reel_ops *ops; /* whose memory travels on it; NULL: the host's */
    char *staging;              /* of the host, where the backend's memory cannot be sent from: two pieces */
    int64_t sent_bytes[REEL_PURPOSES]; /* by this rank to others, counted where it is sent */
};

struct reel_comm {
    struct reel_axis world; /* all ranks of the job */
    struct reel_axis host;  /* those that share this host's memory */
    /* of the mesh, once the plan is made */
    struct reel_seat seat;
    struct reel_axis sequence; /* the ranks of one branch: tokens are cut over it */
    struct reel_axis cfg;      /* those that hold the same tokens of the other branch */
    struct reel_axis ring, ulysses, tensor;
    struct reel_axis blocks; /* ring x ulysses: those that gather the same slices of weights */
};

/* Collective over world. Makes the axes of all ranks and of this host; world stays the caller's. */
enum reel_status reel_comm_open(MPI_Comm world, struct reel_comm *comm);

/* Collective over world. Makes the axes of the plan's mesh, on which memory of that backend travels. */
enum reel_status reel_comm_mesh(struct reel_comm *comm, const struct reel_plan *plan,
                                const struct reel_ops *ops);

/* Collective over world. A comm of zeros is allowed. */
void reel_comm_close(struct reel_comm *comm);

/* Not collective. Bytes that this rank has sent for a purpose, over all axes of the mesh. */
int64_t reel_comm_sent(const struct reel_comm *comm, enum reel_purpose purpose);

/* Collective over the axis. Sends send_counts[p] floats to every part p and receives receive_counts[p] from
 * it; both buffers are dense in the order of parts. What a rank keeps for itself is copied. */
void reel_exchange(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                   const float *send, const int64_t *send_counts, float *receive,
                   const int64_t *receive_counts);

/* Collective over the axis. The rows of every part, width floats each, come together on every rank in the
 * order of parts: mine [count of my part, width] -> all [total, width]. mine may already be its place in all. */
void reel_gather(struct reel_axis *axis, struct reel_stream *stream, enum reel_purpose purpose,
                 const struct reel_cut *rows, int64_t width, const float *mine, float *all);

/* Collective over the axis. Sends bytes of the axis' backend to one peer and receives bytes from another; either may be 0.
 * Peers must agree on the sizes. patient: between looks the thread sleeps instead of spinning, for those that work beside computing. */
enum reel_status reel_swap(const struct reel_axis *axis, int64_t to, const void *send, int64_t send_bytes,
                           int64_t from, void *receive, int64_t receive_bytes, int patient);

/* Collective over world. Rank 0's bytes reach every rank. */
enum reel_status reel_broadcast(struct reel_comm *comm, void *bytes, int64_t count);

/* Collective over world. The bytes of that rank reach every rank. */
enum reel_status reel_broadcast_from(struct reel_comm *comm, int64_t rank, void *bytes, int64_t count);

/* Collective over world. One verdict for all: the error of the lowest rank that has one becomes the error of
 * every rank. Called once an iteration and after every phase that a rank runs by itself; a hang in it means
 * that some rank left the common path without coming here. */
enum reel_status reel_agree(struct reel_comm *comm, enum reel_status mine);

#endif
