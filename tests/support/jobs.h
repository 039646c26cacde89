/* Jobs in a test's folder, run in partial runs by the ranks of MPI_COMM_WORLD; their files, and changes to
 * these. Collective, unless a function says otherwise. */
#ifndef REEL_TEST_JOBS_H
#define REEL_TEST_JOBS_H

#include "partial_run.h"

/* This process's rank in MPI_COMM_WORLD. */
extern int job_rank;

/* A job with chunks of 5 latent frames that overlap by 2: 29 pixel frames are two full chunks, 41 three, 33
 * two and a short one. */
extern const char job_growing[];

/* Not collective. A path in the test's folder; the last 8 are valid. */
const char *job_path(const char *name);

/* Collective. Runs a command in the test's folder, on rank 0. */
void job_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

void job_write(const char *name, const char *text);

/* Collective. Flips the lowest bit of a byte, on rank 0. */
void job_flip(const char *path, int64_t at);

/* Collective. Flips the last bit of a tensor's first element. */
void job_change(const char *name, const char *tensor);

/* The newest generation in a checkpoint folder, 0 if there is none. *count: how many there are. */
int64_t job_newest(const char *folder, int64_t *count);

const char *job_checkpoint(const char *folder, int64_t generation);

/* Runs a job of the test's folder with settings "key=value key=value", whose paths are absolute. Among them,
 * --fresh sets fresh and --stop sets stop of the partial run to 1. max is that of the partial run. */
struct partial_end job_run(const char *job, const char *settings, int64_t max);

/* As job_run, and CHECKs that it succeeds. */
struct partial_end job_must(const char *job, const char *settings, int64_t max);

/* CHECKs that the run is complete and its latents equal those of another bit for bit. Frees its latents. */
void job_same(struct partial_end *end, const struct partial_end *one, const char *what);

/* CHECKs that the job fails with exit code 4 and that its cause contains all of the words. */
void job_refused(const char *job, const char *settings, const char *const *words, int count);

/* Not collective. Whether rank 0 logged the words; 1 on all other ranks. */
int job_says(const struct partial_end *end, const char *words);

/* Writes a job all of whose inputs are files, and runs its first two iterations. */
void job_begin_files(const char *folder);

#endif
