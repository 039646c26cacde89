/* How many threads a rank computes with. */
#ifndef REEL_THREADS_H
#define REEL_THREADS_H

#include "comm.h"

/* Collective over world. The same number on every rank: OMP_NUM_THREADS where it is set, else the cores that this
 * process may run on, shared with the ranks of its host that may run there too; the least of all ranks. OpenMP is told. */
enum reel_status reel_threads_choose(struct reel_comm *comm);

#endif
