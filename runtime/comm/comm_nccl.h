/* Exchanges of an axis over NCCL: what is on a device goes straight to another device.
 *
 * Communicators are non-blocking, and every wait for NCCL has the deadline of communication.timeout_s: a call that is in
 * progress is looked at until it is done. An exchange is work of a stream: the calls return once it is issued. What NCCL
 * reports later is found by reel_nccl_check.
 *
 * Where the program was built without NCCL, reel_nccl_is_here is 0 and the others are never called. */
#ifndef REEL_COMM_NCCL_H
#define REEL_COMM_NCCL_H

#include "ops.h"
#include "status.h"

#include <mpi.h>

struct reel_nccl; /* a communicator */

/* Not collective. Whether the program was built with it and it can be loaded. */
int reel_nccl_is_here(void);

/* Collective over the ranks of the MPI communicator, each on a GPU of its own. The id is made by rank 0 and
 * reaches every rank, or none: a rank that fails says so to all, and all return its error. Seconds: the deadline,
 * of this and of every call. The handle is freed by reel_nccl_close. */
enum reel_status reel_nccl_open(MPI_Comm ranks, double seconds, struct reel_nccl **nccl);

/* Collective where nothing has failed. After a failure, of this communicator or one that stands in the thread's
 * record, every rank aborts by itself, and with this one every communicator of its process: a GPU that waits
 * for a lost peer holds up the end of the others. That takes five seconds at most. It comes before anything
 * that waits for the device: such waiting may have no end. NULL is allowed. */
void reel_nccl_close(struct reel_nccl *nccl);

/* Collective. Exchanges between begin and end are one group: all of them take place together. One thread calls
 * begin, the swaps and end, and has one group at a time; after a swap that failed, end only repeats that. */
enum reel_status reel_nccl_begin(struct reel_nccl *nccl);
enum reel_status reel_nccl_end(struct reel_nccl *nccl);

/* Collective, between begin and end. Bytes to one peer and bytes from another, in the order of the stream; either may be 0,
 * and then nothing is sent or received. */
enum reel_status reel_nccl_sendrecv(struct reel_nccl *nccl, struct reel_stream *stream, int64_t to,
                                    const void *send, int64_t send_bytes, int64_t from, void *receive,
                                    int64_t receive_bytes);

/* Not collective; from any thread, which waits while another has a group open. What NCCL has noticed since:
 * REEL_BAD_COMM. */
enum reel_status reel_nccl_check(struct reel_nccl *nccl);

/* Not collective; from the watchdog's thread, before the process leaves: aborts every communicator of this process, for at
 * most that long. */
void reel_nccl_abort_all(double seconds);

/* Not collective; from the watchdog's thread. How any communicator of this process that no thread is within
 * has failed, by NCCL's word or because it refused an exchange. */
enum reel_status reel_nccl_check_all(void);

#endif
