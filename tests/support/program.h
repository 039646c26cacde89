/* Runs the program as users do, in the test's folder, and reads its output. */
#ifndef REEL_TEST_PROGRAM_H
#define REEL_TEST_PROGRAM_H

#include <sys/types.h>

/* The standard error of the last program_run. */
extern char program_said[1 << 16];

/* Runs reel with these arguments under reel-mpirun, or without it if ranks is 0. environment is "NAME=value
 * ...", or anything else that a shell allows before a command, or "". Returns the exit code; -1 if the
 * program did not end by itself within two minutes. */
int program_run(int ranks, const char *environment, const char *arguments);

/* As program_run, but does not wait. The program writes to the files NAME.stdout and NAME.stderr of the
 * test's folder. */
pid_t program_start(const char *name, int ranks, const char *environment, const char *arguments);

/* As program_start, but the process leads a session of its own, so that a signal can reach its whole group.
 * The process returned is reel-mpirun itself, or reel if ranks is 0. It has no limit of two minutes. */
pid_t program_lead(const char *name, int ranks, const char *environment, const char *arguments);

/* Waits for a started process; returns as program_run. */
int program_end(pid_t process);

/* How often the words are in program_said. */
int program_said_times(const char *words);

/* CHECKs that the command ends with that exit code, and that it prints one error, which contains the
 * sentence. */
void program_fails(int ranks, const char *arguments, int code, const char *sentence);

/* Writes a file into the test's folder. */
void program_file(const char *name, const char *text);

#endif
