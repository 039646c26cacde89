/* The weights of the block at hand, resident or gathered one block ahead of use.
 *
 * A pass goes through the blocks in order and says what of a block it needs. With gathered weights every rank of the
 * axis keeps a share of each block; while one block is in use, the shares of the next come together in the other of two
 * buffers.
 *
 *     reel_block_weights_begin(&blocks, all_bytes);               the first block is on its way
 *     for each layer
 *         reel_block_weights_use(&blocks, layer);                 it is here; the next is on its way
 *         ... reel_block_weight(&blocks, REEL_SELF_Q_WEIGHT) ... */
#ifndef REEL_BLOCK_WEIGHTS_H
#define REEL_BLOCK_WEIGHTS_H

#include "comm.h"
#include "async_transfer.h"
#include "weights.h"

struct reel_block_weights {
    const struct reel_weights *weights;
    struct reel_axis *axis; /* those that gather together */
    struct reel_stream *stream;
    struct reel_async_transfer transfer;
    struct reel_cut shares; /* of a block's bytes */
    int64_t layers;
    int gathered;
    char *buffer[2];
    struct reel_range needed; /* bytes of a block that this pass uses */
    int64_t coming;           /* the layer that is on its way */
    const char *now;          /* the block in use, and which it is */
    int64_t now_layer;
};

/* Not collective. buffers holds two blocks where the plan gathers, else NULL. What it is given must outlive it. */
void reel_block_weights_open(struct reel_block_weights *blocks, const struct reel_plan *plan,
                             const struct reel_weights *weights, void *buffers, struct reel_axis *axis,
                             struct reel_stream *stream);
void reel_block_weights_close(struct reel_block_weights *blocks);

/* Collective over the axis. Begins a pass over all blocks that uses those bytes of each. */
void reel_block_weights_begin(struct reel_block_weights *blocks, struct reel_range needed);

/* Collective over the axis. Makes block `layer` the one at hand; layers follow each other from 0. */
void reel_block_weights_use(struct reel_block_weights *blocks, int64_t layer);

/* Collective over the axis. Ends a pass before its last block: what is on its way arrives and is not used. */
void reel_block_weights_leave(struct reel_block_weights *blocks);

/* Not collective. A tensor of the block at hand: this rank's slice, row-major; NULL when the model does not have it. */
const void *reel_block_weight(const struct reel_block_weights *blocks, enum reel_tensor tensor);

/* Not collective. What the weight of a linear layer of the block at hand is multiplied by, where it is held as fp8;
 * else 1. */
double reel_block_scale(const struct reel_block_weights *blocks, enum reel_tensor tensor);

#endif
