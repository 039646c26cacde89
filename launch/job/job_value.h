/* One value of a job: from YAML into struct reel_job, and back to text that is read as the same value.
 *
 *     reel_key_read(reel_key_named("video.frames"), &value, "/jobs", "job.yaml:7", &job)
 *
 * fails with "job.yaml:7: video.frames is many, expected an integer from 1 to 16777217". A stored value has
 * the type and the range of its key. Checks between values are in job_checks.c. */
#ifndef REEL_JOB_VALUE_H
#define REEL_JOB_VALUE_H

#include "job_schema.h"
#include "job_yaml.h"
#include "status.h"

/* Long enough for a quoted path, whose bytes may be escaped, and for a list of coefficients. */
enum { REEL_TEXT_BYTES = 4 * REEL_PATH_BYTES + 16 };

/* Not collective. Stores a value in place of the previous one. A relative path is resolved against folder;
 * place begins the message of REEL_BAD_JOB. */
enum reel_status reel_key_read(const struct reel_key *key, const struct reel_value *value, const char *folder,
                               const char *place, struct reel_job *job);

/* Not collective. Stores the key's default; a required key becomes empty. */
void reel_key_reset(const struct reel_key *key, struct reel_job *job);

/* Not collective. Writes the value as YAML that reel_key_read reads back to the same bits; "" when not
 * set. */
void reel_key_print(const struct reel_key *key, const struct reel_job *job, char text[REEL_TEXT_BYTES]);

/* Not collective. Resolves path against folder, unless it is absolute, and removes empty and "." parts.
 * REEL_BAD_JOB when the result is too long or not printable. */
enum reel_status reel_path_resolve(const char *folder, const char *path, const char *place,
                                   char resolved[REEL_PATH_BYTES]);

#endif
