/* A polynomial of degree 4 through noisy points that never falls and is nowhere negative between them: what
 * TeaCache rescales its distances with.
 *
 *     const double distance[] = {0.02, 0.05, 0.11, ...}, change[] = {0.031, 0.042, 0.35, ...};
 *     struct reel_polynomial fit;
 *     REEL_PASS(reel_polynomial_fit(58, distance, change, &fit));    fit.coefficients, highest power first
 *     reel_polynomial_at(&fit, 0.07)
 *
 * Over the observed range, t = (x - least) / (most - least) in 0 .. 1, it is b0 + the sum of increments di >= 0,
 * each times the Bernstein polynomials from the i-th on. With b0 >= 0 as well this is never negative and never
 * falls, and of those that can be written so it has the least squares. A few that keep both promises cannot be:
 * those that stand almost still in the middle.
 *
 * Not collective. */
#ifndef REEL_POLYNOMIAL_H
#define REEL_POLYNOMIAL_H

#include "status.h"

#include <stdint.h>

enum { REEL_POLYNOMIAL_DEGREE = 4 };

struct reel_polynomial {
    double min, max;                                 /* the range that it was fitted on */
    double coefficients[REEL_POLYNOMIAL_DEGREE + 1]; /* of x, highest power first */
    double rms;                                      /* of the points' distances from it */
};

/* Fits count points, one at least. Where they leave it open the straighter one is taken: two points that rise
 * have a line. Distances that span less than a thousandth of the largest have their mean: more could not be told
 * from rounding. REEL_INTERNAL when a point is not finite or negative. */
enum reel_status reel_polynomial_fit(int64_t count, const double *x, const double *y,
                                     struct reel_polynomial *fit);

double reel_polynomial_at(const struct reel_polynomial *fit, double x);

#endif
