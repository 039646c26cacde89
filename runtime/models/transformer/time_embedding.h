/* The time embedding: e and e0 of every distinct timestep of the job, in the memory of the device.
 *
 * Every frame, step and chunk of one timestep uses the same row. At 14B a row has 143,360 bytes. 30 steps
 * have at most 32 rows (4.6 MB): their timesteps, 0 (known and finished frames) and addnoise_condition.
 * Expanded to 32,760 .. 111,600 tokens, e0 alone would have 4 to 14 GB. Formula: time_formula.h.
 *
 * Not collective: every rank makes the same rows. */
#ifndef REEL_TIME_EMBEDDING_H
#define REEL_TIME_EMBEDDING_H

#include "arena.h"
#include "ops.h"
#include "timestep_table.h"
#include "weights.h"

struct reel_time_embedding {
    const struct reel_timestep_table *table; /* the caller's; it must outlive this struct */
    int64_t width;                           /* D */
    float *e;                                /* [R, D], in the arena */
    float *e0; /* [R, 6, D], in the arena; the fps embedding is added if the model has one */
};

/* Computes e and e0 of every row of the table, into the arena. weights are those of REEL_PHASE_EMBEDDING;
 * the arena's buffers of that phase are in use. fps selects the row of the
 * fps embedding. Failures go to the stream. */
void reel_time_embedding_make(const struct reel_timestep_table *table, const struct reel_model *model,
                              const struct reel_weights *weights, int64_t fps, const struct reel_arena *arena,
                              struct reel_stream *stream, struct reel_time_embedding *embedding);

#endif
