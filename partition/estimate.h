/* How much a rank computes, and about how long an iteration takes.
 *
 * FLOPs are counted: a multiplication and its addition are two. The letters are those of traffic.h; in
 * addition, f is the rank's part of the feed-forward's inner width, S the number of text rows and I of
 * image rows. One forward of one branch has, on one rank,
 *
 *     gemm       2 n D A (in_channels + out_channels)  once, and per block
 *                8 g D d  self q k v o,  4 g D d  cross q o,  4 g D f  feed-forward
 *     attention  per block: 4 h C for every query of the segment and key that it sees,
 *                4 g (S + I) d  cross attention
 *
 * A query sees all L keys, or with causal blocks the keys before the end of its own block. In addition to
 * the iterations, a rank computes
 *
 *     per prompt                2 S (text_width + D) D, and per block 4 S D d for its keys and values
 *     per image                 2 I (image_width + D) image_width, and per block 4 I D d
 *     per distinct timestep     2 (frequencies + 7 D) D
 *
 *     14B, one rank, one forward of 32,760 tokens: 1676.2 TFLOP, and 2.2 for the prompt
 *
 * Seconds follow from the rates of a device. Arithmetic and the passes over tokens between GEMMs and
 * attention add up. Some transfers overlap with computation: the ring's keys and values with attention,
 * columns and partial sums with GEMMs, gathered weights with the whole pass through the blocks. Of each
 * such pair, only the longer counts. Heads, tokens, norms, output and velocity do not overlap. Bytes go to
 * peers on the same host or on other hosts; the split is that of the rank with the fewest peers on its own
 * host. Latency, contention and the sampler are not modeled.
 *
 * All numbers are those of the slowest rank, for which the iteration waits. Rank 0 has the most tokens and
 * heads; with causal blocks, the last rank of the ring sees the most keys.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_ESTIMATE_H
#define REEL_ESTIMATE_H

#include "device_rates.h"
#include "plan.h"

struct reel_flops {
    double gemm, attention; /* integers; exact below 2^53 */
};

/* The FLOPs of one rank in one iteration over `frames` latent frames, for all its branches. */
struct reel_flops reel_flops_iteration(const struct reel_plan *plan, int64_t rank, int64_t frames);

/* The FLOPs of one rank for the keys and values of one prompt, for those of the image, and for the table
 * of timesteps. */
struct reel_flops reel_flops_prompt(const struct reel_plan *plan, int64_t rank);
struct reel_flops reel_flops_image(const struct reel_plan *plan, int64_t rank);
struct reel_flops reel_flops_embedding(const struct reel_plan *plan);

/* Seconds of an iteration: the sum of the other members. */
struct reel_estimate {
    double seconds;
    double gemm, attention; /* arithmetic */
    double passes;          /* reading and writing tokens */
    double waiting;         /* for data from other ranks */
};

struct reel_estimate reel_estimate_iteration(const struct reel_plan *plan, const struct reel_machine *machine,
                                             int64_t frames);

/* Seconds of an iteration in which TeaCache skips the blocks: patch embedding, residual and head. */
double reel_estimate_skipped(const struct reel_plan *plan, const struct reel_machine *machine,
                             int64_t frames);

#endif
