/* The job file: YAML and --set in, struct reel_job out, with every value present, in range and fitting the
 * others.
 *
 *     const char *sets[] = {"sampler.steps=8", "output.log="};
 *     struct reel_job job;
 *     REEL_PASS(reel_job_load("job.yaml", sets, 2, &job));
 *
 * Relative paths are resolved against the folder of the job file, those of --set against the working
 * directory; in the job all are absolute. A key may be set several times by --set, the last one holds; it may
 * stand in the file once. Everything that is wrong is REEL_BAD_JOB with one sentence that names where, the
 * key, the value and what was expected:
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

/* A job file is a page; what is larger is another file given by mistake. */
enum { REEL_JOB_FILE_BYTES = 1 << 20 };

/* Not collective. Reads the job file at path and then set_count settings "key=value". */
enum reel_status reel_job_load(const char *path, const char *const *sets, int64_t set_count,
                               struct reel_job *job);

/* Not collective. The job as YAML text that loads to the same bytes. The caller frees it; NULL when out of
 * memory. */
char *reel_job_echo(const struct reel_job *job);

/* Not collective. Every key with its section, default, what it takes and what it does, in 100 columns. */
void reel_job_help(FILE *out);

/* Not collective. What must hold between values; reel_job_load ends with it. */
enum reel_status reel_job_checks(const struct reel_job *job, const struct reel_job_origin *origin);

#endif
