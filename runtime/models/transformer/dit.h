/* The transformer's forward pass on this rank's part of the tokens.
 *
 * Between sub-layers tokens are cut over ring x ulysses x tensor; inside them heads, columns or keys are cut instead:
 * sequence_parallel.h has self-attention, tensor_parallel.h the layers over the tensor axis, block_weights.h the weights. No activation is ever
 * whole on a rank. Where only cfg, ulysses or gathered weights differ no bit differs, for there data only moves; ring and
 * tensor add in another order. Formulas: Wan2.1, SkyReels-V2.
 *
 *     reel_dit_open(&dit, &plan, &arena, &weights, &embedding, &comm, &stream);
 *     reel_dit_prompts(&dit, 2, slots, embeds);                    once per prompt
 *     reel_dit_begin(&dit, &moment);                               once per iteration
 *     reel_dit_forward(&dit, forwards, 2);
 *     reel_dit_close(&dit);
 */
#ifndef REEL_DIT_H
#define REEL_DIT_H

#include "arena.h"
#include "block_weights.h"
#include "comm.h"
#include "tensor_parallel.h"
#include "sequence_parallel.h"
#include "time_embedding.h"
#include "weights.h"

/* Called with this rank's rows of an intermediate, in the device's memory: "tokens" after patch embedding, "block" after
 * every block, both float; "context" [S, D] when a prompt is embedded, of the plan's numbers. */
struct reel_forward_hook {
    void (*see)(void *context, const char *what, int64_t layer, const void *rows, int64_t count,
                int64_t width);
    void *context;
};

/* Asked before every block of an iteration, with how many of its blocks are done: 1 ends the pass there. The answer must be
 * the same on every rank of the job at the same block, for blocks are collective. requested may be NULL. */
struct reel_cancel {
    int (*requested)(void *context, int64_t done, int64_t blocks);
    void *context;
};

/* What the calls of one iteration share. Same arguments on every rank of a branch. */
struct reel_dit_inputs {
    int64_t frames;           /* F, at most the plan's window; a multiple of its causal block */
    const int64_t *timesteps; /* [F], each in the embedding table; or [F H W] */
    int per_token;            /* timesteps has one for every token */
    const float *input;       /* [in_channels, F, 2H, 2W], whole on every rank; of the device */
    struct reel_cancel cancel;
};

struct reel_dit {
    const struct reel_plan *plan;
    const struct reel_arena *arena;
    const struct reel_weights *weights;
    const struct reel_time_embedding *embedding;
    struct reel_comm *comm;
    struct reel_stream *stream;
    enum reel_precision dtype;
    struct reel_block_weights block_weights;
    struct reel_tensor_parallel tensor_parallel;
    struct reel_sequence_parallel sequence;
    struct reel_forward_hook hook; /* see may be NULL */
    struct reel_rope rope;
    int64_t columns; /* of this rank's part of the tensor axis: whole heads */
    int64_t inner;   /* of its part of the feed-forward */
    /* of the iteration that runs */
    int64_t blocks_done, blocks_all;
    int cancelled;
    struct reel_dit_inputs inputs;
    struct reel_rows e, e0;
};

/* One call of the transformer. */
struct reel_forward {
    int64_t branch; /* which of this rank's prompts (reel_plan_branches) */
    int skipped; /* the blocks are not run: the residual of the branch's last call that ran them is added */
    float *velocity; /* [out_channels, F, 2H, 2W], whole on every rank; of the device */
};

/* Not collective. Fills dit; everything it is given stays the caller's and must outlive it, and dit must not move. */
void reel_dit_open(struct reel_dit *dit, const struct reel_plan *plan, const struct reel_arena *arena,
                   const struct reel_weights *weights, const struct reel_time_embedding *embedding,
                   struct reel_comm *comm, struct reel_stream *stream);

/* Not collective. A dit of zeros is allowed. */
void reel_dit_close(struct reel_dit *dit);

/* Collective over the ranks of a branch. Embeds prompts, embeds[i] [S, text_width] in the host's
 * memory for branch slots[i], and keeps keys
 * and values of every block, in one pass over the blocks. */
void reel_dit_prompts(struct reel_dit *dit, int64_t count, const int64_t *slots, const float *const *embeds);

/* Collective over the ranks of a branch. The same for the image, features [image_rows, image_width]; it serves both
 * branches. */
void reel_dit_image(struct reel_dit *dit, const float *features);

/* Not collective. Keys of a branch's prompt, or of the image, in one block: [rows, d], with the values behind them. */
const void *reel_dit_text(const struct reel_dit *dit, int64_t branch, int64_t layer);
const void *reel_dit_image_keys(const struct reel_dit *dit, int64_t layer);
const void *reel_dit_values(const struct reel_dit *dit, const void *keys, int64_t rows);

/* Not collective. An iteration begins: which tokens this rank has, and their rows of e and e0, expanded where the plan
 * says so. The moment must last until the iteration's calls are made. */
void reel_dit_begin(struct reel_dit *dit, const struct reel_dit_inputs *inputs);

/* Collective over the ranks of a branch. Expanded only: measures how far this iteration's signal is from the one before,
 * which it replaces. */
void reel_dit_measure(struct reel_dit *dit);

/* Not collective. The relative L1 distance that was measured, over the frames that counts has set, [F], or all where it is
 * NULL; waits for it. The sums are of float64 partials in the order of the tokens, whatever the number of ranks. NaN while
 * there is none before. */
double reel_dit_distance(struct reel_dit *dit, const uint8_t *counts);

/* Collective over the ranks of a branch. The calls of an iteration, at most reel_plan_branches; those that pass through a
 * block together (reel_plan_together) do. Failures go to the stream. 0 where it was abandoned: then the velocities hold
 * nothing. */
int reel_dit_forward(struct reel_dit *dit, const struct reel_forward *forwards, int64_t count);

#endif
