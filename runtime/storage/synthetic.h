/* Seeded random weights: a model of any size without its files.
 *
 * The values come from Philox4x32-10, with a hash of the tensor's native name as key and the element's index
 * as counter. So every rank can make any slice of any tensor, with the values of the whole tensor: 72 ranks
 * make their shards of the 14B model without a file and without a message. The values are exact in bfloat16,
 * so that fp32 and bf16 hold the same weights. The network says how each tensor is distributed (enum
 * reel_random); the standard deviations keep the activations of a network of 40 layers at order 1:
 *
 *     linear weights   std 1/sqrt(inputs)         biases, image positions   std 0.02
 *     norm weights     1 + std 0.05               modulation                std 0.2
 *     fps rows         std 1
 *
 * Not collective; all functions are pure. */
#ifndef REEL_SYNTHETIC_H
#define REEL_SYNTHETIC_H

#include "network.h"

/* Not collective. The four random words of Philox4x32-10 for a counter and a key. No errors. */
void reel_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

/* Not collective. Writes the elements [first, first + count), in row-major order, of a tensor that the
 * network has to out [count]. layer is used for tensors of blocks only. No errors. */
void reel_synthetic_fill(const struct reel_network *network, int tensor, int64_t layer, int64_t first,
                         int64_t count, float *out);

#endif
