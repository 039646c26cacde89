/* The commands of the program. A command returns its status; main prints the error and exits with it. */
#ifndef REEL_COMMAND_H
#define REEL_COMMAND_H

#include "comm.h"
#include "status.h"

/* Collective over world: reel run JOB.yaml [--set key=value ...] [--fresh]. arguments are those behind "run". */
enum reel_status reel_command_run(struct reel_comm *comm, int64_t count, char **arguments);

/* Collective over world: reel inspect FILE|DIR [--json] [--job]. Rank 0 looks and prints, the others wait for
 * it. */
enum reel_status reel_command_inspect(struct reel_comm *comm, int64_t count, char **arguments);

#endif
