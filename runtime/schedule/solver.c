/* The table of solvers. */
#include "solver.h"

static const struct reel_solver *const solvers[] = {
    [REEL_UNIPC] = &reel_solver_unipc, [REEL_EULER] = &reel_solver_euler};

const struct reel_solver *reel_solver_of(enum reel_scheduler kind)
{
    return solvers[kind];
}

struct reel_solver_step reel_solver_next(const struct reel_schedule *schedule,
                                         struct reel_solver_state *state)
{
    struct reel_solver_step step = {.sigma = schedule->sigma[state->step]};
    state->last_order = reel_solver_of(schedule->kind)->step(schedule, state, &step);
    state->step++;
    state->estimates = state->estimates < 2 ? state->estimates + 1 : 2;
    return step;
}
