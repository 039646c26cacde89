/* The commands of the program. A command returns its status; main prints the error and exits with it. */
#ifndef REEL_COMMAND_H
#define REEL_COMMAND_H

#include "comm.h"
#include "status.h"

/* Collective over world: reel run JOB.yaml [--set key=value ...] [--fresh]. arguments are those behind
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

#endif
