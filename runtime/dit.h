/* The transformer's forward pass on this rank's part of the tokens.
 *
 * Tokens are cut over the sequence axis; inside self-attention heads are cut instead, by one exchange each
 * way, so that every head sees the whole sequence (DeepSpeed Ulysses, Jacobs et al. 2023). No activation is
 * ever whole on a rank, and no result depends on the number of ranks: an exchange only moves data. Formulas:
 * Wan2.1, SkyReels-V2.
 *
 *     reel_dit_open(&dit, &plan, &arena, &weights, &embedding, &comm.sequence, &stream);
 *     reel_dit_prompt(&dit, 0, embeds);                            once per prompt
 *     reel_dit_forward(&dit, &forward, velocity);                  once per branch and iteration
 */
#ifndef REEL_DIT_H
#define REEL_DIT_H

#include "arena.h"
#include "comm.h"
#include "embedding.h"
#include "weights.h"

/* Called with this rank's rows of an intermediate: "tokens" after patch embedding, "block" after every block,
 * "context" [S, D] when a prompt is embedded. */
struct reel_watch {
    void (*see)(void *context, const char *what, int64_t layer, const float *rows, int64_t count,
                int64_t width);
    void *context;
};

struct reel_dit {
    const struct reel_plan *plan;
    const struct reel_arena *arena;
    const struct reel_weights *weights;
    const struct reel_embedding_table *embedding;
    struct reel_axis *axis;
    struct reel_stream *stream;
    struct reel_watch watch; /* see may be NULL */
    struct reel_rope rope;
    /* of the forward that runs */
    struct reel_cut tokens;
    int64_t frames, causal_block;
    struct reel_rows e, e0;
};

/* One call of the transformer. Same arguments on every rank. */
struct reel_forward {
    int64_t branch;           /* which of this rank's prompts (reel_plan_branches) */
    int64_t frames;           /* F, at most the plan's window */
    const int64_t *timesteps; /* [F], each in the embedding table */
    const float *input;       /* [in_channels, F, 2H, 2W], whole on every rank */
    int64_t causal_block;     /* latent frames of a causal block, F a multiple of it; 0: all attend to all */
    float *velocity;          /* [out_channels, F, 2H, 2W], whole on every rank */
};

/* Not collective. Fills dit; everything it is given stays the caller's and must outlive it. */
void reel_dit_open(struct reel_dit *dit, const struct reel_plan *plan, const struct reel_arena *arena,
                   const struct reel_weights *weights, const struct reel_embedding_table *embedding,
                   struct reel_axis *axis, struct reel_stream *stream);

/* Not collective. Embeds a prompt, embeds [S, text_width], and keeps keys and values of every block for that
 * branch. */
void reel_dit_prompt(struct reel_dit *dit, int64_t branch, const float *embeds);

/* Not collective. The same for the image, features [image_rows, image_width]; it serves both branches. */
void reel_dit_image(struct reel_dit *dit, const float *features);

/* Collective over the sequence axis. Failures go to the stream. */
void reel_dit_forward(struct reel_dit *dit, const struct reel_forward *forward);

#endif
