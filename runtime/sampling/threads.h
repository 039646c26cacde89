/* The number of threads that a rank computes with. */
#ifndef REEL_THREADS_H
#define REEL_THREADS_H

#include "comm.h"

/* Collective over world. Sets OpenMP's number of threads, the same on every rank: the min over all ranks of
 * OMP_NUM_THREADS where it is set, else of the cores that a rank may run on divided by the ranks of its host
 * that may run on them. REEL_BAD_COMM. */
enum reel_status reel_threads_choose(struct reel_comm *comm);

#endif
