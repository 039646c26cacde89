/* Reads a job: the YAML job file and the --set options become a struct reel_job. Every value is present, in
 * range, and consistent with the others.
 *
 *     const char *sets[] = {"sampler.steps=8", "output.log="};
 *     struct reel_job job;
 *     REEL_PASS(reel_job_load("job.yaml", sets, 2, &job));
 *
 * Relative paths in the file are resolved against the folder of the job file, those of --set against the
 * working directory; in the job all paths are absolute. The file may set a key once. --set may set a key
 * several times; the last one counts. Every mistake is REEL_BAD_JOB with one sentence that names the place,
 * the key, the value and what was expected:
 *
 *     job.yaml:7: video.frames is 96, expected 4k+1 (5, 9, 13, ...)
 */
#ifndef REEL_JOB_FILE_H
#define REEL_JOB_FILE_H

#include "job.h"
#include "job_schema.h"
#include "status.h"

#include <stdint.h>
#include <stdio.h>

/* A job file is about a page long. A larger file was given by mistake. */
enum { REEL_JOB_FILE_BYTES = 1 << 20 };

/* Not collective. Reads the job file at path, then applies the set_count settings "key=value" in order.
 * REEL_BAD_JOB, REEL_NO_MEMORY. */
enum reel_status reel_job_load(const char *path, const char *const *sets, int64_t set_count,
                               struct reel_job *job);

/* Not collective. The job as YAML text, which reel_job_load would read as the same bytes. The caller frees
 * it; NULL when out of memory. */
char *reel_job_echo(const struct reel_job *job);

/* Not collective. Prints every key with its section, default, allowed values and meaning, in 100 columns. */
void reel_job_help(FILE *out);

/* Not collective. Checks the values of a complete job against each other: REEL_BAD_JOB. reel_job_load calls
 * it at its end. */
enum reel_status reel_job_checks(const struct reel_job *job, const struct reel_job_origin *origin);

#endif
