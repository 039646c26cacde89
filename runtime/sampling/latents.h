/* The latents of a run: those of the current chunk with the solver's state, the random streams that fill
 * them, and the finished video.
 *
 *     reel_latents_begin(&latents, &request)        noise, prefix and end frames, or what a checkpoint saved
 *     for each row
 *         reel_latents_assemble(&latents, row)      x -> the model's input, and the timestep of each frame
 *         reel_latents_step(&latents, row, v)       x <- solver(x, v), for the frames that the row updates
 *     reel_latents_finish(&latents)                 x -> video
 *
 * Latents are small (13 MB for 97 frames at 544x960): every rank holds them whole, [channels, frames, plane]
 * in buffers of the arena, and makes the same steps. A plane is one frame of one channel. Failures go to the
 * stream. Only latents.c writes the members. */
#ifndef REEL_LATENTS_H
#define REEL_LATENTS_H

#include "arena.h"
#include "checkpoint.h"
#include "comm.h"
#include "inputs.h"
#include "job.h"
#include "noise.h"
#include "schedule.h"
#include "solver.h"
#include "timesteps.h"

struct reel_latents {
    const struct reel_plan *plan;
    const struct reel_arena *arena;
    struct reel_stream *stream;
    const struct reel_job *job;
    const struct reel_schedule *schedule;
    struct reel_noise noise;          /* draws a chunk's noise */
    struct reel_noise addnoise;       /* draws what is added to prefix frames */
    struct reel_noise addnoise_start; /* addnoise at the start of the iteration */
    /* Host copies of the chunk's arrays, where the host cannot read the device's memory. */
    float *views[REEL_CHECKPOINT_ARRAYS];
    /* of the current chunk */
    const struct reel_chunk *chunk;
    const struct reel_timesteps *matrix;
    int64_t frames;                   /* end frames included */
    struct reel_solver_state *solver; /* [frames] */
    int64_t *timesteps;               /* [frames] of the input that was assembled last */
    float *given;                     /* [iterations, C, prefix frames, h, w] addnoise of a file, or NULL */
};

/* Not collective. Seeds the random streams. All arguments must outlive *latents. */
void reel_latents_open(struct reel_latents *latents, const struct reel_plan *plan,
                       const struct reel_arena *arena, struct reel_stream *stream, const struct reel_job *job,
                       const struct reel_schedule *schedule);
/* Not collective. Zeros are allowed. */
void reel_latents_close(struct reel_latents *latents);

/* A chunk that begins. */
struct reel_latents_chunk {
    const struct reel_chunk *chunk;
    const struct reel_timesteps *matrix;
    const struct reel_inputs *inputs;
    const struct reel_solver_state
        *saved; /* [frames] of a checkpoint inside the chunk, whose arrays are in the
                                            * arena; NULL: the chunk begins anew */
};

/* Collective over world. REEL_NO_MEMORY, and the errors of reading noise and conditions; the same on every
 * rank, but those of the stream. */
enum reel_status reel_latents_begin(struct reel_latents *latents, struct reel_comm *comm,
                                    const struct reel_latents_chunk *begins);

/* Not collective. Makes the model's input, REEL_LATENTS_INPUT: the frames of the row's interval, with noise
 * added to the prefix if the job says so, followed by the condition's channels. Returns the timestep of each
 * of these frames. */
const int64_t *reel_latents_assemble(struct reel_latents *latents, int64_t row);

/* Not collective. Takes the assembling back, for an iteration that was cancelled. */
void reel_latents_cancel(struct reel_latents *latents);

/* Not collective. Steps every frame whose update mask is set by velocity [C, window, h, w], each with its own
 * solver. */
void reel_latents_step(struct reel_latents *latents, int64_t row, const float *velocity);

/* Not collective. Copies the chunk's frames to the video. */
void reel_latents_finish(struct reel_latents *latents);

/* Not collective. The arrays of a checkpoint, in memory that the host can read: the arena, or host copies of
 * it. collect sets them to those that metadata implies (REEL_NO_MEMORY); fetch copies from the device to the
 * host's copies, store the other way, both with the stream's status. restore: sets the random streams. */
enum reel_status reel_latents_collect(struct reel_latents *latents, struct reel_checkpoint *checkpoint);
enum reel_status reel_latents_fetch(struct reel_latents *latents, const struct reel_checkpoint *checkpoint);
enum reel_status reel_latents_store(struct reel_latents *latents, const struct reel_checkpoint *checkpoint);
void reel_latents_restore(struct reel_latents *latents, const struct reel_checkpoint_metadata *saved);

/* Not collective. Elements of a plane of a plan's latents. */
int64_t reel_latents_plane(const struct reel_plan *plan);

#endif
