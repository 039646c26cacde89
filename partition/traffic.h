/* The communication model: the bytes that ranks send to each other, computed from counts alone.
 *
 * The letters, for one rank: n tokens of its own, g tokens of its tensor axis together, l tokens of its
 * segment of the ring; d columns (whole heads) of its part of the tensor axis, h heads of its own. For all
 * ranks: L tokens, D = N C columns, P_t, P_u, P_r ways of tensor, ulysses and ring; b bytes per element (4
 * in fp32, 2 in bf16); A latents of one channel in a token, 4. In one forward of one branch, a rank sends
 * to other ranks
 *
 *     heads     per block, before attention: q, k, v of its tokens, for others' heads    3 b g (d - h C)
 *     tokens    per block, after attention: its heads' output, for others' tokens        b (l - g) h C
 *     keys      per block: its keys and values to every other part of the ring; v: the
 *               keys that the part may see (v = l without causal blocks)                 2 b h C sum of v
 *     columns   per block, before q k v, cross q, ffn-in: its tokens to its tensor axis  3 b (P_t - 1) n D
 *     partials  per block, after o, cross o, ffn-out: partial sums of others' tokens     3 b (g - n) D
 *     norms     per block, q, k, cross q: sums of squares of its tensor axis' tokens     3 * 8 (P_t - 1) g
 *     output    once: its tokens of the head's output to all others      4 (P_t P_u P_r - 1) n A out_channels
 *
 * With gathered weights, one pass through the blocks, for all branches that the rank computes, also sends
 *
 *     weights   per block: its share of s elements to the others                         b (P_u P_r - 1) s
 *
 * With even cuts over P ranks, a rank sends in each layer, in elements: ulysses 4 L D / P (P - 1) / P;
 * ring 2 L D / P (P - 1); tensor 6 L D (P - 1) / P; gathered W (P - 1) / P, where the layer has W weights.
 * So with more ranks, tensor and gathered traffic per rank does not shrink, ring traffic hardly does, and
 * ulysses traffic does. At 14B, L = 32,760, 8 ranks, bf16, one forward: ulysses 5.9 GB per rank, gathered
 * 24.6 GB more, ring 23.5 GB, tensor 70.4 GB (70.7 with norms and output).
 *
 * A call that TeaCache skips sends only its output. An iteration makes one call for each branch that the
 * rank computes. With cfg 2, an iteration also sends
 *
 *     velocity  its branch's velocity to its partner                   4 out_channels * frames * A H W
 *
 * With the expanded embedding and TeaCache, an iteration also gathers two doubles of every token:
 *
 *     distances                                                        16 (P_t P_u P_r - 1) n
 *
 * One pass over the prompts, when prompts change, makes their keys and values for all branches together.
 * It gathers only those bytes K of a block that make keys and values of the context, (P_u P_r - 1) |share
 * and K| bytes per block, and sums of squares of S rows, 8 (P_t - 1) S per block and prompt. The image
 * likewise.
 *
 * Not collective; all functions are pure. The runtime counts bytes where it sends them; a test checks that
 * both counts are equal. */
#ifndef REEL_TRAFFIC_H
#define REEL_TRAFFIC_H

#include "plan.h"

enum reel_traffic_class {
    REEL_TRAFFIC_HEADS,
    REEL_TRAFFIC_TOKENS,
    REEL_TRAFFIC_KEYS,
    REEL_TRAFFIC_COLUMNS,
    REEL_TRAFFIC_PARTIALS,
    REEL_TRAFFIC_NORMS,
    REEL_TRAFFIC_WEIGHTS,
    REEL_TRAFFIC_DISTANCES,
    REEL_TRAFFIC_OUTPUT,
    REEL_TRAFFIC_VELOCITY,
    REEL_TRAFFIC_CLASSES
};

/* The name of a traffic class in the log. */
const char *reel_traffic_class_name(enum reel_traffic_class traffic_class);

/* What is the same for every network. `tokens` is the cut of all tokens (reel_plan_tokens).
 *
 * columns: one exchange before column parallel layers of the same input, b (P_t - 1) n D
 * partials: one exchange after a row parallel layer, b (g - n) D
 * gathered: one pass over all blocks of a network that needs these bytes of each; 0 with resident weights */
int64_t reel_columns_bytes(const struct reel_plan *plan, int64_t rank, const struct reel_cut *tokens);
int64_t reel_partials_bytes(const struct reel_plan *plan, int64_t rank, const struct reel_cut *tokens);
int64_t reel_gathered_bytes(const struct reel_plan *plan, const struct reel_network *network, int64_t rank,
                            const struct reel_layout *layout, struct reel_range needed);

/* The iteration whose bytes are counted. */
struct reel_iteration {
    int64_t frames;   /* latent frames that enter it */
    int64_t computed; /* 1: the blocks are computed; 0: every branch skips them */
};

/* Adds the bytes that a rank sends in one iteration. */
void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, struct reel_iteration iteration,
                            int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* Adds the bytes that a rank sends to make keys and values: of `prompts` prompts in one pass over the
 * blocks, and of the image. */
void reel_traffic_prompts(const struct reel_plan *plan, int64_t rank, int64_t prompts,
                          int64_t bytes[REEL_TRAFFIC_CLASSES]);
void reel_traffic_image(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_TRAFFIC_CLASSES]);

#endif
