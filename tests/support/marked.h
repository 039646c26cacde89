/* Processes of a test: those that carry its mark in their environment, and nobody else's.
 *
 *     program_run(2, marked_environment(), "run job.yaml");
 */
#ifndef REEL_TEST_MARKED_H
#define REEL_TEST_MARKED_H

#include <sys/types.h>

/* "NAME=value", unlike that of any other test that runs. */
const char *marked_environment(void);

struct marked {
    pid_t process;
    int rank; /* of reel; -1: something else */
    char name[16];
};

enum { MARKED_MAX = 256 };

/* Fills processes and returns how many there are; those that end meanwhile, or have just been forked, may be missing. */
int marked_find(struct marked processes[MARKED_MAX]);

/* The process of a rank, 0 where there is none. */
pid_t marked_rank(int rank);

/* Waits until none is left, and CHECKs that they go by themselves within seconds; kills what does not. */
void marked_wait(double seconds);

/* Seconds of a clock that only goes forward. */
double marked_seconds(void);

#endif
