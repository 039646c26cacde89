/* The weights of a whole model as float32 in host memory.
 *
 * The caller owns the memory; a view of it is handed out. Every tensor starts on a multiple of 64 bytes, and
 * blocks follow each other at a constant distance.
 *
 *     int64_t bytes = reel_weights_bytes(&files.model);                         5.74e9 for the 1.3B model
 *     REEL_PASS(reel_weights_load(&files, memory, bytes, &weights, NULL, NULL));
 *     const float *q = reel_weight(&weights, REEL_SELF_Q_WEIGHT, 7);            [1536, 1536] */
#ifndef REEL_WEIGHTS_H
#define REEL_WEIGHTS_H

#include "model_file.h"

struct reel_weights {
    const float *base;
    int64_t offset[REEL_TENSORS]; /* in floats from base, for block tensors in layer 0; -1: no such tensor */
    int64_t block_stride;         /* floats from one block to the next */
};

/* Not collective. The bytes that the weights of model need. No errors. */
int64_t reel_weights_bytes(const struct reel_model *model);

/* Not collective. Reads all weights into memory [bytes], aligned to 64 and at least reel_weights_bytes long,
 * which stays the caller's; weights is a view of it. progress, unless NULL, is called after every few MiB.
 * Errors of reel_model_read; REEL_INTERNAL when memory does not fit. */
enum reel_status reel_weights_load(const struct reel_model_files *files, void *memory, int64_t bytes,
                                   struct reel_weights *weights,
                                   void (*progress)(void *context, int64_t done_bytes, int64_t all_bytes),
                                   void *context);

/* Not collective. The tensor, row-major; NULL when the model does not have it. layer counts for block tensors
 * only. */
const float *reel_weight(const struct reel_weights *weights, enum reel_tensor tensor, int64_t layer);

#endif
