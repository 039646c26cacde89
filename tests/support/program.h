/* Starting the program as users do, in the test's folder, and reading what it said. */
#ifndef REEL_TEST_PROGRAM_H
#define REEL_TEST_PROGRAM_H

#include <sys/types.h>

/* What the last command said on standard error. */
extern char program_said[1 << 16];

/* Runs reel with these arguments under reel-mpirun, or alone with 0 ranks; environment is "NAME=value ...", or what
 * else a shell takes before a command, or "". Returns its exit code; -1 when it did not end by itself within two
 * minutes. */
int program_run(int ranks, const char *environment, const char *arguments);

/* Starts it likewise and goes on. What it says is in the files NAME.stdout and NAME.stderr of the test's folder. */
pid_t program_start(const char *name, int ranks, const char *environment, const char *arguments);

/* Likewise, but as the leader of a session of its own, so that a signal can be for its whole group: what is returned is
 * reel-mpirun itself, or reel with 0 ranks. Nobody ends it after two minutes. */
pid_t program_lead(const char *name, int ranks, const char *environment, const char *arguments);

/* Waits for what was started; returns as program_run. */
int program_end(pid_t process);

/* How often the last command said it. */
int program_said_times(const char *words);

/* CHECKs that the command fails with that code and says the sentence once, and no other error. */
void program_fails(int ranks, const char *arguments, int code, const char *sentence);

/* Writes a file into the test's folder. */
void program_file(const char *name, const char *text);

#endif
