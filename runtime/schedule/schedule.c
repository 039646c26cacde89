/* Noise levels and the coefficients of UniPC and Euler for flow matching. */
#include "schedule.h"

#include <math.h>
#include <string.h>

/* The training schedule's highest level: 1 - 0.001 as float32 has it. */
static const double sigma_max = 0.9990000128746033;

enum reel_status reel_schedule_make(enum reel_scheduler kind, int64_t steps, double shift,
                                    struct reel_schedule *schedule)
{
    REEL_NEED(steps >= 1 && steps <= REEL_STEPS_MAX, REEL_BAD_JOB, "sampler.steps is %lld, expected 1 to %d",
              (long long)steps, REEL_STEPS_MAX);
    memset(schedule, 0, sizeof *schedule);
    schedule->kind = kind;
    schedule->steps = steps;
    double before = 1, stride = -sigma_max / (double)steps;
    for (int64_t i = 0; i < steps; i++) {
        double u = (double)i * stride + sigma_max;
        double sigma = shift * u / (1 + (shift - 1) * u);
        /* the solver's levels are stored in float32, the timesteps come from the unrounded ones */
        schedule->sigma[i] = (double)(float)sigma;
        REEL_NEED(
            schedule->sigma[i] > 0 && schedule->sigma[i] < before, REEL_BAD_JOB,
            "sampler.shift is %g: with sampler.steps %lld noise level %lld is %.9g, expected between 0 and "
            "%.9g",
            shift, (long long)steps, (long long)i, schedule->sigma[i], before);
        schedule->timestep[i] = (int64_t)(1000 * sigma);
        before = schedule->sigma[i];
    }
    return REEL_OK;
}

/* Half the logarithm of the signal-to-noise ratio, for 0 < sigma < 1. */
static double lambda_of(double sigma)
{
    return log(1 - sigma) - log(sigma);
}

/* From source to target, both above 0: what every row of coefficients is made of. */
struct reel_hop {
    double keep; /* factor of the sample at the source */
    double gain; /* weight of a constant clean estimate */
    double h;    /* the step in lambda */
    double r;    /* the step before it, backwards, in units of h; 0 without one */
};

static struct reel_hop hop_between(const double *before, double source, double target)
{
    struct reel_hop hop = {.keep = target / source, .h = lambda_of(target) - lambda_of(source)};
    hop.gain = -(1 - target) * expm1(-hop.h);
    if (before)
        hop.r = (lambda_of(*before) - lambda_of(source)) / hop.h;
    return hop;
}

/* Order 1: mt - m0 weighs a half. Order 2: the weights rho solve [1 1; r 1] rho = b. */
static void correct(const double *sigma, int64_t i, int64_t order, struct reel_solver_step *step)
{
    struct reel_hop hop = hop_between(order == 2 ? &sigma[i - 2] : NULL, sigma[i - 1], sigma[i]);
    step->corrects = 1;
    step->corrector.last = hop.keep;
    if (order == 1) {
        step->corrector.m0 = 0.5 * hop.gain;
        step->corrector.mt = 0.5 * hop.gain;
        return;
    }
    double phi = expm1(-hop.h), phi_2 = phi / -hop.h - 1, phi_3 = phi_2 / -hop.h - 0.5;
    double b1 = phi_2 / phi, b2 = 2 * phi_3 / phi;
    double rho0 = (b1 - b2) / (1 - hop.r), rho1 = b1 - rho0;
    step->corrector.m1 = hop.gain * rho0 / hop.r;
    step->corrector.mt = hop.gain * rho1;
    step->corrector.m0 = hop.gain * (1 - rho0 / hop.r - rho1);
}

static void predict(const double *sigma, int64_t i, int64_t order, struct reel_solver_step *step)
{
    struct reel_hop hop = hop_between(order == 2 ? &sigma[i - 1] : NULL, sigma[i], sigma[i + 1]);
    step->predictor.x = hop.keep;
    step->predictor.m1 = order == 2 ? hop.gain * 0.5 / hop.r : 0;
    step->predictor.m0 = hop.gain - step->predictor.m1;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct reel_solver_step reel_solver_next(const struct reel_schedule *schedule,
                                         struct reel_solver_state *state)
{
    const double *sigma = schedule->sigma;
    int64_t i = state->step;
    int64_t order = smaller(smaller(2, schedule->steps - i), state->lower_order + 1);
    struct reel_solver_step step = {.sigma = sigma[i]};
    if (schedule->kind == REEL_EULER) {
        order = 1;
        step.predictor.x = 1;
        step.predictor.v = sigma[i + 1] - sigma[i];
    } else {
        if (state->last_order > 0)
            correct(sigma, i, state->last_order, &step);
        if (i + 1 == schedule->steps)
            step.predictor.m0 = 1; /* sigma[N] is 0: h is infinite and the sample is the clean estimate */
        else
            predict(sigma, i, order, &step);
    }
    state->step = i + 1;
    state->last_order = order;
    state->lower_order = smaller(2, state->lower_order + 1);
    return step;
}
