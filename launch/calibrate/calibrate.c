/* Measures how far the transformer's output moves from call to call. */
#include "calibrate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fills the forecast with the distance of every call. The TeaCache rule that this needs is a dummy: with
 * threshold 0 it computes every call. */
static enum reel_status find_distances(const struct reel_job *job, int64_t ranks,
                                       struct reel_forecast *forecast)
{
    struct reel_job *plain = malloc(sizeof *plain);
    const struct reel_machine machine = {.device = reel_device_rates_core, .ranks_per_node = ranks};
    REEL_NEED(plain, REEL_NO_MEMORY, "no memory for the job");
    *plain = *job;
    plain->teacache.threshold = 0;
    plain->teacache.coefficient_count = 1;
    plain->teacache.coefficients[0] = 1;
    plain->teacache.coefficient_file[0] = '\0';
    enum reel_status status = reel_forecast_open(plain, ranks, &machine, forecast);
    free(plain);
    REEL_PASS(status);
    forecast->job = job;
    if (!forecast->undecided[0])
        return REEL_OK;
    reel_forecast_close(forecast);
    return reel_fail(REEL_BAD_INPUT, "%s", forecast->undecided);
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* A fit needs at least as many different distances as the polynomial has coefficients. Chunks with the same
 * timesteps have the same distances up to rounding, hence the tolerance of 1e-9. */
static enum reel_status check_distances(const struct reel_timeline *timeline)
{
    int64_t count = 0, different = 0;
    double *distance = malloc((size_t)(timeline->call_count + 1) * sizeof *distance);
    REEL_NEED(distance, REEL_NO_MEMORY, "no memory for %" PRId64 " distances", timeline->call_count);
    for (int64_t c = 0; c < timeline->call_count; c++)
        if (isfinite(timeline->calls[c].distance))
            distance[count++] = timeline->calls[c].distance;
    qsort(distance, (size_t)count, sizeof *distance, ascending);
    for (int64_t i = 0; i < count; i++)
        different += i == 0 || distance[i] > distance[i - 1] * (1 + 1e-9);
    free(distance);
    REEL_NEED(different > REEL_POLYNOMIAL_DEGREE, REEL_BAD_JOB,
              "the job's iterations have %" PRId64
              " different distances to the one before, expected %d or more: raise sampler.steps",
              different, REEL_POLYNOMIAL_DEGREE + 1);
    return REEL_OK;
}

/* Elements of one latent frame of one channel. */
static int64_t plane_of(const struct reel_calibrate *calibrate)
{
    const struct reel_forecast *forecast = &calibrate->forecast;
    return reel_model_patch_latents(&forecast->model) * forecast->work.H * forecast->work.W;
}

enum reel_status reel_calibrate_open(const struct reel_job *job, int64_t ranks,
                                     struct reel_calibrate *calibrate)
{
    struct reel_forecast *forecast = &calibrate->forecast;
    *calibrate = (struct reel_calibrate){.job = job, .branches = job->sampler.guidance_scale > 1 ? 2 : 1};
    REEL_PASS(find_distances(job, ranks, forecast));
    enum reel_status status = check_distances(&forecast->timeline);
    int64_t elements = calibrate->branches * forecast->model.out_channels * forecast->work.window_frames *
                       plane_of(calibrate);
    calibrate->before = malloc((size_t)elements * sizeof *calibrate->before);
    calibrate->points = malloc((size_t)forecast->timeline.call_count * sizeof *calibrate->points);
    if (status == REEL_OK && !(calibrate->before && calibrate->points))
        status = reel_fail(REEL_NO_MEMORY,
                           "no memory for the velocities of an iteration, %" PRId64 " elements", elements);
    if (status != REEL_OK)
        reel_calibrate_close(calibrate);
    return status;
}

/* The relative L1 change of a branch's velocity, [channels, window, plane], from then to now, over the frames
 * f with counts[f]; over all frames where counts is NULL. */
static double change_of(const struct reel_calibrate *calibrate, const uint8_t *counts, int64_t window,
                        const float *now, const float *then)
{
    double difference = 0, magnitude = 0;
    int64_t plane = plane_of(calibrate);
    for (int64_t c = 0; c < calibrate->forecast.model.out_channels; c++)
        for (int64_t f = 0; f < window; f++, now += plane, then += plane)
            for (int64_t i = 0; (!counts || counts[f]) && i < plane; i++) {
                difference += fabs((double)now[i] - (double)then[i]);
                magnitude += fabs((double)then[i]);
            }
    return difference / magnitude;
}

void reel_calibrate_measure(void *context, int64_t chunk, int64_t iteration, const float *velocity)
{
    struct reel_calibrate *calibrate = context;
    const struct reel_timesteps *matrix = &calibrate->forecast.timeline.matrices[chunk];
    int64_t first = matrix->interval[2 * iteration], window = matrix->interval[2 * iteration + 1] - first;
    int64_t count = calibrate->forecast.model.out_channels * window * plane_of(calibrate);
    const uint8_t *mask = matrix->update + iteration * matrix->frames + first;
    int all = calibrate->job->teacache.metric == REEL_METRIC_ALL;
    for (int64_t branch = 0; branch < calibrate->branches; branch++) {
        const struct reel_call *call = &calibrate->forecast.timeline.calls[calibrate->call++];
        struct reel_calibrate_point point = {chunk, iteration, branch, call->distance, 0};
        if (!isfinite(call->distance))
            continue;
        point.change = change_of(calibrate, all ? NULL : mask, window, velocity + branch * count,
                                 calibrate->before + branch * count);
        if (isfinite(point.change)) /* the change is not finite where the previous output was all zero */
            calibrate->points[calibrate->point_count++] = point;
    }
    memcpy(calibrate->before, velocity, (size_t)(calibrate->branches * count) * sizeof *velocity);
}

enum reel_status reel_calibrate_fit(struct reel_calibrate *calibrate)
{
    int64_t count = calibrate->point_count;
    double *x = malloc((size_t)(2 * count + 1) * sizeof *x), *y = x + count;
    REEL_NEED(x, REEL_NO_MEMORY, "no memory to fit %" PRId64 " points", count);
    for (int64_t p = 0; p < count; p++) {
        x[p] = calibrate->points[p].distance;
        y[p] = calibrate->points[p].change;
    }
    enum reel_status status = reel_polynomial_fit(count, x, y, &calibrate->fit);
    free(x);
    return status;
}

void reel_calibrate_close(struct reel_calibrate *calibrate)
{
    reel_forecast_close(&calibrate->forecast);
    free(calibrate->before);
    free(calibrate->points);
    calibrate->before = NULL;
    calibrate->points = NULL;
}
