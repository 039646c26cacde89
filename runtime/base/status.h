/* Errors: a status, one sentence with the values that matter (the cause), and what reel was doing (the
 * trail).
 *
 * The function that finds an error records its cause. On the way up, a function that knows what the user
 * asked for adds to the trail what it was doing (REEL_TRY), and the others return the status as it is
 * (REEL_PASS) to main, which prints the error. A status is the program's exit code.
 *
 *     REEL_NEED(frames % 4 == 1, REEL_BAD_JOB, "%s: video.frames is %d, expected 4k+1", path, frames);
 *     REEL_TRY(reel_job_load(path, &job), "reading the job file");
 *
 * prints, from main:
 *
 *     reel: error: job.yaml: video.frames is 96, expected 4k+1
 *       while reading the job file
 *
 * Each thread has its own record. Nothing here is collective; reel_agree (comm.h) gives all ranks the same
 * error. */
#ifndef REEL_STATUS_H
#define REEL_STATUS_H

enum reel_status {
    REEL_OK = 0,
    REEL_BAD_JOB = 2,     /* the command line or the job file */
    REEL_BAD_PLAN = 3,    /* the job does not fit in memory, or does not divide over the ranks */
    REEL_BAD_INPUT = 4,   /* an input file, the weights or a checkpoint */
    REEL_BAD_OUTPUT = 5,  /* the output or a checkpoint could not be written */
    REEL_NO_MEMORY = 10,  /* the host or a device is out of memory */
    REEL_BAD_DEVICE = 11, /* a device or its library failed */
    REEL_BAD_COMM = 12,   /* communication failed, hung, or a rank was lost */
    REEL_INTERNAL = 70,   /* a defect of reel, or values that are no longer finite */
    REEL_PREEMPTED = 75   /* the run was saved; start the same command again to resume it */
};

enum { REEL_CAUSE_BYTES = 2048, REEL_TRAIL_BYTES = 1024 };

/* The error of a thread; status is REEL_OK when there is none. It has no pointers, so that it can be sent to
 * other ranks. */
struct reel_error {
    enum reel_status status;
    char cause[REEL_CAUSE_BYTES]; /* one sentence of printable UTF-8, cut at the end if longer */
    char trail[REEL_TRAIL_BYTES]; /* what reel was doing, innermost first, one line each */
};

/* Not collective. Records an error of this status and cause, unless this thread already has one: cleanup
 * never hides the first error. Returns status. */
enum reel_status reel_fail(enum reel_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Not collective. Adds one line to the trail of this thread's error; does nothing when there is none. */
void reel_trail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Not collective. The error of this thread, to be read or sent. */
const struct reel_error *reel_error_here(void);

/* Not collective. Replaces the error of this thread by another, which was received or kept; returns its
 * status. */
enum reel_status reel_error_set(const struct reel_error *error);

/* Not collective. Changes the status of this thread's error, for a caller to whom it is of another kind:
 * REEL_BAD_INPUT becomes REEL_BAD_OUTPUT when a file that was just written cannot be read back. Cause and
 * trail stay. Without an error nothing changes. Returns status. */
enum reel_status reel_error_recast(enum reel_status status);

/* Not collective. Removes the error of this thread. */
void reel_error_clear(void);

/* Returns from the calling function with an error of this status and cause unless the condition holds. */
#define REEL_NEED(condition, status, ...)                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return reel_fail((status), __VA_ARGS__);                                                         \
    } while (0)

/* Where the call fails, adds a line to the trail and returns the call's status from the calling function. */
#define REEL_TRY(call, ...)                                                                                  \
    do {                                                                                                     \
        enum reel_status reel_tried = (call);                                                                \
        if (reel_tried != REEL_OK) {                                                                         \
            reel_trail(__VA_ARGS__);                                                                         \
            return reel_tried;                                                                               \
        }                                                                                                    \
    } while (0)

/* As REEL_TRY, but adds nothing to the trail: for calls whose cause needs no context. */
#define REEL_PASS(call)                                                                                      \
    do {                                                                                                     \
        enum reel_status reel_tried = (call);                                                                \
        if (reel_tried != REEL_OK)                                                                           \
            return reel_tried;                                                                               \
    } while (0)

#endif
