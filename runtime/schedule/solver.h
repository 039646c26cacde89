/* The solvers: how one latent frame steps from a noise level to the next.
 *
 * A step is a handful of coefficients in double, the same for every element of a frame; the caller, who holds the arrays,
 * applies them:
 *
 *     mt = x - sigma v                                                the clean frame as step i sees it
 *     if corrects: x = corrector . (last, m0, m1, mt)                 v is not computed again
 *     m1 <- m0, m0 <- mt, last <- x
 *     x  = predictor . (x, m0, m1, v)                                 v for Euler alone
 *
 * A coefficient of 0 means that its operand is not read: before the second and third step m0, m1 and last hold nothing.
 * UniPC, N = 6, shift 8:
 *
 *     step 1     corrector 0.97558892 0.01220555 0 0.01220555   predictor 0.96467680 0.03836477 -0.00304157 0
 *
 * One file a solver (solver_unipc.c, solver_euler.c) behind the table in solver.c. Not collective. */
#ifndef REEL_SOLVER_H
#define REEL_SOLVER_H

#include "schedule.h"

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

/* A solver: fills the coefficients of the step that state stands before, with sigma set and all others 0, and returns the
 * order of its predictor. keeps_history: m0, m1 and last are part of a frame's state, and of a checkpoint. */
struct reel_solver {
    int keeps_history;
    int64_t (*step)(const struct reel_schedule *schedule, const struct reel_solver_state *state,
                    struct reel_solver_step *step);
};

extern const struct reel_solver reel_solver_unipc, reel_solver_euler;

/* The solver of a job's sampler.scheduler. */
const struct reel_solver *reel_solver_of(enum reel_scheduler kind);

/* The coefficients of the step that state stands before, and state moved past it. The first
 * step is index 0, even where timesteps occur twice. state->step must be below schedule->steps. The last step
 * of UniPC gives x = m0 exactly. */
struct reel_solver_step reel_solver_next(const struct reel_schedule *schedule,
                                         struct reel_solver_state *state);

#endif
