/* What the result of a job depends on, as lines of text, and whether two jobs agree in it.
 *
 *     sampler.steps: 30                    of the job file
 *     model: 40 layers of 5120, ...        what stands behind its paths: sizes and hashes of contents, for files may move
 *     chunk 2 prompt: 8f3a...              and of what each chunk takes
 *
 * Keys on which a result does not depend are left out: the mesh, the device, where files lie, when checkpoints are
 * taken. Not collective. */
#ifndef REEL_FINGERPRINT_H
#define REEL_FINGERPRINT_H

#include "status.h"

#include <stdint.h>
#include <stdio.h>

enum { REEL_LINE_BYTES = 1400 };

/* Writes the lines of a job's text (its echo) to out. */
void reel_fingerprint_job(FILE *out, const char *job_text);

/* The value of a dotted key in a job's text; 0 when it is not there. */
int reel_fingerprint_value(const char *job_text, const char *key, char value[REEL_LINE_BYTES]);

/* How a fingerprint is compared. */
struct reel_fingerprint_rules {
    const char *file; /* the checkpoint, for messages */
    int partial;      /* lines that only `saved` has are not missed: the rest of ours is not known yet */
    int64_t begun;    /* chunks that have begun there */
    int grown;        /* the video is longer than it was: what chunks take that have not begun may be new */
};

/* REEL_BAD_INPUT for the first line that differs, naming its key and both values. */
enum reel_status reel_fingerprint_compare(const char *saved, const char *now,
                                          const struct reel_fingerprint_rules *rules);

#endif
