/* A job in the making: everything that a run holds, and the steps that it takes.
 *
 *     struct reel_sampler sampler;
 *     REEL_PASS(reel_sampler_open(&sampler, &job, job_text, &comm, &observer));    plan, memory, weights, embedding
 *     status = reel_sample_run(&sampler);                                  every chunk, every iteration
 *     reel_sampler_close(&sampler);
 *
 * Latents are small (13 MB for 97 frames at 544x960): every rank holds them whole and steps them alike. */
#ifndef REEL_SAMPLER_H
#define REEL_SAMPLER_H

#include "arena.h"
#include "choose.h"
#include "chunk.h"
#include "comm.h"
#include "dit.h"
#include "embedding.h"
#include "event.h"
#include "inputs.h"
#include "job.h"
#include "model_file.h"
#include "outline.h"
#include "output.h"
#include "random.h"
#include "schedule.h"
#include "teacache.h"
#include "timesteps.h"
#include "weights.h"

/* What the chunk at hand looks like while it is made. */
struct reel_chunk_state {
    const struct reel_chunk *chunk;
    const struct reel_timesteps *matrix;
    int64_t frames;                   /* end frames included */
    struct reel_solver_state *solver; /* [frames] */
    int64_t *timesteps;               /* [frames] what the model hears in an iteration */
    float *addnoise;                  /* [iterations, C, prefix frames, h, w] of a noise file, or NULL */
    double seconds;                   /* since it began */
    int64_t skipped_iterations;
    double skipped_seconds; /* of them */
};

struct reel_sampler {
    const struct reel_job *job;
    const char *job_text;
    struct reel_comm *comm;
    struct reel_observer observer;

    struct reel_model_files model_files;
    struct reel_inputs inputs;
    struct reel_outline outline;

    struct reel_plan plan;
    int64_t libraries_bytes; /* that libraries may take beside the plan */
    struct reel_arena arena;
    struct reel_stream stream;
    struct reel_weights weights;
    struct reel_dit dit;

    struct reel_random noise, addnoise;
    struct reel_chunk_state now;
    struct reel_teacache_rule teacache;
    struct reel_teacache_range range;
    int64_t call_count;          /* of the outline's calls: made so far */
    int64_t done;                /* iterations run so far */
    struct reel_saving *savings; /* of every chunk and branch, in order */
    int64_t saving_count;        /* finished */
    int64_t finished_frames;
    double began, step_seconds; /* the sum of the iterations' seconds */
};

/* Collective over world. Reads and checks everything that a job names before any weight is read; then plans, allocates,
 * loads the weights and makes the embedding table. On failure nothing stays open, and every rank has the same error.
 * What it is given must outlive the sampler. */
enum reel_status reel_sampler_open(struct reel_sampler *sampler, const struct reel_job *job,
                                   const char *job_text, struct reel_comm *comm,
                                   const struct reel_observer *observer);

/* Not collective, but for the communicators that come with comm. A sampler of zeros is allowed. */
void reel_sampler_close(struct reel_sampler *sampler);

/* Collective over world. Runs the job to its end. */
enum reel_status reel_sample_run(struct reel_sampler *sampler);

/* The steps that reel_sample_run is made of, for those who look between them. All collective over world.
 * begin: noise, prefix, end frames and prompts of chunk k. iterate: one row of the timestep matrix; *ran is 0 where its
 * mask is empty and nothing was done. end: finished frames go to the video and the output is written. */
enum reel_status reel_chunk_begin(struct reel_sampler *sampler, int64_t k);
enum reel_status reel_chunk_iterate(struct reel_sampler *sampler, int64_t row, int *ran);
enum reel_status reel_chunk_end(struct reel_sampler *sampler);

/* Not collective. The bytes that this rank sends over the whole job, as planned: iterations, prompts, image. */
void reel_sampler_traffic(const struct reel_sampler *sampler, int64_t bytes[REEL_PURPOSES]);

/* Not collective. Tells the observer, on rank 0. */
void reel_sampler_tell(const struct reel_sampler *sampler, const struct reel_event *event);

/* Not collective. Seconds of a clock that only goes forward. */
double reel_seconds(void);

#endif
