/* Exchanges of an axis over NCCL, from device to device.
 *
 * Communicators are non-blocking: a call that is in progress is polled until it is done, at most until the
 * deadline, communication.timeout_s. An exchange is work of a stream: the calls return once it is issued.
 * Errors that NCCL reports later are found by reel_nccl_check.
 *
 * Where the program was built without NCCL, reel_nccl_is_here returns 0 and the others are never called. */
#ifndef REEL_COMM_NCCL_H
#define REEL_COMM_NCCL_H

#include "ops.h"
#include "status.h"

#include <mpi.h>

struct reel_nccl; /* a communicator */

/* Not collective. Whether the program was built with NCCL and its library can be loaded. */
int reel_nccl_is_here(void);

/* Collective over the ranks of the MPI communicator, each on a GPU of its own. When one rank fails, all
 * return its error. seconds is the deadline of this call and of every later one. *nccl is freed by
 * reel_nccl_close; NULL after an error. REEL_BAD_COMM, REEL_NO_MEMORY. */
enum reel_status reel_nccl_open(MPI_Comm ranks, double seconds, struct reel_nccl **nccl);

/* Collective while nothing has failed. Not collective after a failure of this communicator, or while the
 * thread has an error other than REEL_PREEMPTED: then every rank aborts all communicators of its process,
 * because a GPU that waits for a lost peer also delays the end of the other communicators. That takes at most
 * five seconds. Call it before anything that waits for the device, for after a failure that wait may never
 * end. NULL is allowed. */
void reel_nccl_close(struct reel_nccl *nccl);

/* Collective. The exchanges between begin and end are one group: they take place together. One thread calls
 * begin, reel_nccl_sendrecv and end, and has one group open at a time. After a failed reel_nccl_sendrecv the
 * group is closed, and end only returns that status again. */
enum reel_status reel_nccl_begin(struct reel_nccl *nccl);
enum reel_status reel_nccl_end(struct reel_nccl *nccl);

/* Collective, between begin and end. Sends bytes to one peer and receives bytes from another, in the order of
 * the stream. Where a count is 0, nothing is sent or received. */
enum reel_status reel_nccl_sendrecv(struct reel_nccl *nccl, struct reel_stream *stream, int64_t to,
                                    const void *send, int64_t send_bytes, int64_t from, void *receive,
                                    int64_t receive_bytes);

/* Not collective; any thread may call it, and waits while another has a group open. The error that NCCL has
 * reported since the last call, REEL_BAD_COMM, or the communicator's first failure. */
enum reel_status reel_nccl_check(struct reel_nccl *nccl);

/* Not collective; the watchdog's thread calls it before it ends the process. Aborts every communicator of
 * this process, and waits for that at most so many seconds. */
void reel_nccl_abort_all(double seconds);

/* Not collective; the watchdog's thread calls it. The failure of a communicator of this process, reported by
 * NCCL or by an earlier call here. Skips communicators that another thread is using. */
enum reel_status reel_nccl_check_all(void);

#endif
