/* The timestep embedding as a table: one row per distinct timestep of the job, and which row a frame uses.
 *
 * e and e0 depend on the timestep (and fps) alone, so one row serves every frame, step and chunk that has it:
 * at 14B 143,360 bytes a row, 4.6 MB for 30 steps, where the sequence-length expansion holds 4 to 14 GB.
 * Formulas: Wan2.1.
 *
 *     s(t) = [cos(t w_k), sin(t w_k)],  w_k = 10000^(-k / half)
 *     e  = W2 silu(W1 s + b1) + b2
 *     e0 = Wp silu(e) + bp                             six rows of D; plus the fps embedding where the model
 * has one
 *
 * Not collective: every rank makes the same table. */
#ifndef REEL_EMBEDDING_H
#define REEL_EMBEDDING_H

#include "arena.h"
#include "ops.h"
#include "weights.h"

enum { REEL_TIMESTEP_MAX = 1000 };

struct reel_embedding_table {
    int64_t rows;                            /* R */
    int64_t timestep[REEL_TIMESTEP_MAX + 1]; /* [R], ascending once made */
    int32_t row_of[REEL_TIMESTEP_MAX + 1];   /* by timestep; -1 where the job has none */
    float *e;                                /* [R, D], in the arena */
    float *e0;                               /* [R, 6, D], in the arena */
    int64_t width;
};

/* An empty table. */
void reel_embedding_clear(struct reel_embedding_table *embedding);

/* Adds the timesteps, each in 0 .. REEL_TIMESTEP_MAX, that are not there yet. */
void reel_embedding_add(struct reel_embedding_table *embedding, const int64_t *timesteps, int64_t count);

/* Computes e and e0 of every row into the arena, for that fps, from the weights that are held for it, with
 * reel_plan_embedding_work floats to work in; failures go to the stream. */
void reel_embedding_make(struct reel_embedding_table *embedding, const struct reel_model *model,
                         const struct reel_weights *weights, int64_t fps, const struct reel_arena *arena,
                         float *work, struct reel_stream *stream);

#endif
