/* Noise levels, timesteps and the solver of one latent frame, as numbers.
 *
 * A schedule is the list of noise levels that a frame descends: sigma[0] > .. > sigma[N] = 0, and the integer
 * timesteps that the transformer hears. A solver step is a handful of coefficients in double, the same for
 * every element of a frame; whoever holds the arrays applies them:
 *
 *     mt = x - sigma v                                                the clean frame as step i sees it
 *     if corrects: x = corrector . (last, m0, m1, mt)                 v is not computed again
 *     m1 <- m0, m0 <- mt, last <- x
 *     x  = predictor . (x, m0, m1, v)                                 v for Euler alone
 *
 * A coefficient of 0 means that its operand is not read: before the second and third step m0, m1 and last
 * hold nothing. UniPC, N = 6, shift 8:
 *
 *     sigma      0.99987489 0.97546685 0.94101024 0.88869119 0.79975981 0.61510044 0
 *     timestep   999 975 941 888 799 615
 *     step 1     corrector 0.97558892 0.01220555 0 0.01220555   predictor 0.96467680 0.03836477 -0.00304157 0
 *
 * Sources: UniPC, Zhao et al. 2023 (order 2, B(h) = expm1(-h), predicting the clean sample); its
 * flow-matching form and the levels are SkyReels-V2's FlowUniPCMultistepScheduler. Euler takes the same
 * levels. */
#ifndef REEL_SCHEDULE_H
#define REEL_SCHEDULE_H

#include <stdint.h>

#include "job.h"
#include "status.h"

enum { REEL_STEPS_MAX = 1000 };

/* A value without pointers. */
struct reel_schedule {
    enum reel_scheduler kind;
    int64_t steps;                    /* N, 1 .. REEL_STEPS_MAX */
    double sigma[REEL_STEPS_MAX + 1]; /* float32 values, strictly falling; 0 from sigma[N] on */
    int64_t timestep[REEL_STEPS_MAX]; /* 0 .. 999, not rising; 1000 sigma truncated before sigma is rounded */
};

/* Where one latent frame stands; all zero before its first step. A value without pointers. */
struct reel_solver_state {
    int64_t step;        /* steps taken, 0 .. N */
    int64_t last_order;  /* order of the predictor of the step before; 0: none yet */
    int64_t lower_order; /* min(steps taken, 2): the estimates that the history holds */
};

/* One frame's next step; see the top of this file. */
struct reel_solver_step {
    double sigma;     /* of this step */
    int64_t corrects; /* 0: x stays as it is */
    struct {
        double last, m0, m1, mt; /* last: x before the previous predictor; m0, m1: before the shift */
    } corrector;
    struct {
        double x, m0, m1, v; /* m0, m1: after the shift, so that m0 is mt */
    } predictor;
};

/* Not collective. The noise levels of steps (1 .. REEL_STEPS_MAX) and shift (> 0): u_i = 0.999 (1 - i/N),
 * sigma_i = shift u_i / (1 + (shift - 1) u_i). REEL_BAD_JOB, naming sampler.steps or sampler.shift, when
 * steps is out of range or the levels do not fall strictly between 1 and 0 in float32. */
enum reel_status reel_schedule_make(enum reel_scheduler kind, int64_t steps, double shift,
                                    struct reel_schedule *schedule);

/* Not collective. The coefficients of the step that state stands before, and state moved past it. The first
 * step is index 0, even where timesteps occur twice. state->step must be below schedule->steps. The last step
 * of UniPC gives x = m0 exactly. */
struct reel_solver_step reel_solver_next(const struct reel_schedule *schedule,
                                         struct reel_solver_state *state);

#endif
