/* What a rank holds of every tensor, and where it lies.
 *
 * The tensor axis cuts the rows of q, k, v and ffn-in and the columns of o and ffn-out (Megatron-LM, Shoeybi et al.
 * 2019): a part holds whole heads and a range of the feed-forward's inner width. What acts on tokens of full width is
 * held whole by every part. What a part holds of a block lies in one piece, so that it can be cut again over the
 * sequence axes and gathered when it is used.
 *
 *     struct reel_slice q = reel_slice_of(&model, 8, 3, REEL_SELF_Q_WEIGHT);    rows 1920 .. 2559 of 5120, at 14B
 *     struct reel_layout layout = reel_layout_of(&model, 8, 3, REEL_HELD_ALWAYS, (struct reel_widths){2, 1});
 *
 * Slices are counted in elements, layouts in bytes. Not collective; all functions are pure. */
#ifndef REEL_SLICE_H
#define REEL_SLICE_H

#include "cut.h"
#include "model.h"

/* A rectangle of a tensor. Tensors of one dimension are a column; those of more than two are [first, all others]. */
struct reel_slice {
    int64_t rows, columns; /* of the whole */
    int64_t first_row, row_count;
    int64_t first_column, column_count;
};

/* The slice of a tensor that exists, on one of the parts of the tensor axis. */
struct reel_slice reel_slice_of(const struct reel_model *model, int64_t parts, int64_t part,
                                enum reel_tensor tensor);

/* The feed-forward's inner width over the parts of the tensor axis: in units of columns by which matrix units load, where
 * those divide it. */
enum { REEL_FFN_UNIT = 16 };
int64_t reel_ffn_units(const struct reel_model *model);
struct reel_cut reel_ffn_cut(const struct reel_model *model, int64_t parts);

/* Its elements. */
int64_t reel_slice_elements(const struct reel_slice *slice);

/* What is held all the time, and what makes the table of timestep rows and is freed when that is done. */
enum reel_holding { REEL_HELD_ALWAYS, REEL_HELD_FOR_EMBEDDING };

enum { REEL_LAYOUT_UNIT = 64 }; /* bytes; every tensor starts on a multiple */

/* Bytes of an element: of the weights of a block's linear layers, and of everything else. */
struct reel_widths {
    int64_t others, matrices;
};

/* Where slices lie, in bytes: those of tensors that exist once follow each other, then those of block 0, of block 1, ... */
struct reel_layout {
    int64_t offset[REEL_TENSORS]; /* from the first of the global tensors, or of the block; -1: not held */
    struct reel_widths widths;
    int64_t global_bytes; /* multiples of the unit */
    int64_t block_bytes;
};

struct reel_layout reel_layout_of(const struct reel_model *model, int64_t parts, int64_t part,
                                  enum reel_holding holding, struct reel_widths widths);

/* Whether a tensor is the weight of one of a block's linear layers. */
int reel_tensor_is_matrix(enum reel_tensor tensor);

/* Bytes of an element of a tensor. */
int64_t reel_layout_width(const struct reel_layout *layout, enum reel_tensor tensor);

/* A block's slice cut over the ranks that gather it, in bytes, on multiples of the unit. */
struct reel_cut reel_layout_shares(const struct reel_layout *layout, int64_t ranks);

#endif
