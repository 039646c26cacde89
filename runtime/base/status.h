/* What went wrong, once: a status, one sentence with the values that matter, and what reel was doing.
 *
 * The function that first knows of an error names it; on the way up, hops that know what the user asked for add what they
 * were doing (REEL_TRY), others pass it on (REEL_PASS); only main prints. A status is the program's exit code.
 *
 *     REEL_NEED(frames % 4 == 1, REEL_BAD_JOB, "%s: video.frames is %d, expected 4k+1", path, frames);
 *     REEL_TRY(reel_job_load(path, &job), "reading the job file");
 *
 * prints, from main:
 *
 *     reel: error: job.yaml: video.frames is 96, expected 4k+1
 *       while reading the job file
 *
 * The record is kept per thread. Nothing here is collective; reel_agree (comm.h) makes one verdict of all ranks'. */
#ifndef REEL_STATUS_H
#define REEL_STATUS_H

enum reel_status {
    REEL_OK = 0,
    REEL_BAD_JOB = 2,     /* the command line or the job file */
    REEL_BAD_PLAN = 3,    /* does not fit, does not divide */
    REEL_BAD_INPUT = 4,   /* an input file, the weights or a checkpoint */
    REEL_BAD_OUTPUT = 5,  /* the output or a checkpoint could not be written */
    REEL_NO_MEMORY = 10,  /* the host or a device is out of memory */
    REEL_BAD_DEVICE = 11, /* a device or its library failed */
    REEL_BAD_COMM = 12,   /* communication failed, hung, or a rank was lost */
    REEL_INTERNAL = 70,   /* a defect of reel, or numbers that are no longer finite */
    REEL_PREEMPTED = 75   /* saved; start the same command again */
};

enum { REEL_CAUSE_BYTES = 2048, REEL_TRAIL_BYTES = 1024 };

/* The error of this thread; status REEL_OK when there is none. Plain bytes, so that it can be sent to other
 * ranks. */
struct reel_error {
    enum reel_status status;
    char cause[REEL_CAUSE_BYTES]; /* one sentence of printable UTF-8, cut at the end if longer */
    char trail[REEL_TRAIL_BYTES]; /* what reel was doing, innermost first, one line each */
};

/* Not collective. Records the cause unless an earlier one stands (cleanup never hides the first error);
 * returns status. */
enum reel_status reel_fail(enum reel_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Not collective. Adds one line to the trail of the error that stands; nothing when there is none. */
void reel_trail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Not collective. The error of this thread, to read or to send. */
const struct reel_error *reel_error_here(void);

/* Not collective. Another error, received or kept, becomes the error of this thread; returns its status. */
enum reel_status reel_error_set(const struct reel_error *error);

/* Not collective. The error that stands is of another kind to the caller: a file that could not be read back was to be
 * written. Cause and trail stay. Returns status; without an error nothing changes and it is REEL_OK. */
enum reel_status reel_error_recast(enum reel_status status);

/* Not collective. Forgets the error of this thread. */
void reel_error_clear(void);

#define REEL_NEED(condition, status, ...)                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return reel_fail((status), __VA_ARGS__);                                                         \
    } while (0)

#define REEL_TRY(call, ...)                                                                                  \
    do {                                                                                                     \
        enum reel_status reel_tried = (call);                                                                \
        if (reel_tried != REEL_OK) {                                                                         \
            reel_trail(__VA_ARGS__);                                                                         \
            return reel_tried;                                                                               \
        }                                                                                                    \
    } while (0)

/* As REEL_TRY, where the cause says it all. */
#define REEL_PASS(call)                                                                                      \
    do {                                                                                                     \
        enum reel_status reel_tried = (call);                                                                \
        if (reel_tried != REEL_OK)                                                                           \
            return reel_tried;                                                                               \
    } while (0)

#endif
