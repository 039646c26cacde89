/* Finds the processes of a test: only those carry its mark, a variable, in their environment.
 *
 *     program_run(2, marked_environment(), "run job.yaml"); */
#ifndef REEL_TEST_MARKED_H
#define REEL_TEST_MARKED_H

#include <sys/types.h>

/* The mark, "NAME=value". Each running test program has another one. */
const char *marked_environment(void);

struct marked {
    pid_t process;
    int rank; /* its rank if it is reel, else -1 */
    char name[16];
};

enum { MARKED_MAX = 256 };

/* Fills processes and returns how many there are. Processes that end meanwhile, or were just forked, may be
 * missing. */
int marked_find(struct marked processes[MARKED_MAX]);

/* The process of a rank, 0 if there is none. */
pid_t marked_rank(int rank);

/* Waits until no marked process is left. CHECKs that they end by themselves within that many seconds, and
 * kills the others. */
void marked_wait(double seconds);

/* Seconds of a monotonic clock. */
double marked_seconds(void);

#endif
