/* Cuts of one dimension. */
#include "cut.h"

int64_t reel_cut_even_first(int64_t total, int64_t parts, int64_t part)
{
    int64_t left = total % parts;
    return total / parts * part + (part < left ? part : left);
}

struct reel_cut reel_cut_even(int64_t total, int64_t parts)
{
    struct reel_cut cut = {.parts = parts};
    for (int64_t p = 0; p <= parts; p++)
        cut.first[p] = reel_cut_even_first(total, parts, p);
    return cut;
}

struct reel_cut reel_cut_within(const struct reel_cut *outer, int64_t parts)
{
    struct reel_cut cut = {.parts = outer->parts * parts};
    for (int64_t o = 0; o < outer->parts; o++) {
        int64_t count = reel_cut_count(outer, o), each = count / parts, left = count % parts,
                first = outer->first[o];
        for (int64_t p = 0; p < parts; p++) {
            first += each + (p < left);
            cut.first[o * parts + p + 1] = first;
        }
    }
    return cut;
}

int64_t reel_cut_count(const struct reel_cut *cut, int64_t part)
{
    return cut->first[part + 1] - cut->first[part];
}

int64_t reel_cut_total(const struct reel_cut *cut)
{
    return cut->first[cut->parts];
}

int64_t reel_cut_largest(const struct reel_cut *cut)
{
    int64_t largest = 0;
    for (int64_t p = 0; p < cut->parts; p++)
        if (reel_cut_count(cut, p) > largest)
            largest = reel_cut_count(cut, p);
    return largest;
}

struct reel_range reel_range_intersect(struct reel_range a, struct reel_range b)
{
    int64_t first = a.first > b.first ? a.first : b.first;
    int64_t end = a.first + a.count < b.first + b.count ? a.first + a.count : b.first + b.count;
    return (struct reel_range){first, end > first ? end - first : 0};
}
