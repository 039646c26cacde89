/* Exchanges of an axis over NCCL, from device to device.
 *
 * Communicators are non-blocking: a call that is in progress is polled until it is done, at most until the
 * deadline, communication.timeout_s. An exchange is work of a stream: the calls return once it is issued.
 * Errors that NCCL reports later are found by reel_nccl_check.
 *
 * Only comm_nccl.c and dynlib_nccl.c call NCCL. Others go through this header: comm_mpi.c exchanges, device.c
 * asks whether NCCL is there, watchdog.c checks and aborts.
 *
 * Where the program was built without NCCL, comm_nccl_absent.c defines these functions: reel_nccl_is_here
 * returns 0, reel_nccl_close and reel_nccl_abort_all do nothing, reel_nccl_check_all returns REEL_OK, and the
 * others, which are then never called, return REEL_BAD_JOB. */
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

/* Frees the communicator, in one of two ways:
 *
 *     sound    this communicator has not failed, and this thread has no error, or REEL_PREEMPTED. Collective:
 *              waits for the exchanges that were issued, then closes. If that fails, it aborts instead.
 *     failed   otherwise. Not collective: aborts all communicators of this process, because a GPU that waits
 *              for a lost peer would also delay the end of the others. Takes at most five seconds.
 *
 * After a failure, call it before anything that waits for the device: that wait may never end. Reports no
 * error. NULL is allowed. */
void reel_nccl_close(struct reel_nccl *nccl);

/* Collective. The exchanges between begin and end are one group: they take place together. One thread calls
 * begin, reel_nccl_sendrecv and end, and has one group open at a time. A failed reel_nccl_sendrecv ends the
 * group itself; reel_nccl_end may still be called, and returns the status of that failure. */
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
