/* The time embedding in double, on the host. */
#include "teacache.h"

#include "elements.h"
#include "time_formula.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct host {
    reel_tensor_source *tensor;
    void *context;
};

/* The dot product x . w, in an order of additions that depends on the count alone. */
REEL_SIMD
static double dot(const double *x, const float *w, int64_t count)
{
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    int64_t whole = count - count % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += x[i + j] * (double)w[i + j];
    for (int64_t i = whole; i < count; i++)
        lane[i - whole] += x[i] * (double)w[i];
    for (int64_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

/* y [rows, out] = x [rows, in] weight^T + bias. */
static void multiply_layer(const struct reel_time_layer *layer, int64_t rows, const double *x,
                           const float *weight, const float *bias, double *y)
{
#pragma omp parallel for
    for (int64_t o = 0; o < layer->out; o++)
        for (int64_t r = 0; r < rows; r++)
            y[r * layer->out + o] =
                dot(x + r * layer->in, weight + o * layer->in, layer->in) + (double)bias[o];
}

static enum reel_status silu(void *context, int64_t count, const void *x, void *y)
{
    const double *from = x;
    double *to = y;
    (void)context;
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i] / (1 + exp(-from[i]));
    return REEL_OK;
}

/* The bias is read first and copied, because the source may read the weight into the same memory. */
static enum reel_status linear(void *context, const struct reel_time_layer *layer, int64_t rows,
                               const void *x, void *y)
{
    const struct host *host = context;
    float *bias = malloc((size_t)layer->out * sizeof *bias);
    REEL_NEED(bias, REEL_NO_MEMORY, "no memory for the time embedding");
    const float *given = host->tensor(host->context, layer->bias);
    if (given)
        memcpy(bias, given, (size_t)layer->out * sizeof *bias);
    const float *weight = given ? host->tensor(host->context, layer->weight) : NULL;
    if (weight)
        multiply_layer(layer, rows, x, weight, bias, y);
    free(bias);
    if (!weight)
        return reel_error_here()->status;
    return layer->silu ? silu(context, rows * layer->out, y, y) : REEL_OK;
}

/* e0 += g, the same for every row. work: 8 D elements. */
static enum reel_status add_fps(const struct reel_time_arithmetic *arithmetic, const struct reel_model *model,
                                int64_t fps, int64_t rows, double *work, double *e0)
{
    const struct host *host = arithmetic->context;
    int64_t D = model->width;
    double *f = work, *hidden = f + D, *g = hidden + D;
    const float *table = host->tensor(host->context, REEL_FPS_ROWS);
    if (!table)
        return reel_error_here()->status;
    for (int64_t i = 0; i < D; i++)
        f[i] = (double)table[reel_fps_row(fps) * D + i];
    REEL_PASS(reel_fps_formula(arithmetic, model, f, hidden, g));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < 6 * D; i++)
            e0[r * 6 * D + i] += g[i];
    return REEL_OK;
}

/* s has room for s [R, frequencies], hidden [R, D], e [R, D] and 8 D more. */
static enum reel_status make_signals(const struct reel_time_arithmetic *arithmetic,
                                     const struct reel_timestep_table *table, const struct reel_model *model,
                                     int64_t fps, enum reel_teacache_mode mode, double *s, double *signals)
{
    int64_t D = model->width, Q = model->frequencies, R = table->rows;
    double *hidden = s + R * Q, *e = hidden + R * D;
    for (int64_t i = 0; i < R * Q; i++)
        s[i] = reel_sinusoid(table->timestep[i / Q], Q, i % Q);
    if (mode == REEL_TEACACHE_E)
        return reel_time_formula(arithmetic, model, R, s, hidden, signals, NULL);
    REEL_PASS(reel_time_formula(arithmetic, model, R, s, hidden, e, signals));
    return model->has_fps ? add_fps(arithmetic, model, fps, R, e + R * D, signals) : REEL_OK;
}

enum reel_status reel_teacache_signals(const struct reel_timestep_table *table,
                                       const struct reel_model *model, reel_tensor_source *tensor,
                                       void *context, int64_t fps, enum reel_teacache_mode mode,
                                       double *signals)
{
    struct host host = {tensor, context};
    const struct reel_time_arithmetic arithmetic = {linear, silu, &host};
    int64_t D = model->width;
    double *work = malloc((size_t)(table->rows * (model->frequencies + 2 * D) + 8 * D) * sizeof *work);
    REEL_NEED(work, REEL_NO_MEMORY, "no memory for the time embedding in double");
    enum reel_status status = make_signals(&arithmetic, table, model, fps, mode, work, signals);
    free(work);
    return status;
}
