/* The slice of every tensor that a rank holds, and its position in memory.
 *
 * The network says for each tensor whether the tensor axis cuts its rows or its columns, and into how many
 * whole units they may be cut (network.h). Every part holds the other tensors whole. A part's slices of one
 * block are contiguous, so that the block can be cut again over the sequence axes, and gathered when it is
 * used.
 *
 *     struct reel_slice q =
 *         reel_slice_of(&network, 8, 3, REEL_SELF_Q_WEIGHT);                 14B: rows 1920 .. 2559 of 5120
 *     struct reel_layout layout =
 *         reel_layout_of(&network, 8, 3, REEL_PHASE_SAMPLING, (struct reel_dtypes){REEL_BF16, REEL_F8_E4M3});
 *
 * Slices count elements, layouts count bytes. Not collective; all functions are pure. */
#ifndef REEL_SLICE_H
#define REEL_SLICE_H

#include "cut.h"
#include "dtype.h"
#include "network.h"

/* A rectangle of a tensor. A tensor of one dimension counts as a column; a tensor of more than two counts
 * as [first dimension, product of the others]. */
struct reel_slice {
    int64_t rows, columns; /* of the whole tensor */
    int64_t first_row, row_count;
    int64_t first_column, column_count;
};

/* The slice of a tensor on one of the parts of the tensor axis. The network must have the tensor. */
struct reel_slice reel_slice_of(const struct reel_network *network, int64_t parts, int64_t part, int tensor);

/* The number of elements of a slice. */
int64_t reel_slice_elements(const struct reel_slice *slice);

enum { REEL_LAYOUT_UNIT = 64 }; /* bytes; every tensor starts on a multiple */

/* The dtypes of weights in memory: `matrix` for the weights of a block's linear layers, `other` for
 * everything else that is not always float. */
struct reel_dtypes {
    enum reel_dtype other, matrix;
};

/* The positions of the slices that are held in one phase, in bytes: first the tensors outside the blocks,
 * then those of block 0, of block 1, ... */
struct reel_layout {
    /* From the start of the tensors outside the blocks, or of the tensor's block; -1: not held. */
    int64_t offset[REEL_TENSORS_MAX];
    struct reel_dtypes dtypes;
    int64_t global_bytes; /* a multiple of REEL_LAYOUT_UNIT, as block_bytes */
    int64_t block_bytes;
    /* The bytes of a block from the first to the last tensor that makes keys and values of a context. */
    struct reel_range context[REEL_CONTEXTS];
};

struct reel_layout reel_layout_of(const struct reel_network *network, int64_t parts, int64_t part, int phase,
                                  struct reel_dtypes dtypes);

/* The dtype of a tensor in memory, and the bytes of an element. */
enum reel_dtype reel_layout_dtype(const struct reel_layout *layout, const struct reel_network *network,
                                  int tensor);
int64_t reel_layout_width(const struct reel_layout *layout, const struct reel_network *network, int tensor);

/* Whether all tensors that are held are float. */
int reel_layout_is_float(const struct reel_layout *layout, const struct reel_network *network);

/* Cuts a block's slice over the ranks that gather it: in bytes, on multiples of REEL_LAYOUT_UNIT. */
struct reel_cut reel_layout_shares(const struct reel_layout *layout, int64_t ranks);

#endif
