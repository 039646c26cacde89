/* Noise levels for flow matching. */
#include "schedule.h"

#include <string.h>

/* The highest level of the training schedule: 1 - 0.001, rounded to float32. */
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
        /* the solver's levels are rounded to float32; timesteps come from the levels before rounding */
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
