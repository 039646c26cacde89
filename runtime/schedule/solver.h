/* The solvers: how one latent frame steps from one noise level to the next.
 *
 * A step is a few coefficients in double, the same for every element of a frame. The caller holds the
 * arrays and applies the coefficients:
 *
 *     mt = x - sigma v                                                the clean frame as step i estimates it
 *     if corrects: x = corrector . (last, m0, m1, mt)                 v is not computed again
 *     m1 <- m0, m0 <- mt, last <- x                                   the shift
 *     x  = predictor . (x, m0, m1, v)                                 v for Euler only
 *
 * After a frame's first step, last <- the new x instead (step_frame in latents.c). The arithmetic
 * (reel_solve_element in elements.h) reads m0 and m1 in every step, and last in every step that corrects,
 * even where the coefficient is 0. Zero times NaN is NaN, so the caller clears m0, m1 and last before a
 * chunk's first step (clear_history in latents.c). UniPC, N = 6, shift 8:
 *
 *     step 1     corrector 0.97558892 0.01220555 0 0.01220555   predictor 0.96467680 0.03836477 -0.00304157 0
 *
 * A new solver has these limits. Its step is a linear combination of the operands above. Its history has at
 * most two estimates, so its order is at most 2: resume_compare.c (reel_compare_state) refuses a checkpoint
 * with a higher last_order. Its noise levels and timesteps are UniPC's (schedule.h).
 *
 * Each solver is one file (solver_unipc.c, solver_euler.c) behind the table in solver.c. Not collective. */
#ifndef REEL_SOLVER_H
#define REEL_SOLVER_H

#include "schedule.h"

/* The state of one latent frame; all zero before its first step. A value without pointers. */
struct reel_solver_state {
    int64_t step;       /* steps taken, 0 .. N */
    int64_t last_order; /* order of the previous step's predictor; 0: no step yet */
    int64_t estimates;  /* min(steps taken, 2): the number of estimates in the history */
};

/* The next step of one frame; see the top of this file. */
struct reel_solver_step {
    double sigma;     /* of this step */
    int64_t corrects; /* 0: x remains as it is */
    struct {
        double last, m0, m1, mt; /* last: x before the previous predictor; m0, m1: before the shift */
    } corrector;
    struct {
        double x, m0, m1, v; /* m0, m1: after the shift, so that m0 is mt */
    } predictor;
};

/* A solver. step fills the coefficients of the frame's next step, with sigma already set and all others 0,
 * and returns the order of its predictor. keeps_history: m0, m1 and last belong to a frame's state, and to
 * a checkpoint. */
struct reel_solver {
    int keeps_history;
    int64_t (*step)(const struct reel_schedule *schedule, const struct reel_solver_state *state,
                    struct reel_solver_step *step);
};

extern const struct reel_solver reel_solver_unipc, reel_solver_euler;

/* The solver of a job's sampler.scheduler. */
const struct reel_solver *reel_solver_of(enum reel_scheduler kind);

/* Returns the coefficients of the frame's next step and advances state past it. The first step has index
 * 0, even where timesteps occur twice. state->step must be less than schedule->steps. The last step of
 * UniPC gives x = m0 exactly. */
struct reel_solver_step reel_solver_next(const struct reel_schedule *schedule,
                                         struct reel_solver_state *state);

#endif
