/* One value of a job: from YAML into struct reel_job, and back to the text that reads the same.
 *
 *     reel_key_read(reel_key_named("video.frames"), &value, "/jobs", "job.yaml:7", &job)
 *
 * fails with "job.yaml:7: video.frames is many, expected an integer from 1 to 16777217". What it stores has
 * the type and the range of its key; what belongs together is the business of job_checks.c. */
#ifndef REEL_JOB_VALUE_H
#define REEL_JOB_VALUE_H

#include "job_schema.h"
#include "job_yaml.h"
#include "status.h"

/* Every byte of a path or of a number may take four when it is quoted. */
enum { REEL_TEXT_BYTES = 4 * REEL_PATH_BYTES + 16 };

/* Not collective. Stores a value, replacing the one before. A relative path is resolved against folder. */
enum reel_status reel_key_read(const struct reel_key *key, const struct reel_value *value, const char *folder,
                               const char *place, struct reel_job *job);

/* Not collective. Stores the key's default; a required key becomes empty. */
void reel_key_reset(const struct reel_key *key, struct reel_job *job);

/* Not collective. The value as YAML that reel_key_read reads back to the same bits; empty when not set. */
void reel_key_print(const struct reel_key *key, const struct reel_job *job, char text[REEL_TEXT_BYTES]);

/* Not collective. path against folder unless it is absolute, without empty and "." parts. */
enum reel_status reel_path_resolve(const char *folder, const char *path, const char *place,
                                   char resolved[REEL_PATH_BYTES]);

#endif
