/* The weights of the current block, resident or gathered.
 *
 * A pass goes through the blocks in order, and says which bytes of each block it needs. With gathered weights
 * every rank of the axis keeps a share of each block. While one block is in use, the shares of the next block
 * are gathered into the other of two buffers.
 *
 *     reel_block_weights_begin(&blocks, all_bytes);       starts gathering block 0
 *     for each layer
 *         reel_block_weights_use(&blocks, layer);         waits for this block, starts gathering the next
 *         ... reel_block_weight(&blocks, REEL_SELF_Q_WEIGHT) ... */
#ifndef REEL_BLOCK_WEIGHTS_H
#define REEL_BLOCK_WEIGHTS_H

#include "comm.h"
#include "async_transfer.h"
#include "weights.h"

struct reel_block_weights {
    const struct reel_weights *weights;
    struct reel_axis *axis; /* the ranks that gather together */
    struct reel_stream *stream;
    struct reel_async_transfer transfer;
    struct reel_cut shares; /* a block's bytes, cut over the axis */
    int64_t layers;
    int gathered;
    char *buffer[2];
    struct reel_range needed; /* bytes of a block that this pass uses */
    int64_t coming;           /* the layer that is being gathered */
    const char *now;          /* the block in use: its weights, and its layer */
    int64_t now_layer;
};

/* Not collective. buffers has room for two blocks when the plan gathers; else it is NULL. All arguments must
 * outlive *blocks. A failure goes to the stream. */
void reel_block_weights_open(struct reel_block_weights *blocks, const struct reel_plan *plan,
                             const struct reel_weights *weights, void *buffers, struct reel_axis *axis,
                             struct reel_stream *stream);
void reel_block_weights_close(struct reel_block_weights *blocks);

/* Collective over the axis. Begins a pass over all blocks; `needed` is the range of bytes of each block that
 * it uses. */
void reel_block_weights_begin(struct reel_block_weights *blocks, struct reel_range needed);

/* Collective over the axis. Makes `layer` the current block; a pass calls it with 0, 1, 2, ... A failure goes
 * to the stream. */
void reel_block_weights_use(struct reel_block_weights *blocks, int64_t layer);

/* Collective over the axis. Ends a pass before its last block: waits for the block that is being gathered,
 * which is not used. */
void reel_block_weights_leave(struct reel_block_weights *blocks);

/* Not collective. A tensor of the current block: this rank's slice, row-major; NULL when the network does
 * not have it. */
const void *reel_block_weight(const struct reel_block_weights *blocks, int tensor);

/* Not collective. The bias of a weight of the current block; NULL when it has none. */
const void *reel_block_bias(const struct reel_block_weights *blocks, int tensor);

/* Not collective. The scale of a linear layer's weight in the current block when its dtype is fp8; else 1. */
double reel_block_scale(const struct reel_block_weights *blocks, int tensor);

#endif
