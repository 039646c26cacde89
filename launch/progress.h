/* What a run says on standard output, on rank 0: on a terminal a bar for the weights and one per chunk, redrawn,
 * else a line per event and one every ten seconds of loading.
 *
 *     weights [======>            ] 201/544  9s left
 *     chunk 2/3 [=========>         ]  15/30   4.1 s/it   job: 3m05s left
 *
 * mpirun gives its ranks pseudo-terminals of its own, whatever it writes to; so under it only REEL_TERMINAL_COLUMNS counts,
 * by which reel-mpirun says how wide the terminal behind it is.
 * Not collective. */
#ifndef REEL_PROGRESS_H
#define REEL_PROGRESS_H

#include "event.h"

struct reel_progress {
    int columns;              /* of the terminal; 0: no terminal, plain lines */
    int bar_is_drawn;         /* the line under the cursor is a bar */
    double next_line_seconds; /* of loading, without a terminal */
};

/* Looks where standard output leads. */
struct reel_progress reel_progress_open(void);

void reel_progress_event(struct reel_progress *progress, const struct reel_event *event);

/* Writes the bar of a step, or of loading, into text, at most columns characters wide and never more than bytes - 1. */
void reel_progress_bar(const struct reel_event *event, int columns, char *text, int bytes);

/* Ends a bar that is drawn, so that what follows stands on a line of its own. */
void reel_progress_close(struct reel_progress *progress);

#endif
