/* Who owns what along one dimension: a table of first indices.
 *
 * Part p of a cut owns [first[p], first[p + 1]). Parts may be uneven or empty; nothing is padded. Tokens,
 * heads, columns and rows are all divided by this one type.
 *
 *     struct reel_cut tokens = reel_cut_even(3510, 4);   first = 0 878 1756 2633 3510
 *
 * A cut is a value: it has no pointers and is the same on every rank. Not collective; all functions are
 * pure. */
#ifndef REEL_CUT_H
#define REEL_CUT_H

#include <stdint.h>

enum { REEL_PARTS_MAX = 1024 };

struct reel_cut {
    int64_t parts;                     /* P, 1 .. REEL_PARTS_MAX */
    int64_t first[REEL_PARTS_MAX + 1]; /* first[0] = 0, non-decreasing, first[P] = total */
};

/* Consecutive elements: [first, first + count). */
struct reel_range {
    int64_t first, count;
};

/* The intersection of two ranges, which may be empty. */
struct reel_range reel_range_intersect(struct reel_range a, struct reel_range b);

/* Cuts total >= 0 elements as evenly as possible: the sizes of parts differ by at most one. */
struct reel_cut reel_cut_even(int64_t total, int64_t parts);

/* The first element of a part of reel_cut_even(total, parts); for part == parts, total. Does not build the
 * table. */
int64_t reel_cut_even_first(int64_t total, int64_t parts, int64_t part);

/* Cuts each part of the outer cut evenly again: outer->parts * parts parts, where those of one outer part
 * are adjacent. The boundaries of the outer cut remain. When the outer cut is even, the largest part is as
 * large as if everything were cut at once. */
struct reel_cut reel_cut_within(const struct reel_cut *outer, int64_t parts);

/* The number of elements of a part. */
int64_t reel_cut_count(const struct reel_cut *cut, int64_t part);

/* The number of all elements. */
int64_t reel_cut_total(const struct reel_cut *cut);

/* The number of elements of the largest part: the size of a buffer that must serve any part. */
int64_t reel_cut_largest(const struct reel_cut *cut);

#endif
