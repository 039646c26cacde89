/* Least squares with five non-negative unknowns: few enough to try every subset of them as 0. */
#include "polynomial.h"

#include <math.h>
#include <string.h>

enum { DEGREE = REEL_POLYNOMIAL_DEGREE, UNKNOWNS = DEGREE + 1, COLUMNS = UNKNOWNS + 1 };

static const double binomial[UNKNOWNS][UNKNOWNS] = {{1}, {1, 1}, {1, 2, 1}, {1, 3, 3, 1}, {1, 4, 6, 4, 1}};

/* The weight of the preference for a straight line, relative to the points: large enough to decide where the
 * points allow several fits, too small to show where they allow one. */
static const double straightness = 1e-6;

static const double least_relative_span = 1e-3;

/* A least-squares system as an upper triangle R: rows of [unknowns, right side]. Equations are added one by
 * one with Givens rotations. */
struct triangle {
    int columns; /* including the right side */
    double at[COLUMNS][COLUMNS];
};

static void absorb_equation(struct triangle *triangle, const double *equation)
{
    double row[COLUMNS];
    memcpy(row, equation, (size_t)triangle->columns * sizeof *row);
    for (int i = 0; i < triangle->columns; i++) {
        double *pivot = triangle->at[i], length = hypot(pivot[i], row[i]);
        if (row[i] == 0)
            continue;
        double c = pivot[i] / length, s = row[i] / length;
        for (int j = i; j < triangle->columns; j++) {
            double old = pivot[j];
            pivot[j] = c * old + s * row[j];
            row[j] = c * row[j] - s * old;
        }
    }
}

/* Solves for the unknowns in the bit set; the others are 0. Returns the sum of squared errors, or infinity
 * when an unknown of the set is not positive. */
static double solve_subset(const struct triangle *all, unsigned set, double unknown[UNKNOWNS])
{
    struct triangle some = {0};
    int which[COLUMNS];
    for (int u = 0; u < UNKNOWNS; u++)
        if (set >> u & 1)
            which[some.columns++] = u;
    which[some.columns++] = UNKNOWNS;
    for (int r = 0; r < COLUMNS; r++) {
        double equation[COLUMNS] = {0};
        for (int c = 0; c < some.columns; c++)
            equation[c] = all->at[r][which[c]];
        absorb_equation(&some, equation);
    }
    int last = some.columns - 1;
    memset(unknown, 0, UNKNOWNS * sizeof *unknown);
    for (int i = last - 1; i >= 0; i--) {
        double value = some.at[i][last];
        for (int j = i + 1; j < last; j++)
            value -= some.at[i][j] * unknown[which[j]];
        unknown[which[i]] = value / some.at[i][i];
        if (!(unknown[which[i]] > 0) || !isfinite(unknown[which[i]]))
            return HUGE_VAL;
    }
    return some.at[last][last] * some.at[last][last];
}

/* The Bernstein coefficients of the fit, over t in 0 .. 1. The unknowns are b0 and the increments d_i. */
static void fit_bernstein(int64_t count, const double *x, const double *y, double min, double span,
                          double bernstein[UNKNOWNS])
{
    struct triangle all = {.columns = COLUMNS};
    double found[UNKNOWNS], best = HUGE_VAL, weight = straightness * sqrt((double)count);
    for (int64_t p = 0; p < count; p++) {
        double t = (x[p] - min) / span, equation[COLUMNS] = {[UNKNOWNS] = y[p]}, from_here = 0;
        for (int i = DEGREE; i >= 0; i--) {
            from_here += binomial[DEGREE][i] * pow(t, i) * pow(1 - t, DEGREE - i);
            equation[i] = from_here;
        }
        absorb_equation(&all, equation);
    }
    for (int i = 1; i < DEGREE; i++) {
        double equation[COLUMNS] = {0};
        equation[i] = -weight;
        equation[i + 1] = weight;
        absorb_equation(&all, equation);
    }
    memset(bernstein, 0, UNKNOWNS * sizeof *bernstein);
    for (unsigned set = 0; set < 1u << UNKNOWNS; set++) {
        double left = solve_subset(&all, set, found);
        if (!(left < best))
            continue;
        best = left;
        memcpy(bernstein, found, sizeof found);
    }
    for (int i = 1; i <= DEGREE; i++) /* from increments to coefficients */
        bernstein[i] += bernstein[i - 1];
}

/* Converts Bernstein coefficients over t to coefficients of the powers of x, highest power first. */
static void to_powers(const double bernstein[UNKNOWNS], double min, double span,
                      double coefficients[UNKNOWNS])
{
    double of_t[UNKNOWNS] = {0}, of_x[UNKNOWNS] = {0}; /* lowest power first */
    for (int k = 0; k <= DEGREE; k++)
        for (int i = 0; i <= k; i++)
            of_t[k] += ((k - i) % 2 ? -1 : 1) * binomial[DEGREE][k] * binomial[k][i] * bernstein[i];
    for (int k = DEGREE; k >= 0; k--) { /* Horner: multiply by (x - min) / span, add the next */
        for (int i = DEGREE; i >= 0; i--)
            of_x[i] = ((i > 0 ? of_x[i - 1] : 0) - min * of_x[i]) / span;
        of_x[0] += of_t[k];
    }
    for (int i = 0; i <= DEGREE; i++)
        coefficients[i] = of_x[DEGREE - i];
}

double reel_polynomial_at(const struct reel_polynomial *fit, double x)
{
    double value = 0;
    for (int i = 0; i <= DEGREE; i++)
        value = value * x + fit->coefficients[i];
    return value;
}

enum reel_status reel_polynomial_fit(int64_t count, const double *x, const double *y,
                                     struct reel_polynomial *fit)
{
    double sum = 0, squares = 0;
    *fit = (struct reel_polynomial){.min = HUGE_VAL};
    REEL_NEED(count > 0, REEL_INTERNAL, "there is no point to fit");
    for (int64_t p = 0; p < count; p++) {
        REEL_NEED(isfinite(x[p]) && isfinite(y[p]) && x[p] >= 0 && y[p] >= 0, REEL_INTERNAL,
                  "point %lld to fit is (%g, %g), expected finite values of 0 or more", (long long)p, x[p],
                  y[p]);
        fit->min = fmin(fit->min, x[p]);
        fit->max = fmax(fit->max, x[p]);
        sum += y[p];
    }
    double span = fit->max - fit->min, bernstein[UNKNOWNS];
    if (span > least_relative_span * fit->max) {
        fit_bernstein(count, x, y, fit->min, span, bernstein);
        to_powers(bernstein, fit->min, span, fit->coefficients);
    } else {
        fit->coefficients[DEGREE] = sum / (double)count;
    }
    for (int64_t p = 0; p < count; p++)
        squares += pow(y[p] - reel_polynomial_at(fit, x[p]), 2);
    fit->rms = sqrt(squares / (double)count);
    return REEL_OK;
}
