/* What ranks send to each other, from counts alone: the communication model.
 *
 * Of a rank: n tokens of its own, g of its tensor axis together, l of its segment of the ring; d columns (whole heads) of
 * its part of the tensor axis, h heads of its own; of all: L tokens, D = N C columns, P_t, P_u, P_r ways of tensor, ulysses
 * and ring; b bytes a number (4 in fp32, 2 in bf16). One forward of one branch sends, from one rank to others:
 *
 *     heads     per block, q, k and v before attention: its tokens of the others' heads     3 b g (d - h C)
 *     tokens    per block, after it: the others' tokens of its heads                          b (l - g) h C
 *     keys      per block: its keys and values to every other part of the ring that
 *               may see them, v of them; without causal blocks v = l                          2 b h C sum of v
 *     columns   per block, before q k v, cross q, ffn-in: its tokens to its tensor axis      3 b (P_t - 1) n D
 *     partials  per block, after o, cross o, ffn-out: sums for the others' tokens             3 b (g - n) D
 *     norms     per block, q, k, cross q: sums of squares of its tensor axis' tokens          3 * 8 (P_t - 1) g
 *     output    once: its tokens of the head's output to all others                   4 (P_t P_u P_r - 1) n 4 out_channels
 *
 * and with gathered weights one pass through the blocks, of all branches that the rank computes, sends
 *
 *     weights   per block: its share s of the block's slice to the others                     b (P_u P_r - 1) s
 *
 * With even cuts, a rank, layers times, in numbers: ulysses 4 L D / P (P - 1) / P; ring 2 L D / P (P - 1); tensor
 * 6 L D (P - 1) / P; gathered W (P - 1) / P for W weights. So tensor and gathered send what does not shrink with the ranks,
 * ring what hardly does, ulysses what does. At 14B, L = 32,760, 8 ranks, bf16, one forward: ulysses 5.9 GB a rank,
 * gathered 24.6 GB more, ring 23.5 GB, tensor 70.4 GB.
 *
 * A call that TeaCache skips sends its output alone. One iteration has one call per branch that the rank computes and, with
 * cfg 2,
 *
 *     velocity  its branch's velocity to its partner                                  4 out_channels * frames * 4 H W
 *
 * With the expanded embedding and TeaCache an iteration gathers two doubles of every token:
 *
 *     distances                                                                       16 (P_t P_u P_r - 1) n
 *
 * A pass over the prompts (once per prompt, for all branches together) gathers only what makes keys and values of the
 * context, K of the block's elements, and sums squares of S rows: weights b (P_u P_r - 1) |share and K|, norms
 * 8 (P_t - 1) S per prompt; likewise the image.
 *
 * Not collective; all functions are pure. The runtime counts at the point where it sends; a test holds the two equal. */
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

/* The name of a purpose in the log. */
const char *reel_traffic_class_name(enum reel_traffic_class traffic_class);

/* What an iteration is, to those who count. */
struct reel_iteration {
    int64_t frames;   /* latent frames that enter it */
    int64_t computed; /* 1; 0: every branch skips the blocks */
};

/* Adds the bytes that a rank sends in one iteration. */
void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, struct reel_iteration iteration,
                            int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* Adds what it sends to make keys and values of that many prompts in one pass over the blocks; and of the image. */
void reel_traffic_prompts(const struct reel_plan *plan, int64_t rank, int64_t prompts,
                          int64_t bytes[REEL_TRAFFIC_CLASSES]);
void reel_traffic_image(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* The elements of a block that make keys and values of a context: of the prompts, or of the image. */
struct reel_range reel_context_bytes(const struct reel_layout *layout, int image);

#endif
