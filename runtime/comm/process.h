/* This process among those that mpirun has started, before MPI runs in it and around it.
 *
 *     if (reel_launched_rank() <= 0) puts("said once");
 *     REEL_PASS(reel_process_start(&count, &words));
 *     REEL_PASS(reel_comm_open(reel_process_ranks(), &comm));
 *     ...
 *     reel_process_end();
 */
#ifndef REEL_PROCESS_H
#define REEL_PROCESS_H

#include "status.h"

#include <mpi.h>
#include <stdint.h>

/* Not collective. The rank that mpirun gives this process, or its rank on this host; -1: no mpirun started it. */
int64_t reel_launched_rank(void);
int64_t reel_launched_local_rank(void);

/* Collective over all processes of the launch. Starts MPI, for several threads; its own words are taken from the command
 * line. REEL_BAD_COMM. */
enum reel_status reel_process_start(int *count, char ***words);

/* Not collective. All ranks of the launch. */
MPI_Comm reel_process_ranks(void);

/* Collective over all processes of the launch. Ends MPI. */
void reel_process_end(void);

#endif
