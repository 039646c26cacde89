/* The layers of the time embedding, in order. */
#include "time_formula.h"

#include <math.h>

double reel_sinusoid(int64_t timestep, int64_t frequencies, int64_t k)
{
    int64_t half = frequencies / 2;
    double angle = (double)timestep * pow(10000.0, -(double)(k % half) / (double)half);
    return k < half ? cos(angle) : sin(angle);
}

enum reel_status reel_time_formula(const struct reel_time_arithmetic *a, const struct reel_model *model,
                                   int64_t rows, const void *s, void *hidden, void *e, void *e0)
{
    int64_t Q = model->frequencies, D = model->width;
    const struct reel_time_layer in = {REEL_TIME_IN_WEIGHT, REEL_TIME_IN_BIAS, Q, D, 1},
                                 out = {REEL_TIME_OUT_WEIGHT, REEL_TIME_OUT_BIAS, D, D, 0},
                                 projection = {REEL_TIME_PROJECTION_WEIGHT, REEL_TIME_PROJECTION_BIAS, D,
                                               6 * D, 0};
    REEL_PASS(a->linear(a->context, &in, rows, s, hidden));
    REEL_PASS(a->linear(a->context, &out, rows, hidden, e));
    if (!e0)
        return REEL_OK;
    REEL_PASS(a->silu(a->context, rows * D, e, hidden));
    return a->linear(a->context, &projection, rows, hidden, e0);
}

int64_t reel_fps_row(int64_t fps)
{
    return fps == 16 ? 0 : 1;
}

enum reel_status reel_fps_formula(const struct reel_time_arithmetic *a, const struct reel_model *model,
                                  const void *f, void *hidden, void *g)
{
    int64_t D = model->width;
    const struct reel_time_layer in = {REEL_FPS_IN_WEIGHT, REEL_FPS_IN_BIAS, D, D, 1},
                                 out = {REEL_FPS_OUT_WEIGHT, REEL_FPS_OUT_BIAS, D, 6 * D, 0};
    REEL_PASS(a->linear(a->context, &in, 1, f, hidden));
    return a->linear(a->context, &out, 1, hidden, g);
}
