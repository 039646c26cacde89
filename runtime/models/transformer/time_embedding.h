/* e and e0 of every distinct timestep of the job, in the memory of the device.
 *
 * One row serves every frame, step and chunk that has its timestep: at 14B 143,360 bytes a row, 4.6 MB for 30 steps, where
 * the expansion to the sequence holds 4 to 14 GB. Formula: time_formula.h.
 *
 * Not collective: every rank makes the same rows. */
#ifndef REEL_TIME_EMBEDDING_H
#define REEL_TIME_EMBEDDING_H

#include "arena.h"
#include "ops.h"
#include "timestep_table.h"
#include "weights.h"

struct reel_time_embedding {
    const struct reel_timestep_table *table; /* the caller's, which outlives this */
    int64_t width;                           /* D */
    float *e;                                /* [R, D], in the arena */
    float *e0; /* [R, 6, D], in the arena; with the fps embedding where there is one */
};

/* Computes every row of the table into the arena, for that fps, from the weights that are held for it, with
 * reel_plan_embedding_work floats of the device to work in; failures go to the stream. */
void reel_time_embedding_make(const struct reel_timestep_table *table, const struct reel_model *model,
                              const struct reel_weights *weights, int64_t fps, const struct reel_arena *arena,
                              float *work, struct reel_stream *stream, struct reel_time_embedding *embedding);

#endif
