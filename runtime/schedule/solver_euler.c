/* Euler: x + (sigma' - sigma) v. */
#include "solver.h"

static int64_t euler_step(const struct reel_schedule *schedule, const struct reel_solver_state *state,
                          struct reel_solver_step *step)
{
    step->predictor.x = 1;
    step->predictor.v = schedule->sigma[state->step + 1] - schedule->sigma[state->step];
    return 1;
}

const struct reel_solver reel_solver_euler = {.step = euler_step};
