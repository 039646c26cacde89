/* A checkpoint in pieces that are read one at a time, and what of a piece a rank holds.
 *
 * A piece is a range of whole rows of one matrix, or several small tensors together: norms and biases are 600 of 1095
 * tensors and a thousandth of the bytes. The list is the same on every rank that asks for it alike, so that ranks which
 * read different pieces can say whose part of them is whose without a word.
 *
 *     REEL_PASS(reel_load_units_make(&model, REEL_HELD_ALWAYS, 8, &pieces));        4,899 pieces of at most 12 MiB, at 14B
 *     struct reel_rank_weights holder = reel_rank_weights_of(&plan, 5, REEL_HELD_ALWAYS);
 *     for (int64_t r = pieces.first[7]; r < pieces.first[8]; r++)
 *         struct reel_portion portion = reel_portion_of(&model, &holder, &pieces.rows[r]);
 *
 * Files are counted in elements, what is held in bytes. Not collective. */
#ifndef REEL_LOAD_UNITS_H
#define REEL_LOAD_UNITS_H

#include "plan.h"
#include "slice.h"
#include "status.h"

enum { REEL_LOAD_UNIT_BYTES_MAX = 4 << 20 }; /* elements, but for a row that is longer */

/* Whole rows of one tensor; those of more than two dimensions are [first, all others]. */
struct reel_tensor_rows {
    enum reel_tensor tensor;
    int64_t layer; /* 0 for tensors that exist once */
    int64_t first, count, columns;
    int64_t at; /* in the piece */
};

struct reel_load_units {
    struct reel_tensor_rows *rows;
    int64_t *first; /* [count + 1]: piece p is rows[first[p]] .. rows[first[p + 1] - 1] */
    int64_t count, rows_count;
    int64_t largest; /* elements of a piece */
};

/* Every tensor of the holding exactly once, for that many readers: small models have smaller pieces, so that each reader
 * gets several. reel_load_units_free frees them. REEL_NO_MEMORY. */
enum reel_status reel_load_units_make(const struct reel_model *model, enum reel_holding holding,
                                      int64_t readers, struct reel_load_units *units);

/* A list of zeros is allowed. */
void reel_load_units_free(struct reel_load_units *units);

/* What a rank holds: the tensors that exist once, then of each block the held bytes of its slice. Tensors for the
 * embedding are whole on every rank. */
struct reel_rank_weights {
    int64_t parts, part; /* of the tensor axis */
    struct reel_layout layout;
    struct reel_range held; /* of a block's slice, in bytes */
};

struct reel_rank_weights reel_rank_weights_of(const struct reel_plan *plan, int64_t rank,
                                              enum reel_holding holding);

/* All bytes that it holds, those that only align the next tensor included. */
int64_t reel_rank_weights_bytes(const struct reel_rank_weights *rank_weights, const struct reel_model *model);

/* What a holder has of some rows: a rectangle of them, of which count elements, in row-major order and after the first
 * skip, lie one after the other in its memory. */
struct reel_portion {
    int64_t from;        /* the rectangle's first element, counted in the rows */
    int64_t width, skip; /* columns of the rectangle; elements of it that come before */
    int64_t count;
    int64_t to, bytes; /* where in the holder's memory, and of an element there */
};

struct reel_portion reel_portion_of(const struct reel_model *model,
                                    const struct reel_rank_weights *rank_weights,
                                    const struct reel_tensor_rows *rows);

#endif
