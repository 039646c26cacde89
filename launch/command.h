/* The commands of the program, one row each: main.c has the list, and every command_*.c its own row and help.
 *
 * A command returns its status; main prints the error and exits with it. */
#ifndef REEL_COMMAND_H
#define REEL_COMMAND_H

#include "comm.h"
#include "status.h"

/* Whether MPI is started for a command: starting it takes longer than some of them do. */
enum reel_command_ranks {
    REEL_COMMAND_ALL_RANKS,     /* always */
    REEL_COMMAND_RANKS_IF_MANY, /* only under mpirun */
    REEL_COMMAND_WITHOUT_RANKS  /* never */
};

struct reel_command {
    const char *name;
    const char *synopsis; /* the words that it takes, in brief */
    const char *summary;  /* what it does, half a line */
    void (*help)(void);   /* prints its own page on standard output */
    enum reel_command_ranks ranks;
    int saves_on_notice; /* it hears the preemption signals, from before MPI starts */

    /* Collective over world; comm is NULL where MPI was not started. arguments are those behind the name. */
    enum reel_status (*run)(struct reel_comm *comm, int64_t count, char **arguments);
};

/* The effective job is made, or resumed. */
extern const struct reel_command reel_command_run;

/* Who holds, sends and computes what, on standard output. REEL_BAD_PLAN when the plan is impossible or does not fit. */
extern const struct reel_command reel_command_plan;

/* What a file or a model holds. Rank 0 looks and prints, the others wait for it. */
extern const struct reel_command reel_command_inspect;

/* How far one output is from another. Rank 0 compares and prints, the others wait for it. */
extern const struct reel_command reel_command_compare;

/* TeaCache's coefficients. All ranks sample; rank 0 measures, fits, writes and prints. */
extern const struct reel_command reel_command_calibrate;

/* SIGUSR1, the preemption notice, to every rank of reel run on this host, and with --wait their end:
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
extern const struct reel_command reel_command_notify;

#endif
