/* This process and its launch by mpirun: its rank before MPI is started, and the start and end of MPI.
 *
 *     if (reel_launched_rank() <= 0) puts("printed by rank 0 alone");
 *     REEL_PASS(reel_process_start(&argc, &argv));
 *     REEL_PASS(reel_comm_open(reel_process_ranks(), &comm));
 *     ...
 *     reel_process_end();
 */
#ifndef REEL_PROCESS_H
#define REEL_PROCESS_H

#include "status.h"

#include <mpi.h>
#include <stdint.h>

/* Not collective; before or after the start of MPI. The rank that mpirun gave this process, among all ranks
 * and among those of this host; -1 where mpirun did not start it. */
int64_t reel_launched_rank(void);
int64_t reel_launched_local_rank(void);

/* Collective over all processes of the launch. Starts MPI and asks for MPI_THREAD_MULTIPLE; MPI removes its
 * own options from the command line. REEL_BAD_COMM. */
enum reel_status reel_process_start(int *argc, char ***argv);

/* Not collective. All ranks of the launch. */
MPI_Comm reel_process_ranks(void);

/* Collective over all processes of the launch. Ends MPI. */
void reel_process_end(void);

#endif
