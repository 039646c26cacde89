/* Seeded random weights: a model of any size without its files.
 *
 * Philox4x32-10 numbers, keyed by a tensor's native name and counted by element, so that any slice of any
 * tensor can be made anywhere and is the slice of the whole: 72 ranks make their shards of the 14B model
 * without a file and without a message. The values are bfloat16 numbers, so that fp32 and bf16 hold the same
 * weights, and of a size that keeps a network of 40 layers at order 1:
 *
 *     linear weights   std 1/sqrt(inputs)         biases, image positions   std 0.02
 *     norm weights     1 + std 0.05               modulation                std 0.2
 *     fps rows         std 1
 *
 * Not collective; all functions are pure. */
#ifndef REEL_SYNTHETIC_H
#define REEL_SYNTHETIC_H

#include "model.h"

/* Not collective. The four random words of Philox4x32-10 for a counter and a key. No errors. */
void reel_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

/* Not collective. Writes count elements of a tensor that the model has, from element first (row-major) on,
 * to out [count]; layer counts for block tensors only. No errors. */
void reel_synthetic_fill(const struct reel_model *model, enum reel_tensor tensor, int64_t layer,
                         int64_t first, int64_t count, float *out);

#endif
