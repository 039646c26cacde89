/* Statistics of many values: min, max, mean, deviation, and how many are not finite.
 *
 *     struct reel_statistics s = {0};
 *     reel_statistics_add(&s, values, 1000);     as often as needed
 *     reel_statistics_mean(&s), reel_statistics_deviation(&s)
 *
 * Values that are not finite are only counted. Not collective, no errors. */
#ifndef REEL_STATISTICS_H
#define REEL_STATISTICS_H

#include <stdint.h>

struct reel_statistics {
    int64_t count, not_finite; /* values that are finite, and that are not */
    double min, max;           /* meaningless while count is 0 */
    double first;        /* subtracted before summing, so that a large mean does not hide a small deviation */
    double sum, squares; /* of value - first */
};

/* Adds count floats, or count integers. */
void reel_statistics_add(struct reel_statistics *statistics, const float *values, int64_t count);
void reel_statistics_add_integers(struct reel_statistics *statistics, const int64_t *values, int64_t count);

/* The mean and the population standard deviation of the finite values; 0 while count is 0. */
double reel_statistics_mean(const struct reel_statistics *statistics);
double reel_statistics_deviation(const struct reel_statistics *statistics);

#endif
