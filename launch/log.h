/* The log: one JSON object per line, appended, on rank 0.
 *
 * {"event": "plan"|"weights"|"step"|"chunk"|"memory"|"note"|"done"|"error", ...}. Every line is flushed, so that a run can
 * be followed. Not collective. */
#ifndef REEL_LOG_H
#define REEL_LOG_H

#include "event.h"
#include "status.h"

#include <stdio.h>

struct reel_log {
    FILE *file; /* NULL: no log */
    const char *path;
    int complained;
};

/* Opens for appending; an empty path is no log. REEL_BAD_OUTPUT when it cannot be. */
enum reel_status reel_log_open(struct reel_log *log, const char *path);

/* Writes the event. A line that cannot be written is said once on standard error and costs nothing else. */
void reel_log_event(struct reel_log *log, const struct reel_event *event);

/* Writes the error that ends the run. */
void reel_log_error(struct reel_log *log, const struct reel_error *error);

void reel_log_close(struct reel_log *log);

#endif
