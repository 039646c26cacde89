/* TeaCache's fit recovers a rising polynomial, and for any points it neither falls nor is negative. */
#include "polynomial.h"
#include "test.h"

#include <math.h>

enum { POINTS = 60, GRID = 1000 };

/* A random number in 0 .. 1; every run has the same sequence. */
static double chance(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static double at(const double coefficients[5], double x)
{
    double value = 0;
    for (int i = 0; i < 5; i++)
        value = value * x + coefficients[i];
    return value;
}

/* Whether the fit neither falls nor is negative over its range, up to rounding. */
static int is_sound(const struct reel_polynomial *fit)
{
    double max = fabs(reel_polynomial_at(fit, fit->max)), before = -1;
    for (int i = 0; i <= GRID; i++) {
        double x = fit->min + (fit->max - fit->min) * i / GRID, value = reel_polynomial_at(fit, x);
        if (!(value >= -1e-9 * max) || !(value >= before - 1e-9 * max))
            return 0;
        before = value;
    }
    return 1;
}

static double squares(const double coefficients[5], const double *x, const double *y, int count)
{
    double sum = 0;
    for (int p = 0; p < count; p++)
        sum += pow(y[p] - at(coefficients, x[p]), 2);
    return sum;
}

static void a_polynomial_that_rises_is_recovered(void)
{
    const double truth[5] = {31, 4, 0.5, 0.3, 0.02};
    double x[POINTS], y[POINTS];
    struct reel_polynomial fit;
    for (int p = 0; p < POINTS; p++) {
        x[p] = 0.01 + 0.5 * pow(chance(), 2);
        y[p] = at(truth, x[p]);
    }
    CHECK(reel_polynomial_fit(POINTS, x, y, &fit) == REEL_OK, "%s", reel_error_here()->cause);
    for (int i = 0; i < 5; i++)
        CHECK(fabs(fit.coefficients[i] - truth[i]) < 1e-5 * truth[0], "coefficient %d is %.9g, expected %.9g",
              i, fit.coefficients[i], truth[i]);
    CHECK(fit.rms < 1e-8 && is_sound(&fit), "rms %g", fit.rms);
    y[7] *= 1.001; /* a point that is 0.1 % off is noticed */
    CHECK(reel_polynomial_fit(POINTS, x, y, &fit) == REEL_OK && fit.rms > 1e-7, "rms %g", fit.rms);
    fit.coefficients[2] -= 20; /* a polynomial that falls is refused */
    CHECK(!is_sound(&fit), "a perturbed polynomial passes");
}

static void noisy_points_that_fall_have_a_fit_that_does_not(void)
{
    double x[POINTS], y[POINTS];
    struct reel_polynomial fit;
    for (int round = 0; round < 200; round++) {
        double slope = 2 * chance() - 1, wave = 20 * chance(), min = chance();
        for (int p = 0; p < POINTS; p++) {
            x[p] = min + 0.3 * chance();
            y[p] = fabs(slope * x[p] + 0.3 * sin(wave * x[p]) + 0.2 * chance());
        }
        CHECK(reel_polynomial_fit(POINTS, x, y, &fit) == REEL_OK && is_sound(&fit),
              "round %d: slope %g, wave %g", round, slope, wave);
    }
}

/* No small change that keeps both properties by construction fits the points better. */
static void nothing_near_it_fits_better(void)
{
    double x[POINTS], y[POINTS];
    struct reel_polynomial fit;
    for (int p = 0; p < POINTS; p++) {
        x[p] = 1.0 * p / (POINTS - 1);
        y[p] = 0.2 + 0.5 * pow(x[p], 3) + 0.1 * sin(9 * x[p]) + 0.05 * chance();
    }
    CHECK(reel_polynomial_fit(POINTS, x, y, &fit) == REEL_OK, "%s", reel_error_here()->cause);
    double min = squares(fit.coefficients, x, y, POINTS);
    CHECK(fabs(sqrt(min / POINTS) - fit.rms) < 1e-12, "rms %g, found %g", fit.rms, sqrt(min / POINTS));
    int tried = 0;
    for (int round = 0; round < 20000; round++) {
        struct reel_polynomial other = fit;
        for (int i = 0; i < 5; i++)
            other.coefficients[i] += 0.01 * (chance() - 0.5);
        double bernstein[5], c[5]; /* lowest power first, over 0 .. 1 */
        for (int i = 0; i < 5; i++)
            c[i] = other.coefficients[4 - i];
        bernstein[0] = c[0];
        bernstein[1] = bernstein[0] + c[1] / 4;
        bernstein[2] = c[0] + c[1] / 2 + c[2] / 6;
        bernstein[3] = c[0] + 3 * c[1] / 4 + c[2] / 2 + c[3] / 4;
        bernstein[4] = c[0] + c[1] + c[2] + c[3] + c[4];
        int allowed = bernstein[0] >= 0;
        for (int i = 1; i < 5; i++)
            allowed &= bernstein[i] >= bernstein[i - 1];
        tried += allowed;
        CHECK(!allowed || squares(other.coefficients, x, y, POINTS) >= min - 1e-9, "round %d", round);
    }
    CHECK(tried > 10, "only %d steps kept the promises", tried);
}

static void two_points_have_a_line_or_their_mean(void)
{
    const double x[] = {0.2, 0.6}, rises[] = {0.1, 0.5}, falls[] = {0.5, 0.1};
    struct reel_polynomial fit;
    CHECK(reel_polynomial_fit(2, x, rises, &fit) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(fabs(reel_polynomial_at(&fit, 0.2) - 0.1) < 1e-6 &&
              fabs(reel_polynomial_at(&fit, 0.4) - 0.3) < 1e-6 &&
              fabs(reel_polynomial_at(&fit, 0.6) - 0.5) < 1e-6,
          "%g %g %g", reel_polynomial_at(&fit, 0.2), reel_polynomial_at(&fit, 0.4),
          reel_polynomial_at(&fit, 0.6));
    CHECK(reel_polynomial_fit(2, x, falls, &fit) == REEL_OK && is_sound(&fit), "it falls");
    CHECK(fabs(reel_polynomial_at(&fit, 0.2) - 0.3) < 1e-6 && fabs(fit.rms - 0.2) < 1e-6, "%g, rms %g",
          reel_polynomial_at(&fit, 0.2), fit.rms);
}

static void equal_distances_have_their_mean(void)
{
    const double x[] = {0.25, 0.25, 0.25}, y[] = {0.1, 0.2, 0.6}, none[] = {0, 0, 0};
    struct reel_polynomial fit;
    CHECK(reel_polynomial_fit(3, x, y, &fit) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(fabs(reel_polynomial_at(&fit, 0.25) - 0.3) < 1e-12 &&
              fabs(reel_polynomial_at(&fit, 9) - 0.3) < 1e-12,
          "%g", reel_polynomial_at(&fit, 0.25));
    CHECK(fit.min == 0.25 && fit.max == 0.25, "%g to %g", fit.min, fit.max);
    CHECK(reel_polynomial_fit(3, x, none, &fit) == REEL_OK && fit.rms == 0 && is_sound(&fit), "rms %g",
          fit.rms);
    CHECK(reel_polynomial_fit(3, none, y, &fit) == REEL_OK && is_sound(&fit), "rms %g", fit.rms);
}

static void what_is_no_point_is_refused(void)
{
    const double x[] = {0.1, 0.2}, nan[] = {0.1, (double)NAN}, negative[] = {0.1, -0.1};
    struct reel_polynomial fit;
    CHECK(reel_polynomial_fit(2, x, nan, &fit) == REEL_INTERNAL, "NaN passes");
    reel_error_clear();
    CHECK(reel_polynomial_fit(2, negative, x, &fit) == REEL_INTERNAL, "a negative distance passes");
    reel_error_clear();
    CHECK(reel_polynomial_fit(0, x, x, &fit) == REEL_INTERNAL, "nothing passes");
    reel_error_clear();
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    RUN(a_polynomial_that_rises_is_recovered);
    RUN(noisy_points_that_fall_have_a_fit_that_does_not);
    RUN(nothing_near_it_fits_better);
    RUN(two_points_have_a_line_or_their_mean);
    RUN(equal_distances_have_their_mean);
    RUN(what_is_no_point_is_refused);
    return test_end();
}
