/* What ranks send to each other, from counts alone.
 *
 * n_p tokens and h_p heads of part p on the ulysses axis of P ranks, L = sum of n_p, C channels of a head, D = N C; four
 * bytes a number. One forward of one branch sends, from part p to the others:
 *
 *     heads    per block, for q, k and v each: its tokens of everybody else's heads,      n_p (N - h_p) C
 *     tokens   per block: everybody else's tokens of its heads,                         (L - n_p) h_p C
 *     output   once: its tokens of the head's output to all others,                 (P - 1) n_p 4 out_channels
 *
 * With even cuts that is layers * 4 L D / P * (P - 1) / P numbers a rank: at 14B, L = 32,760 and 8 ranks 11.7 GB (5.9 GB
 * in bf16). One iteration has one forward per branch that the rank computes and, with cfg 2,
 *
 *     velocity its branch's velocity to its partner,                  out_channels * frames * 4 H W
 *
 * Not collective; all functions are pure. The runtime counts at the point where it sends; a test holds the two equal. */
#ifndef REEL_TRAFFIC_H
#define REEL_TRAFFIC_H

#include "plan.h"

/* Adds the bytes that a rank sends in one iteration over frames latent frames. */
void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, int64_t frames,
                            int64_t bytes[REEL_PURPOSES]);

#endif
