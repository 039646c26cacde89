/* The fingerprint of a job: everything that its result depends on, as lines of text; and the comparison of
 * two fingerprints.
 *
 *     sampler.steps: 30                    keys of the job file
 *     model: 40 layers of 5120, ...        files: sizes and hashes of contents, because files may move
 *     chunk 2 prompt: 8f3a...              the inputs of each chunk, by hashes
 *
 * Keys that do not change the result are left out: the mesh, the device, paths of files, when checkpoints are
 * taken. Not collective. */
#ifndef REEL_FINGERPRINT_H
#define REEL_FINGERPRINT_H

#include "status.h"

#include <stdint.h>
#include <stdio.h>

enum { REEL_LINE_BYTES = 1400 };

/* Writes the lines of the fingerprint that come from a job's text (the effective job, YAML) to out. */
void reel_fingerprint_job(FILE *out, const char *job_text);

/* Finds the value of a dotted key in a job's text, or "". Returns 1 when the key is there, else 0. */
int reel_fingerprint_value(const char *job_text, const char *key, char value[REEL_LINE_BYTES]);

/* How two fingerprints are compared. */
struct reel_fingerprint_rules {
    const char *file; /* the checkpoint, for messages */
    int partial;      /* 1: `now` is not complete yet: lines that only `saved` has are no error */
    int64_t begun;    /* chunks that have begun in the checkpoint */
    int grown;        /* 1: the video is longer now: chunks that have not begun may differ */
};

/* Compares the fingerprint of a checkpoint with that of the job. REEL_BAD_INPUT for the first line that
 * differs, naming its key and both values. A line that only one of them has differs, too: so a new key whose
 * line every job had would refuse all older checkpoints (launch/job/README.md says what to do). */
enum reel_status reel_fingerprint_compare(const char *saved, const char *now,
                                          const struct reel_fingerprint_rules *rules);

#endif
