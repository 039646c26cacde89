/* The commands of the program. A command returns its status; main prints the error and exits with it. */
#ifndef REEL_COMMAND_H
#define REEL_COMMAND_H

#include "comm.h"
#include "status.h"

/* Collective over world: reel run JOB.yaml [--set key=value ...] [--fresh] [--profile FILE.json]. arguments are those behind
 * "run". */
enum reel_status reel_command_run(struct reel_comm *comm, int64_t count, char **arguments);

/* Not collective: reel plan JOB.yaml [--set key=value ...] [--ranks N] [--ranks-per-node N] [--device
 * NAME] [--devices FILE] [--device-memory SIZE] [--all] [--json], printed on standard output. ranks_here
 * is the number of ranks without --ranks. REEL_BAD_PLAN when the plan is impossible or does not fit. */
enum reel_status reel_command_plan(int64_t count, char **words, int64_t ranks_here);

/* Collective over world: reel inspect FILE|DIR [--json] [--job]. Rank 0 looks and prints, the others wait for
 * it. */
enum reel_status reel_command_inspect(struct reel_comm *comm, int64_t count, char **arguments);

/* Collective over world: reel compare A.h5 B.h5 [--plot FILE.png] [--json]. Rank 0 compares and prints, the
 * others wait for it. */
enum reel_status reel_command_compare(struct reel_comm *comm, int64_t count, char **arguments);

/* Collective over world: reel calibrate JOB.yaml [--set key=value ...] [--mode e|e0] [-o FILE.json]
 * [--plot FILE.png] [--json]. All sample, rank 0 measures, fits, writes and prints. */
enum reel_status reel_command_calibrate(struct reel_comm *comm, int64_t count, char **arguments);

/* Not collective, and without MPI: reel notify [--wait]. Sends SIGUSR1, the preemption notice, to every rank of
 * reel run on this host, and with --wait returns when all that were told have ended:
 *
 *     told 4 ranks                      or: no rank of reel runs here
 *     they have ended after 3.2 s
 *
 * A rank is a process that /proc shows (one of this PID namespace, or of one inside it) whose effective user is
 * this process's, or any for root; that is called reel or runs an executable of that name; and whose first word
 * is run. Under mpirun the first process of every host does it and the others return at once.
 *
 * REEL_OK also where there is no rank. REEL_BAD_COMM where the notice, which is a message to a rank, does not get
 * through: a rank that this user may not signal, a /proc of another PID namespace, a kernel before Linux 5.3. It
 * is said when those who could be told were told and waited for. REEL_BAD_JOB for any other word. */
enum reel_status reel_command_notify(int64_t count, char **words);

#endif
