/* The load units of a checkpoint, which are read one at a time, and which part of a unit a rank holds.
 *
 * A load unit is a range of whole rows of one matrix, or several small tensors together: norms and biases
 * are 600 of 1095 tensors and a thousandth of the bytes. All ranks that call with the same arguments get
 * the same list. So ranks that read different units know which part of each unit belongs to which rank,
 * without communication.
 *
 *     REEL_PASS(reel_load_units_make(&network, REEL_PHASE_SAMPLING, 8, &units));
 *     struct reel_rank_weights rank_5 = reel_rank_weights_of(&plan, &network, 5, REEL_PHASE_SAMPLING);
 *     for (int64_t r = units.first[7]; r < units.first[8]; r++)
 *         struct reel_portion portion = reel_portion_of(&network, &rank_5, &units.rows[r]);
 *
 * Positions in files count elements; positions in a rank's memory count bytes. Not collective. */
#ifndef REEL_LOAD_UNITS_H
#define REEL_LOAD_UNITS_H

#include "plan.h"
#include "slice.h"
#include "status.h"

/* The maximal elements (not bytes) of a load unit; a single row that is longer is still one unit. */
enum { REEL_LOAD_UNIT_ELEMENTS_MAX = 4 << 20 };

/* Whole rows of one tensor. A tensor of more than two dimensions counts as [first dimension, product of
 * the others]. */
struct reel_tensor_rows {
    int tensor;    /* index in the network */
    int64_t layer; /* 0 for tensors outside the blocks */
    int64_t first, count, columns;
    int64_t at; /* element of the load unit at which the rows start */
};

struct reel_load_units {
    struct reel_tensor_rows *rows;
    int64_t *first; /* [count + 1]: unit p is rows[first[p]] .. rows[first[p + 1] - 1] */
    int64_t count, rows_count;
    int64_t largest; /* elements of the largest unit */
};

/* Lists every tensor that is held in the phase exactly once, in load units for `readers` ranks that read.
 * Small networks get smaller units, so that each reader gets several. reel_load_units_free frees the list.
 * REEL_NO_MEMORY. */
enum reel_status reel_load_units_make(const struct reel_network *network, int phase, int64_t readers,
                                      struct reel_load_units *units);

/* Frees the list. A list of zeros is allowed. */
void reel_load_units_free(struct reel_load_units *units);

/* Which weights a rank holds in a phase: the tensors outside the blocks, then the held bytes of its slice of
 * each block. */
struct reel_rank_weights {
    int64_t parts, part; /* of the tensor axis */
    struct reel_layout layout;
    struct reel_range held; /* bytes of a block's slice */
};

struct reel_rank_weights reel_rank_weights_of(const struct reel_plan *plan,
                                              const struct reel_network *network, int64_t rank, int phase);

/* All bytes that the rank holds, including those that only align the next tensor. */
int64_t reel_rank_weights_bytes(const struct reel_rank_weights *rank_weights,
                                const struct reel_network *network);

/* The part of some rows that a rank holds. It lies in a rectangle of the rows, numbered in row-major
 * order: the rank holds count elements of it, after the first skip. They are contiguous in the rank's
 * memory. */
struct reel_portion {
    /* The first element of the rectangle, counted in the rows. */
    int64_t from;
    /* Columns of the rectangle, and elements of it before the first that the rank holds. */
    int64_t width, skip;
    int64_t count;
    /* Byte of the rank's memory at which they start, and bytes of an element there. */
    int64_t to, bytes;
};

struct reel_portion reel_portion_of(const struct reel_network *network,
                                    const struct reel_rank_weights *rank_weights,
                                    const struct reel_tensor_rows *rows);

#endif
