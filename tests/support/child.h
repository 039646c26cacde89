/* Runs a function in a child process, to test whether it returns or aborts with a message. */
#ifndef REEL_TEST_CHILD_H
#define REEL_TEST_CHILD_H

#include <stdint.h>

struct child {
    int signal, code;    /* how it ended */
    char words[1 << 12]; /* its output to stderr, truncated */
};

/* Runs the function in a child, whose exit code is the status of its error record when it returns. */
void child_run(void (*function)(void), struct child *child);

/* CHECKs that the function returns without an error. */
void child_passes(const char *what, void (*function)(void));

/* CHECKs that the function aborts and that its message contains the words. */
void child_aborts(const char *what, void (*function)(void), const char *words);

#define PASSES(function) child_passes(#function, function)
#define ABORTS(function, words) child_aborts(#function, function, words)

#endif
