/* UniPC (Zhao et al. 2023) of order 2, with B(h) = expm1(-h), predicting the clean sample. The form for
 * flow matching is that of SkyReels-V2's FlowUniPCMultistepScheduler. */
#include "solver.h"

#include <math.h>
#include <stddef.h>

/* Half the logarithm of the signal-to-noise ratio, for 0 < sigma < 1. */
static double lambda_of(double sigma)
{
    return log(1 - sigma) - log(sigma);
}

/* A hop from a source level to a target level, both above 0. All coefficients are made from hops. */
struct reel_hop {
    double keep; /* factor of the sample at the source */
    double gain; /* weight of the clean estimate, if it is constant */
    double h;    /* length of the hop in lambda */
    /* lambda of the level before the source, minus lambda of the source, divided by h; 0 without one. */
    double r;
};

static struct reel_hop hop_between(const double *before, double source, double target)
{
    struct reel_hop hop = {.keep = target / source, .h = lambda_of(target) - lambda_of(source)};
    hop.gain = -(1 - target) * expm1(-hop.h);
    if (before)
        hop.r = (lambda_of(*before) - lambda_of(source)) / hop.h;
    return hop;
}

/* Order 1: mt - m0 has the weight 1/2. Order 2: the weights rho solve [1 1; r 1] rho = b. */
static void correct_sample(const double *sigma, int64_t i, int64_t order, struct reel_solver_step *step)
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

static void predict_sample(const double *sigma, int64_t i, int64_t order, struct reel_solver_step *step)
{
    struct reel_hop hop = hop_between(order == 2 ? &sigma[i - 1] : NULL, sigma[i], sigma[i + 1]);
    step->predictor.x = hop.keep;
    step->predictor.m1 = order == 2 ? hop.gain * 0.5 / hop.r : 0;
    step->predictor.m0 = hop.gain - step->predictor.m1;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t unipc_step(const struct reel_schedule *schedule, const struct reel_solver_state *state,
                          struct reel_solver_step *step)
{
    const double *sigma = schedule->sigma;
    int64_t i = state->step, order = min_of(min_of(2, schedule->steps - i), state->estimates + 1);
    if (state->last_order > 0)
        correct_sample(sigma, i, state->last_order, step);
    if (i + 1 == schedule->steps)
        step->predictor.m0 = 1; /* sigma[N] is 0: h is infinite, and the sample is the clean estimate */
    else
        predict_sample(sigma, i, order, step);
    return order;
}

const struct reel_solver reel_solver_unipc = {.keeps_history = 1, .step = unipc_step};
