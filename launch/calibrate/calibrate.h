/* What reel calibrate measures over an uncached run, and what it makes of it.
 *
 * Of every call it takes the point (distance, change): distance is TeaCache's, of the call's signal from that of
 * the call before; change is the relative L1 change of the transformer's output, the velocity of a branch before
 * guidance, over the same frames:
 *
 *     change_i = sum_f |v_f(i) - v_f(i-1)|_1 / sum_f |v_f(i-1)|_1     f: frames of the mask (active), or all
 *
 * as TeaCache's published coefficients are fitted (Liu et al. 2025). Calls that have no comparable one before
 * them, the first of a chunk and those whose window has moved, give no point.
 *
 *     struct reel_calibrate calibrate;
 *     REEL_PASS(reel_calibrate_open(&job, ranks, &calibrate));    distances and memory, before weights are read
 *     observer.measure = reel_calibrate_measure;  ...                 the run fills the points
 *     REEL_PASS(reel_calibrate_fit(&calibrate));
 *     reel_calibrate_print(&calibrate, stdout);
 *     reel_calibrate_close(&calibrate);
 *
 * On rank 0; not collective. */
#ifndef REEL_CALIBRATE_H
#define REEL_CALIBRATE_H

#include "job.h"
#include "timeline.h"
#include "plan_forecast.h"
#include "polynomial.h"
#include "status.h"

#include <stdint.h>
#include <stdio.h>

struct reel_calibrate_point {
    int64_t chunk, iteration, branch;
    double distance, change;
};

struct reel_calibrate {
    const struct reel_job *job; /* teacache.mode is what is calibrated */
    struct reel_forecast forecast;
    int64_t branches;
    float *before; /* the velocities of the iteration before, [branches, channels, window, rows, columns] */
    int64_t call;  /* of forecast.outline.calls: the next one to measure */
    struct reel_calibrate_point *points;
    int64_t point_count;
    struct reel_polynomial fit;
};

/* job has mode e or e0, and outlives it. REEL_BAD_JOB when the job has too few different distances for a fit, and
 * the errors of a plan; nothing is left to close then. */
enum reel_status reel_calibrate_open(const struct reel_job *job, int64_t ranks,
                                     struct reel_calibrate *calibrate);

/* A reel_observer's measure, context is the calibrate. */
void reel_calibrate_measure(void *context, int64_t chunk, int64_t iteration, const float *velocity);

/* Fits the points. REEL_NO_MEMORY. */
enum reel_status reel_calibrate_fit(struct reel_calibrate *calibrate);

void reel_calibrate_close(struct reel_calibrate *calibrate);

/* What came of it, for people and as one JSON object with every point; file and plot say where it was written. */
void reel_calibrate_print(const struct reel_calibrate *calibrate, const char *file, const char *plot,
                          FILE *to);
enum reel_status reel_calibrate_print_json(const struct reel_calibrate *calibrate, const char *file,
                                           const char *plot, FILE *to);

/* The points and the curve over the distance, and both over the iterations, as a PNG. */
enum reel_status reel_calibrate_plot(const struct reel_calibrate *calibrate, const char *path);

#endif
