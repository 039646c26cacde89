/* A calibration file: coefficients that reel calibrate fitted for one model and job, as JSON.
 *
 *     {"reel_calibration": 1, "mode": "e0", "coefficients": [..], "range": [0.012, 0.31], "job": "..."}
 *
 * Not collective. */
#ifndef REEL_CALIBRATION_H
#define REEL_CALIBRATION_H

#include "job.h"
#include "status.h"

struct reel_calibration {
    enum reel_teacache_mode mode;
    int64_t coefficient_count;
    double coefficients[REEL_COEFFICIENTS_MAX]; /* highest power first */
    double min, max;                            /* distances that they were fitted on */
};

/* REEL_BAD_INPUT when the file is no calibration, with what was expected. */
enum reel_status reel_calibration_read(const char *path, struct reel_calibration *calibration);

/* Writes it, aside and then renamed, with the job it was made of as text; REEL_BAD_OUTPUT, REEL_NO_MEMORY. */
enum reel_status reel_calibration_write(const char *path, const struct reel_calibration *calibration,
                                        const char *job_text);

#endif
