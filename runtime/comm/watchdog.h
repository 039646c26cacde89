/* Ends a rank that makes no progress.
 *
 * When a rank is stopped, or a host or the network is lost, the other ranks wait in an exchange; MPI notices
 * after minutes or never. So every rank has a thread that reads its heartbeats (heartbeat.h). After the job's
 * communication.timeout_s without a heartbeat, the thread prints what the rank was doing and ends the process
 * with REEL_BAD_COMM, and mpirun ends the other ranks. Long arithmetic does not trigger it: every tile of an
 * operation is a heartbeat.
 *
 * Not collective. */
#ifndef REEL_WATCHDOG_H
#define REEL_WATCHDOG_H

#include "status.h"

#include <pthread.h>
#include <stdint.h>

struct reel_watchdog {
    int64_t rank, ranks;
    double timeout_s;
    int running, closing;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Starts the thread. REEL_NO_MEMORY when it cannot be created. The struct must not move in memory until it is
 * closed. */
enum reel_status reel_watchdog_open(struct reel_watchdog *watchdog, int64_t rank, int64_t ranks,
                                    double timeout_s);

/* Stops the thread; a zeroed struct is allowed. */
void reel_watchdog_close(struct reel_watchdog *watchdog);

#endif
