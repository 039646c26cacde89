/* The log, output.log: one JSON object per line, appended by rank 0.
 *
 *     {"event": NAME, ..., "time": seconds since 1970}
 *
 * NAME is place, plan, weights, step, chunk, checkpoint, memory, note, done, preempted or error. Every line
 * is flushed, so that the file can be followed while a run writes it. Not collective. */
#ifndef REEL_LOG_H
#define REEL_LOG_H

#include "event.h"
#include "status.h"

#include <stdio.h>

struct reel_log {
    FILE *file; /* NULL: no log */
    const char *path;
    int complained; /* the warning about a line that could not be written was printed */
};

/* Opens the file for appending; an empty path means no log. REEL_BAD_OUTPUT if it cannot be opened. */
enum reel_status reel_log_open(struct reel_log *log, const char *path);

/* Writes the event. If a line cannot be written, one warning is printed on standard error, and the run
 * continues. */
void reel_log_event(struct reel_log *log, const struct reel_event *event);

/* Writes the error that ends the run. */
void reel_log_error(struct reel_log *log, const struct reel_error *error);

void reel_log_close(struct reel_log *log);

#endif
