/* Who owns what along one dimension: a table of first indices.
 *
 * Part p of a cut owns [first[p], first[p + 1]). Parts may be uneven or empty; nothing is padded. Tokens,
 * heads, columns and rows are all divided by this one type.
 *
 *     struct reel_cut tokens = reel_cut_even(3510, 4);   first = 0 878 1756 2633 3510
 *
 * A cut is a value: no pointers, no rank of its own. Not collective; all functions are pure. */
#ifndef REEL_CUT_H
#define REEL_CUT_H

#include <stdint.h>

enum { REEL_PARTS_MAX = 1024 };

struct reel_cut {
    int64_t parts;                     /* P, 1 .. REEL_PARTS_MAX */
    int64_t first[REEL_PARTS_MAX + 1]; /* first[0] = 0, non-decreasing, first[P] = total */
};

/* Elements that follow each other: [first, first + count). */
struct reel_range {
    int64_t first, count;
};

/* What two runs have in common, which may be nothing. */
struct reel_range reel_range_intersect(struct reel_range a, struct reel_range b);

/* total >= 0 elements over parts, as evenly as can be: sizes differ by at most one. */
struct reel_cut reel_cut_even(int64_t total, int64_t parts);

/* The first element of a part of that cut, or where the last ends; without making the table. */
int64_t reel_cut_even_first(int64_t total, int64_t parts, int64_t part);

/* The outer cut's parts, each cut evenly again: outer->parts * parts parts, those of one outer part side
 * by side. The boundaries of the outer cut stay where they were, and the fullest part is as full as if all
 * were cut at once. */
struct reel_cut reel_cut_within(const struct reel_cut *outer, int64_t parts);

/* The elements of part p. */
int64_t reel_cut_count(const struct reel_cut *cut, int64_t part);

/* All elements. */
int64_t reel_cut_total(const struct reel_cut *cut);

/* The elements of the fullest part: what a buffer must hold that serves any part. */
int64_t reel_cut_largest(const struct reel_cut *cut);

#endif
