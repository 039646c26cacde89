/* Jobs of a test's folder, run in pieces by ranks of one process each; their files, and what is done to them. Collective but
 * for what says otherwise. */
#ifndef REEL_TEST_JOBS_H
#define REEL_TEST_JOBS_H

#include "partial_run.h"

/* This rank. */
extern int job_rank;

/* Chunks of 5 latent frames that take over 2: 29 pixel frames are two full chunks, 41 three, 33 two and a short one. */
extern const char job_growing[];

/* A path in the test's folder; a few are valid at a time. */
const char *job_path(const char *name);

/* Collective. Runs a command in the test's folder, on rank 0. */
void job_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

void job_write(const char *name, const char *text);

/* Collective. Flips a bit of a byte, on rank 0. */
void job_flip(const char *path, int64_t at);

/* Collective. Changes the last bit of a tensor's first number. */
void job_change(const char *name, const char *tensor);

/* The newest generation of a folder; 0 where there is none. */
int64_t job_newest(const char *folder, int64_t *count);

const char *job_checkpoint(const char *folder, int64_t generation);

/* Runs a job of the test's folder with settings "key=value key=value", paths among them absolute. */
struct partial_end job_run(const char *job, const char *settings, int64_t max);

struct partial_end job_must(const char *job, const char *settings, int64_t max);

/* CHECKs that it ends with the very latents of another. */
void job_same(struct partial_end *end, const struct partial_end *one, const char *what);

/* CHECKs exit code 4 and words in the cause. */
void job_refused(const char *job, const char *settings, const char *const *words, int count);

int job_says(const struct partial_end *end, const char *words);

/* A job of which everything is a file, and two pieces of it are done. */
void job_begin_files(const char *folder);

#endif
