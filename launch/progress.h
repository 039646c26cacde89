/* What rank 0 of a run prints on standard output. On a terminal: a bar for the weights and one per chunk,
 * redrawn in place. Elsewhere: a line per event, and one for every ten seconds of loading.
 *
 *     weights [======>            ] 201/544  9s left
 *     chunk 2/3 [=========>         ]  15/30   4.1 s/it   job: 3m05s left
 *
 * mpirun gives its ranks pseudo-terminals, whatever it writes to itself. Under mpirun, therefore, only the
 * variable REEL_TERMINAL_COLUMNS counts, which reel-mpirun sets to the width of the user's terminal. Not
 * collective. */
#ifndef REEL_PROGRESS_H
#define REEL_PROGRESS_H

#include "event.h"

struct reel_progress {
    int columns;              /* of the terminal; 0: no terminal, plain lines */
    int bar_is_drawn;         /* the line under the cursor is a bar */
    double next_line_seconds; /* of loading, when the next line is due; without a terminal */
};

/* Finds out whether standard output is a terminal, and how wide it is. */
struct reel_progress reel_progress_open(void);

/* Prints the event. */
void reel_progress_event(struct reel_progress *progress, const struct reel_event *event);

/* Writes the bar of a step, or of loading, into text: at most columns wide, and at most bytes - 1. */
void reel_progress_bar(const struct reel_event *event, int columns, char *text, int bytes);

/* Ends the line of a bar that is drawn, so that later output starts on a line of its own. */
void reel_progress_close(struct reel_progress *progress);

#endif
