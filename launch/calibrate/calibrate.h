/* What reel calibrate measures during an uncached run, and the polynomial it fits to the measurements.
 *
 * A call gives one point (distance, change). distance is TeaCache's distance between the call's signal and
 * the signal of the previous call. change is the relative L1 change of the transformer's output (the velocity
 * of one branch, before guidance) since the previous call, over the same frames:
 *
 *     change_i = sum_f |v_f(i) - v_f(i-1)|_1 / sum_f |v_f(i-1)|_1     f: frames of the mask (active), or all
 *
 * TeaCache's published coefficients are fitted in the same way (Liu et al. 2025). A call that has no
 * comparable previous call gives no point: the first call of a chunk, and a call whose window has moved.
 *
 *     struct reel_calibrate calibrate;
 *     REEL_PASS(reel_calibrate_open(&job, ranks, &calibrate));    distances; before the run loads weights
 *     observer.measure = reel_calibrate_measure; ...                  the run adds the points
 *     REEL_PASS(reel_calibrate_fit(&calibrate));
 *     reel_calibrate_print(&calibrate, "job.coefficients.json", "job.coefficients.png", stdout);
 *     reel_calibrate_close(&calibrate);
 *
 * For rank 0. Not collective. */
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
    const struct reel_job *job; /* its teacache.mode, e or e0, is the mode to calibrate */
    struct reel_forecast forecast;
    int64_t branches;
    float *before; /* velocities of the previous iteration, [branches, channels, window, rows, columns] */
    int64_t call;  /* index in forecast.timeline.calls of the next call to measure */
    struct reel_calibrate_point *points;
    int64_t point_count;
    struct reel_polynomial fit;
};

/* Computes the distances and allocates memory. The job's teacache.mode is e or e0; the job must outlive
 * *calibrate. REEL_BAD_JOB when the job has too few different distances for a fit, REEL_BAD_INPUT when the
 * time embedding cannot be read, REEL_NO_MEMORY, and the errors of a plan. After an error there is nothing to
 * close. */
enum reel_status reel_calibrate_open(const struct reel_job *job, int64_t ranks,
                                     struct reel_calibrate *calibrate);

/* The measure function of a struct reel_observer. context is the struct reel_calibrate; velocity is
 * [branches, channels, window, rows, columns]. */
void reel_calibrate_measure(void *context, int64_t chunk, int64_t iteration, const float *velocity);

/* Fits calibrate->fit to the points. REEL_NO_MEMORY; REEL_INTERNAL when there is no point. */
enum reel_status reel_calibrate_fit(struct reel_calibrate *calibrate);

void reel_calibrate_close(struct reel_calibrate *calibrate);

/* Print the result: as text, or as one JSON object with every point. file and plot are the paths of the
 * coefficients and of the plot, which the caller has already written. The JSON fails with REEL_NO_MEMORY. */
void reel_calibrate_print(const struct reel_calibrate *calibrate, const char *file, const char *plot,
                          FILE *to);
enum reel_status reel_calibrate_print_json(const struct reel_calibrate *calibrate, const char *file,
                                           const char *plot, FILE *to);

/* Writes a PNG with two panels: the points and the fitted curve over the distance, and both over the calls.
 * REEL_BAD_OUTPUT, REEL_NO_MEMORY. */
enum reel_status reel_calibrate_plot(const struct reel_calibrate *calibrate, const char *path);

#endif
