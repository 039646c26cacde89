/* The transformer's forward pass on this rank's part of the tokens.
 *
 * Between sub-layers, tokens are cut over ring x ulysses x tensor. Inside them heads, columns or keys are cut
 * instead: see sequence_parallel.h for self-attention, tensor_parallel.h for linear layers over the tensor
 * axis, block_weights.h for the weights. With more than one of these ways no rank holds a whole activation.
 * Meshes that differ only in cfg, ulysses or gathered weights give the same bits, because these only move
 * data. ring and tensor change the order of additions. Formulas: Wan2.1, SkyReels-V2.
 *
 *     reel_dit_open(&dit, &plan, &arena, &weights, &embedding, &comm, &stream);
 *     reel_dit_prompts(&dit, 2, slots, embeds);                    once per prompt
 *     reel_dit_begin(&dit, &inputs);                               once per iteration
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

/* `see` is called with this rank's rows [count, width] of an intermediate result, in the memory of the
 * device: "tokens" after patch embedding and "block" after every block, both float; "context" [S, D] after a
 * prompt is embedded, of the plan's dtype, with the branch in the place of layer. */
struct reel_forward_hook {
    void (*see)(void *context, const char *what, int64_t layer, const void *rows, int64_t count,
                int64_t width);
    void *context;
};

/* `requested` is called before every block of an iteration with the number of blocks done so far, of all
 * `blocks` of the iteration. When it returns 1, the pass ends there. It must return the same on every rank of
 * the job at the same block: blocks are collective, and the ranks that go on would hang. requested may be
 * NULL. */
struct reel_cancel {
    int (*requested)(void *context, int64_t done, int64_t blocks);
    void *context;
};

/* The inputs that all calls of one iteration share. Same values on every rank of a branch. */
struct reel_dit_inputs {
    int64_t frames;           /* F, at most the plan's window; a multiple of its causal block */
    const int64_t *timesteps; /* [F], each in the embedding table; or [F H W] */
    int per_token;            /* 1: timesteps has one for every token */
    const float *input;       /* [in_channels, F, pH, pW] in the device's memory, whole on every rank */
    struct reel_cancel cancel;
};

struct reel_dit {
    const struct reel_plan *plan;
    const struct reel_arena *arena;
    const struct reel_weights *weights;
    const struct reel_time_embedding *embedding;
    struct reel_comm *comm;
    struct reel_stream *stream;
    enum reel_dtype dtype;
    struct reel_block_weights block_weights;
    struct reel_tensor_parallel tensor_parallel;
    struct reel_sequence_parallel sequence;
    struct reel_forward_hook hook; /* hook.see may be NULL */
    struct reel_rope rope;
    int64_t columns; /* d: columns of this rank's part of the tensor axis, a multiple of C */
    int64_t inner;   /* inner width of this rank's part of the feed-forward */
    /* of the current iteration */
    int64_t blocks_done, blocks_all;
    int cancelled;
    struct reel_dit_inputs inputs;
    struct reel_rows e, e0;
};

/* One call of the transformer. */
struct reel_forward {
    int64_t branch; /* index of the prompt on this rank, below reel_plan_branches */
    /* 1: skip the blocks, and add the residual of the branch's last call that ran them. */
    int skipped;
    float *velocity; /* [out_channels, F, pH, pW] in the device's memory, whole on every rank */
};

/* Not collective. Fills *dit. All arguments stay the caller's and must outlive *dit, which must not move in
 * memory. */
void reel_dit_open(struct reel_dit *dit, const struct reel_plan *plan, const struct reel_arena *arena,
                   const struct reel_weights *weights, const struct reel_time_embedding *embedding,
                   struct reel_comm *comm, struct reel_stream *stream);

/* Not collective. A dit of zeros is allowed. */
void reel_dit_close(struct reel_dit *dit);

/* Collective over the ranks of a branch. Embeds `count` prompts in one pass over the blocks, and keeps keys
 * and values of every block. embeds[i] [S, text_width], in the host's memory, is the prompt of branch
 * slots[i]. */
void reel_dit_prompts(struct reel_dit *dit, int64_t count, const int64_t *slots, const float *const *embeds);

/* Collective over the ranks of a branch. The same for the image, features [image_rows, image_width] in the
 * host's memory. Both branches use it. */
void reel_dit_image(struct reel_dit *dit, const float *features);

/* Not collective. The keys [rows, d] of a branch's prompt, or of the image, in one block; and the values
 * [rows, d], which follow the keys in memory. */
const void *reel_dit_text(const struct reel_dit *dit, int64_t branch, int64_t layer);
const void *reel_dit_image_keys(const struct reel_dit *dit, int64_t layer);
const void *reel_dit_values(const struct reel_dit *dit, const void *keys, int64_t rows);

/* Not collective. Begins an iteration: finds this rank's tokens and their rows of e and e0, and expands the
 * rows if the plan says so. The arrays of inputs must stay valid until the iteration's last call. */
void reel_dit_begin(struct reel_dit *dit, const struct reel_dit_inputs *inputs);

/* Collective over the ranks of a branch. With an expanded embedding only: measures the distance of this
 * iteration's TeaCache signal from the previous one, and keeps the new signal as the previous one. */
void reel_dit_measure(struct reel_dit *dit);

/* Not collective. Waits for the measurement and returns the relative L1 distance, over the frames whose
 * counts [F] is not 0, or over all frames if counts is NULL. The sum adds float64 partial sums in the order
 * of the tokens, so it does not depend on the number of ranks. NaN while there is no previous signal. */
double reel_dit_distance(struct reel_dit *dit, const uint8_t *counts);

/* Collective over the ranks of a branch. Runs the calls of an iteration, at most reel_plan_branches;
 * reel_plan_together of them pass through a block together. Failures go to the stream. Returns 1, or 0 when
 * inputs.cancel ended the iteration: then the velocities are undefined. */
int reel_dit_forward(struct reel_dit *dit, const struct reel_forward *forwards, int64_t count);

#endif
