/* The commands of the program. main.c has the list; every command_*.c defines its command and its help.
 *
 * A command returns its status; main prints the error and exits with the status as its code. */
#ifndef REEL_COMMAND_H
#define REEL_COMMAND_H

#include "comm.h"
#include "status.h"

/* Whether MPI is started for a command: starting MPI takes longer than some commands do. */
enum reel_command_ranks {
    REEL_COMMAND_ALL_RANKS,     /* always */
    REEL_COMMAND_RANKS_IF_MANY, /* only under mpirun */
    REEL_COMMAND_WITHOUT_RANKS  /* never */
};

struct reel_command {
    const char *name;
    const char *synopsis; /* its arguments, in brief */
    const char *summary;  /* what it does, half a line */
    void (*help)(void);   /* prints its own page on standard output */
    enum reel_command_ranks ranks;
    int saves_on_notice; /* it listens for preemption notices, from before MPI starts */

    /* Collective over world; comm is NULL where MPI was not started. arguments are those after the name. */
    enum reel_status (*run)(struct reel_comm *comm, int64_t count, char **arguments);
};

/* Makes the job's video, or resumes it. */
extern const struct reel_command reel_command_run;

/* Prints what every rank holds, sends and computes. REEL_BAD_PLAN if no plan is possible or fits. */
extern const struct reel_command reel_command_plan;

/* Prints the contents of a file or a model. Rank 0 reads and prints, the others wait for it. */
extern const struct reel_command reel_command_inspect;

/* Prints how much two outputs differ. Rank 0 compares and prints, the others wait for it. */
extern const struct reel_command reel_command_compare;

/* Fits TeaCache's coefficients. All ranks sample; rank 0 measures, fits, writes and prints. */
extern const struct reel_command reel_command_calibrate;

/* Sends SIGUSR1, the preemption notice, to every rank of reel run on this host; with --wait it then waits
 * until they have ended. It prints:
 *
 *     told 4 ranks                      or: no rank of reel runs here
 *     they have ended after 3.2 s
 *
 * A process is a rank if all of this holds: /proc shows it (it is in this PID namespace, or in one inside
 * it); its effective user is this process's, or this process is root's; its name or that of its executable is
 * reel; its first argument is run. Under mpirun the first process of every host does this and the others
 * return at once.
 *
 * REEL_OK also if there is no rank. REEL_BAD_COMM if a rank cannot be notified: this user may not signal it,
 * /proc is that of another PID namespace, or the kernel is older than Linux 5.3. The other ranks are
 * notified, and waited for, before this error is returned. REEL_BAD_JOB for any other argument. */
extern const struct reel_command reel_command_notify;

#endif
