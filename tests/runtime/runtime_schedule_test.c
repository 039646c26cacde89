/* The solver agrees with the official one: levels, timesteps, coefficients and whole trajectories. */
#include <math.h>
#include <string.h>

#include "reference_file.h"
#include "solver.h"
#include "test.h"

enum { VALUES = 7 };

/* The state that a frame of VALUES elements keeps between its steps. */
struct frame {
    struct reel_solver_state state;
    double x[VALUES], last[VALUES], m0[VALUES], m1[VALUES];
};

/* One step in double; a backend does the same in its own type. */
static void take_step(const struct reel_schedule *schedule, struct frame *frame, const float *velocity)
{
    struct reel_solver_step step = reel_solver_next(schedule, &frame->state);
    for (int k = 0; k < VALUES; k++) {
        double v = (double)velocity[k], x = frame->x[k], mt = x - step.sigma * v;
        if (step.corrects)
            x = step.corrector.last * frame->last[k] + step.corrector.m0 * frame->m0[k] +
                step.corrector.m1 * frame->m1[k] + step.corrector.mt * mt;
        frame->m1[k] = frame->m0[k];
        frame->m0[k] = mt;
        frame->last[k] = x;
        frame->x[k] = step.predictor.x * x + step.predictor.m0 * frame->m0[k] +
                      step.predictor.m1 * frame->m1[k] + step.predictor.v * v;
    }
}

static struct reel_schedule schedule_of(enum reel_scheduler kind, int64_t steps, double shift)
{
    struct reel_schedule schedule;
    enum reel_status status = reel_schedule_make(kind, steps, shift, &schedule);
    CHECK(status == REEL_OK, "%lld steps, shift %g: %s", (long long)steps, shift, reel_error_here()->cause);
    return schedule;
}

static double error_of(const double *x, const float *expected)
{
    float rounded[VALUES];
    for (int k = 0; k < VALUES; k++)
        rounded[k] = (float)x[k];
    return test_relative_error(rounded, expected, VALUES);
}

static void check_trajectory(struct reference_file *file, int64_t steps, int shift)
{
    char name[64];
    int64_t length = snprintf(name, sizeof name, "steps%lld.shift%d.", (long long)steps, shift);
    struct reel_schedule schedule = schedule_of(REEL_UNIPC, steps, shift);
    strcpy(name + length, "timesteps");
    const int64_t *timesteps = reference_data(file, name, REEL_I64);
    CHECK(memcmp(timesteps, schedule.timestep, (size_t)steps * sizeof *timesteps) == 0, "%s differ", name);
    strcpy(name + length, "sigmas");
    const float *sigmas = reference_data(file, name, REEL_F32);
    for (int64_t i = 0; i <= steps; i++)
        CHECK(schedule.sigma[i] == (double)sigmas[i], "%s %lld: %.9g, expected %.9g", name, (long long)i,
              schedule.sigma[i], (double)sigmas[i]);
    strcpy(name + length, "velocity");
    const float *velocity = reference_data(file, name, REEL_F32);
    strcpy(name + length, "expected.samples");
    const float *expected = reference_data(file, name, REEL_F32);
    struct frame frame = {0};
    for (int k = 0; k < VALUES; k++)
        frame.x[k] = (double)expected[k];
    for (int64_t i = 0; i < steps; i++) {
        take_step(&schedule, &frame, velocity + i * VALUES);
        const float *after = expected + (i + 1) * VALUES;
        CHECK(error_of(frame.x, after) < 1e-6, "%s %lld: %g", name, (long long)i, error_of(frame.x, after));
        double off[VALUES];
        for (int k = 0; k < VALUES; k++)
            off[k] = frame.x[k] * (1 + 2e-6);
        CHECK(error_of(off, after) > 1e-6, "%s %lld: 2e-6 goes unnoticed", name, (long long)i);
    }
}

static void trajectories_are_those_of_the_official_solver(void)
{
    static const int64_t steps[] = {1, 2, 3, 6, 30};
    static const int shifts[] = {1, 3, 8};
    struct reference_file *file = reference_open_named("scheduler/unipc.safetensors");
    for (size_t n = 0; n < 5; n++)
        for (size_t s = 0; s < 3; s++)
            check_trajectory(file, steps[n], shifts[s]);
    CHECK(reference_tensors(file) == 4 * 5 * 3, "%lld tensors", (long long)reference_tensors(file));
    reference_close(file);
}

/* The largest difference between a step's coefficients and the worked example's: predictor x m0 m1, corrector
 * last m0 m1 mt. */
static double distance(const struct reel_solver_step *step, const double *predictor, const double *corrector)
{
    const double got[7] = {step->predictor.x,  step->predictor.m0, step->predictor.m1, step->corrector.last,
                           step->corrector.m0, step->corrector.m1, step->corrector.mt};
    double largest = 0;
    for (int k = 0; k < 7; k++)
        largest = fmax(largest, fabs(got[k] - (k < 3 ? predictor[k] : corrector[k - 3])));
    return largest;
}

static void six_steps_have_the_coefficients_of_the_worked_example(void)
{
    static const int64_t timesteps[6] = {999, 975, 941, 888, 799, 615};
    static const double sigmas[6] = {0.9998749, 0.97546685, 0.94101024, 0.8886912, 0.7997598, 0.61510044};
    static const double predictors[6][3] = {
        {0.97558892, 0.02441110, 0},           {0.96467680, 0.03836477, -0.00304157},
        {0.94440120, 0.07666673, -0.02106791}, {0.89992994, 0.15014112, -0.05007106},
        {0.76910645, 0.38356591, -0.15267239}, {0, 1, 0},
    };
    static const double correctors[6][4] = {
        {0, 0, 0, 0},
        {0.97558892, 0.01220555, 0, 0.01220555},
        {0.96467680, 0.01600989, -0.00014692, 0.01946023},
        {0.94440120, 0.03158504, -0.00300373, 0.02701752},
        {0.89992994, 0.06086299, -0.00828218, 0.04748925},
        {0.76910645, 0.14825681, -0.02858096, 0.11121767},
    };
    struct reel_schedule schedule = schedule_of(REEL_UNIPC, 6, 8);
    struct reel_solver_state state = {0};
    for (int i = 0; i < 6; i++) {
        struct reel_solver_step step = reel_solver_next(&schedule, &state);
        CHECK(schedule.timestep[i] == timesteps[i] && fabs(schedule.sigma[i] - sigmas[i]) < 1e-7, "step %d",
              i);
        CHECK(distance(&step, predictors[i], correctors[i]) < 1e-7, "step %d: %g", i,
              distance(&step, predictors[i], correctors[i]));
        CHECK(step.corrects == (i > 0) && step.predictor.v == 0, "step %d", i);
        step.corrector.m1 += 2.5e-7;
        CHECK(distance(&step, predictors[i], correctors[i]) > 1e-7, "step %d: 2.5e-7 goes unnoticed", i);
    }
    CHECK(state.step == 6 && state.last_order == 1 && state.estimates == 2, "the frame ends at step %lld",
          (long long)state.step);
}

/* How far a step with these factors is from keeping the balance of noise and signal. It goes from noise level
 * `from` to `to`. */
static double imbalance(double keep, double sum, double from, double to)
{
    return fmax(fabs(keep * from - to), fabs(keep * (1 - from) + sum - (1 - to)));
}

static void every_row_keeps_noise_and_signal_in_balance(void)
{
    static const double shifts[] = {0.5, 1, 3, 8, 20};
    for (int64_t steps = 1; steps <= 60; steps++)
        for (size_t s = 0; s < 5; s++) {
            struct reel_schedule schedule = schedule_of(REEL_UNIPC, steps, shifts[s]);
            struct reel_solver_state state = {0};
            for (int64_t i = 0; i < steps; i++) {
                struct reel_solver_step step = reel_solver_next(&schedule, &state);
                const double *sigma = schedule.sigma + i;
                double predicted = step.predictor.m0 + step.predictor.m1;
                double corrected = step.corrector.m0 + step.corrector.m1 + step.corrector.mt;
                CHECK(imbalance(step.predictor.x, predicted, sigma[0], sigma[1]) < 1e-12,
                      "predictor %lld of %lld, shift %g", (long long)i, (long long)steps, shifts[s]);
                CHECK(imbalance(step.predictor.x, predicted + 2e-12, sigma[0], sigma[1]) > 1e-12,
                      "2e-12 goes unnoticed");
                if (step.corrects)
                    CHECK(imbalance(step.corrector.last, corrected, sigma[-1], sigma[0]) < 1e-12,
                          "corrector %lld of %lld, shift %g", (long long)i, (long long)steps, shifts[s]);
            }
        }
}

static void thirty_and_fifty_steps_have_the_official_timesteps(void)
{
    static const int64_t thirty[30] = {999, 995, 991, 986, 980, 975, 969, 963, 956, 948,
                                       941, 932, 922, 912, 901, 888, 874, 859, 841, 822,
                                       799, 773, 743, 708, 666, 615, 551, 470, 363, 216};
    static const int64_t fifty[50] = {999, 997, 994, 991, 989, 986, 983, 979, 976, 973, 969, 965, 961,
                                      957, 953, 948, 944, 939, 934, 928, 922, 916, 910, 903, 896, 888,
                                      880, 871, 862, 852, 841, 830, 817, 804, 789, 773, 756, 737, 716,
                                      692, 666, 636, 603, 565, 521, 470, 409, 337, 249, 140};
    struct reel_schedule schedule = schedule_of(REEL_UNIPC, 30, 8);
    CHECK(memcmp(schedule.timestep, thirty, sizeof thirty) == 0, "30 steps");
    schedule = schedule_of(REEL_EULER, 50, 8);
    CHECK(memcmp(schedule.timestep, fifty, sizeof fifty) == 0, "50 steps");
    schedule = schedule_of(REEL_UNIPC, 50, 8.1);
    CHECK(memcmp(schedule.timestep, fifty, sizeof fifty) != 0, "another shift goes unnoticed");
}

static void euler_goes_straight_along_the_velocity(void)
{
    struct reel_schedule schedule = schedule_of(REEL_EULER, 6, 8);
    struct reel_solver_state state = {0};
    double moved = 0;
    for (int i = 0; i < 6; i++) {
        struct reel_solver_step step = reel_solver_next(&schedule, &state);
        CHECK(!step.corrects && step.predictor.x == 1 && step.predictor.m0 == 0 && step.predictor.m1 == 0,
              "step %d", i);
        CHECK(step.predictor.v == schedule.sigma[i + 1] - schedule.sigma[i], "step %d", i);
        moved += step.predictor.v;
    }
    CHECK(fabs(moved + schedule.sigma[0]) < 1e-15, "moved %g", moved);
}

static void a_constant_velocity_ends_at_the_clean_frame(void)
{
    float velocity[VALUES];
    for (int k = 0; k < VALUES; k++)
        velocity[k] = (float)k - 2.5f;
    for (int kind = REEL_UNIPC; kind <= REEL_EULER; kind++) {
        struct reel_schedule schedule = schedule_of((enum reel_scheduler)kind, 12, 5);
        struct frame frame = {0};
        for (int i = 0; i < 12; i++)
            take_step(&schedule, &frame, velocity);
        for (int k = 0; k < VALUES; k++)
            CHECK(fabs(frame.x[k] + schedule.sigma[0] * (double)velocity[k]) < 1e-12, "element %d: %g", k,
                  frame.x[k]);
    }
}

static void equal_timesteps_do_not_move_the_start(void)
{
    struct reel_schedule schedule = schedule_of(REEL_UNIPC, 60, 20);
    struct reel_solver_state state = {0};
    CHECK(schedule.timestep[0] == 999 && schedule.timestep[1] == 999, "%lld then %lld",
          (long long)schedule.timestep[0], (long long)schedule.timestep[1]);
    struct reel_solver_step step = reel_solver_next(&schedule, &state);
    CHECK(step.sigma == schedule.sigma[0] && state.step == 1, "starts at %.9g", step.sigma);
}

static void check_refusal(int64_t steps, double shift, const char *key)
{
    struct reel_schedule schedule;
    reel_error_clear();
    enum reel_status status = reel_schedule_make(REEL_UNIPC, steps, shift, &schedule);
    CHECK(status == REEL_BAD_JOB && strstr(reel_error_here()->cause, key), "%lld steps, shift %g: %d %s",
          (long long)steps, shift, status, reel_error_here()->cause);
    reel_error_clear();
}

static void impossible_schedules_are_refused(void)
{
    check_refusal(0, 8, "sampler.steps is 0, expected 1 to 1000");
    check_refusal(1001, 8, "sampler.steps is 1001, expected 1 to 1000");
    check_refusal(30, 0, "sampler.shift is 0:");
    check_refusal(30, -3, "sampler.shift is -3:");
    check_refusal(30, 1e12, "sampler.shift is 1e+12:");
    check_refusal(30, (double)NAN, "sampler.shift is");
    schedule_of(REEL_UNIPC, 1000, 8);
}

int main(void)
{
    RUN(trajectories_are_those_of_the_official_solver);
    RUN(six_steps_have_the_coefficients_of_the_worked_example);
    RUN(every_row_keeps_noise_and_signal_in_balance);
    RUN(thirty_and_fifty_steps_have_the_official_timesteps);
    RUN(euler_goes_straight_along_the_velocity);
    RUN(a_constant_velocity_ends_at_the_clean_frame);
    RUN(equal_timesteps_do_not_move_the_start);
    RUN(impossible_schedules_are_refused);
    return test_end();
}
