/* What many numbers are like: extremes, mean, spread, and how many are no numbers.
 *
 *     struct reel_statistics s = {0};
 *     reel_statistics_add(&s, values, 1000);     again and again
 *     reel_statistics_mean(&s), reel_statistics_deviation(&s)
 *
 * Not collective, no errors. Numbers that are not finite are counted and otherwise left out. */
#ifndef REEL_STATISTICS_H
#define REEL_STATISTICS_H

#include <stdint.h>

struct reel_statistics {
    int64_t count, not_finite; /* finite numbers, and others */
    double min, max;           /* meaningless while count is 0 */
    double first; /* sums are taken from here, so that a large mean does not hide a small spread */
    double sum, squares;
};

/* Takes in count floats, or count integers. */
void reel_statistics_add(struct reel_statistics *statistics, const float *values, int64_t count);
void reel_statistics_add_integers(struct reel_statistics *statistics, const int64_t *values, int64_t count);

/* Mean and standard deviation (of the whole, not of a sample); 0 while count is 0. */
double reel_statistics_mean(const struct reel_statistics *statistics);
double reel_statistics_deviation(const struct reel_statistics *statistics);

#endif
