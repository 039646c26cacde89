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
    double min, max;                            /* range of the distances that they were fitted on */
};

/* Reads a file. REEL_BAD_INPUT when it is no calibration file; the message says what was expected. */
enum reel_status reel_calibration_read(const char *path, struct reel_calibration *calibration);

/* Writes a file that contains the text of the job it was fitted for. It is written under a temporary name
 * and then renamed. REEL_BAD_OUTPUT, REEL_NO_MEMORY. */
enum reel_status reel_calibration_write(const char *path, const struct reel_calibration *calibration,
                                        const char *job_text);

#endif
