/* What a function does in a process of its own: it ends, or it dies with a message. */
#ifndef REEL_TEST_CHILD_H
#define REEL_TEST_CHILD_H

#include <stdint.h>

struct child {
    int signal, code;    /* how it ended */
    char words[1 << 12]; /* what it said to stderr, cut */
};

/* Runs the function in a child, whose exit code is the status of its error record when it returns. */
void child_run(void (*function)(void), struct child *child);

/* Checks that the function returns, and without an error. */
void child_passes(const char *what, void (*function)(void));

/* Checks that it aborts, and says that. */
void child_aborts(const char *what, void (*function)(void), const char *words);

#define PASSES(function) child_passes(#function, function)
#define ABORTS(function, words) child_aborts(#function, function, words)

#endif
