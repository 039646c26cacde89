/* Noise levels and timesteps of one latent frame.
 *
 * A schedule is a list of noise levels, sigma[0] > .. > sigma[N] = 0, through which a frame descends, and
 * the integer timesteps that the transformer receives. solver.h takes a frame from one level to the next.
 * With N = 6, shift 8:
 *
 *     sigma      0.99987489 0.97546685 0.94101024 0.88869119 0.79975981 0.61510044 0
 *     timestep   999 975 941 888 799 615
 *
 * Source: SkyReels-V2's FlowUniPCMultistepScheduler. All solvers use its levels. */
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
    double sigma[REEL_STEPS_MAX + 1]; /* float32 values, strictly decreasing; 0 from sigma[N] on */
    /* 0 .. 999, not increasing: 1000 times sigma before its rounding to float32, truncated. */
    int64_t timestep[REEL_STEPS_MAX];
};

/* Not collective. Makes the noise levels for steps (1 .. REEL_STEPS_MAX) and shift (> 0): u_i = 0.999 (1 -
 * i/N), sigma_i = shift u_i / (1 + (shift - 1) u_i). REEL_BAD_JOB, naming sampler.steps or sampler.shift,
 * when steps is out of range or the levels do not strictly decrease between 1 and 0 in float32. */
enum reel_status reel_schedule_make(enum reel_scheduler kind, int64_t steps, double shift,
                                    struct reel_schedule *schedule);

#endif
