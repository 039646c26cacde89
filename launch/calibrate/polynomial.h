/* A least-squares polynomial of degree 4 that never falls and is nowhere negative over the range of its
 * points. TeaCache rescales its distances with it.
 *
 *     const double distance[] = {0.02, 0.05, 0.11, ...}, change[] = {0.031, 0.042, 0.35, ...};
 *     struct reel_polynomial fit;
 *     REEL_PASS(reel_polynomial_fit(58, distance, change, &fit));    fit.coefficients, highest power first
 *     reel_polynomial_at(&fit, 0.07);
 *
 * With t = (x - min) / (max - min) in 0 .. 1 and the Bernstein polynomials B_j of degree 4, the fit is
 *
 *     p(t) = b0 + sum_{i=1..4} d_i (B_i(t) + ... + B_4(t)),     b0 >= 0, d_i >= 0
 *
 * so the Bernstein coefficients are not negative and do not fall, and neither does p. Of all polynomials of
 * this form it has the least squared error. A few polynomials that are non-negative and non-decreasing do not
 * have this form: they are almost flat in the middle of the range.
 *
 * Not collective. */
#ifndef REEL_POLYNOMIAL_H
#define REEL_POLYNOMIAL_H

#include "status.h"

#include <stdint.h>

enum { REEL_POLYNOMIAL_DEGREE = 4 };

struct reel_polynomial {
    double min, max;                                 /* the range of x that it was fitted on */
    double coefficients[REEL_POLYNOMIAL_DEGREE + 1]; /* of x, highest power first */
    double rms;                                      /* root mean square of the points' errors in y */
};

/* Fits count >= 1 points. Where the points allow several fits, the straighter one is taken: two rising points
 * give a line. When the x span less than a thousandth of the largest x, the fit is the constant mean of y,
 * because rounding would decide the slope. REEL_INTERNAL when a coordinate is negative or not finite. */
enum reel_status reel_polynomial_fit(int64_t count, const double *x, const double *y,
                                     struct reel_polynomial *fit);

/* The value of the fit at x. */
double reel_polynomial_at(const struct reel_polynomial *fit, double x);

#endif
