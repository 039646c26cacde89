/* Ends a rank that gets nowhere.
 *
 * A rank that is stopped, a host that is lost or a network that is gone leaves the others waiting in an exchange; MPI
 * notices after minutes or never. Every rank has a thread that listens to its signs of life (heartbeat.h): without one for the
 * job's communication.timeout_s it says where the rank stands and leaves with REEL_BAD_COMM, and mpirun ends the rest.
 * Long arithmetic is no silence: every tile of an operation is a sign of life.
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

/* Starts to listen. REEL_NO_MEMORY when there can be no thread. The watchdog must not move in memory. */
enum reel_status reel_watchdog_open(struct reel_watchdog *watchdog, int64_t rank, int64_t ranks,
                                    double timeout_s);

/* Stops; zeros are allowed. */
void reel_watchdog_close(struct reel_watchdog *watchdog);

#endif
