/* The slice of every tensor that a rank holds, and its position in memory.
 *
 * The tensor axis cuts the rows of q, k, v and ffn-in and the columns of o and ffn-out (Megatron-LM,
 * Shoeybi et al. 2019): each part holds whole heads and a range of the feed-forward's inner width. Every
 * part holds the other tensors whole; they act on tokens of full width. A part's slices of one block are
 * contiguous, so that the block can be cut again over the sequence axes, and gathered when it is used.
 *
 *     struct reel_slice q = reel_slice_of(&model, 8, 3, REEL_SELF_Q_WEIGHT);  14B: rows 1920 .. 2559 of 5120
 *     struct reel_layout layout = reel_layout_of(&model, 8, 3, REEL_HELD_ALWAYS, (struct reel_widths){2, 1});
 *
 * Slices count elements, layouts count bytes. Not collective; all functions are pure. */
#ifndef REEL_SLICE_H
#define REEL_SLICE_H

#include "cut.h"
#include "model.h"

/* A rectangle of a tensor. A tensor of one dimension counts as a column; a tensor of more than two counts
 * as [first dimension, product of the others]. */
struct reel_slice {
    int64_t rows, columns; /* of the whole tensor */
    int64_t first_row, row_count;
    int64_t first_column, column_count;
};

/* The slice of a tensor on one of the parts of the tensor axis. The tensor must exist in the model. */
struct reel_slice reel_slice_of(const struct reel_model *model, int64_t parts, int64_t part,
                                enum reel_tensor tensor);

/* The feed-forward's inner width, cut over the parts of the tensor axis. The unit of the cut is
 * REEL_FFN_UNIT columns, which matrix units load at once; if it does not divide the width, the unit is one
 * column. reel_ffn_units is the number of units. */
enum { REEL_FFN_UNIT = 16 };
int64_t reel_ffn_units(const struct reel_model *model);
struct reel_cut reel_ffn_cut(const struct reel_model *model, int64_t parts);

/* The number of elements of a slice. */
int64_t reel_slice_elements(const struct reel_slice *slice);

/* Weights that are held for the whole run, and weights that make the table of timestep rows and are then
 * freed. */
enum reel_holding { REEL_HELD_ALWAYS, REEL_HELD_FOR_EMBEDDING };

enum { REEL_LAYOUT_UNIT = 64 }; /* bytes; every tensor starts on a multiple */

/* Bytes of an element: `matrices` for the weights of a block's linear layers, `others` for everything
 * else. */
struct reel_widths {
    int64_t others, matrices;
};

/* The positions of slices, in bytes: first the tensors outside the blocks, then those of block 0, of block
 * 1, ... */
struct reel_layout {
    /* From the start of the tensors outside the blocks, or of the tensor's block; -1: not held. */
    int64_t offset[REEL_TENSORS];
    struct reel_widths widths;
    int64_t global_bytes; /* a multiple of REEL_LAYOUT_UNIT, as block_bytes */
    int64_t block_bytes;
};

struct reel_layout reel_layout_of(const struct reel_model *model, int64_t parts, int64_t part,
                                  enum reel_holding holding, struct reel_widths widths);

/* Whether a tensor is the weight of one of a block's linear layers. */
int reel_tensor_is_matrix(enum reel_tensor tensor);

/* Bytes of an element of a tensor. */
int64_t reel_layout_width(const struct reel_layout *layout, enum reel_tensor tensor);

/* Cuts a block's slice over the ranks that gather it: in bytes, on multiples of REEL_LAYOUT_UNIT. */
struct reel_cut reel_layout_shares(const struct reel_layout *layout, int64_t ranks);

#endif
