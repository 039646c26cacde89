/* How much a rank computes, and about how long an iteration takes.
 *
 * FLOPs are counted, two for a product and its sum. Of a rank, in the letters of traffic.h, with f
 * its part of the feed-forward's inner width, S text rows and I image rows, one forward of one branch has
 *
 *     gemm       2 n D (4 in_channels + 4 out_channels)  once, and per block
 *                8 g D d  self q k v o,  4 g D d  cross q o,  4 g D f  feed-forward
 *     attention  per block: 4 h C for every query of the segment and key that it sees,
 *                4 g (S + I) d  cross attention
 *
 * A query sees all L keys, or with causal blocks those before the end of its own block. Beside the
 * iterations a rank computes, once a prompt, 2 S (text_width + D) D for the text and 4 S D d a block for
 * its keys and values, likewise for an image; and once a job 2 (frequencies + 7 D) D a distinct timestep.
 *
 *     14B, one rank, one forward of 32,760 tokens: 1676.2 TFLOP, and 2.2 for the prompt
 *
 * Seconds follow from the rates of a device. Arithmetic, and the passes over tokens between GEMMs and
 * attention, add up. Keys on their way are hidden behind attention, columns and partial sums behind GEMMs,
 * gathered weights behind a whole pass through the blocks: of each pair the longer counts. Heads, tokens,
 * norms, output and velocity are waited for. Bytes are split by the share of an axis' peers that are on
 * the same host, which is that of the rank that has the fewest. Nothing is said for latency, contention or
 * the sampler. All is of the slowest rank: rank 0 has the most tokens and heads, with causal blocks the
 * last of the ring sees the most keys, and an iteration waits for both.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_ESTIMATE_H
#define REEL_ESTIMATE_H

#include "device_rates.h"
#include "plan.h"

struct reel_flops {
    double gemm, attention; /* whole numbers; exact below 2^53 */
};

/* What a rank computes in one iteration over frames latent frames, all its branches. */
struct reel_flops reel_flops_iteration(const struct reel_plan *plan, int64_t rank, int64_t frames);

/* What it computes to make keys and values of one prompt, and of the image; and for the table of
 * timesteps. */
struct reel_flops reel_flops_prompt(const struct reel_plan *plan, int64_t rank);
struct reel_flops reel_flops_image(const struct reel_plan *plan, int64_t rank);
struct reel_flops reel_flops_embedding(const struct reel_plan *plan);

/* Seconds of an iteration, which is the sum of the others. */
struct reel_estimate {
    double seconds;
    double gemm, attention; /* arithmetic */
    double passes;          /* reading and writing tokens */
    double waiting;         /* for what other ranks send */
};

struct reel_estimate reel_estimate_iteration(const struct reel_plan *plan, const struct reel_machine *machine,
                                             int64_t frames);

/* Seconds of an iteration whose blocks TeaCache skips: patch embedding, residual, head. */
double reel_estimate_skipped(const struct reel_plan *plan, const struct reel_machine *machine,
                             int64_t frames);

#endif
