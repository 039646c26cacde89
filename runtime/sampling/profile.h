/* The profile of a run: one iteration of all ranks, on one clock, in one file. It is the second iteration
 * that this attempt computes, or the first where there is only one.
 *
 * Only profile.c writes the members. */
#ifndef REEL_PROFILE_H
#define REEL_PROFILE_H

#include "engine.h"
#include "run.h"

struct reel_profile {
    const char *file;           /* "": none. The same on every rank; rank 0 writes it */
    int64_t max_spans;          /* of a rank */
    int64_t call;               /* index of the iteration's first call; -1: not chosen yet */
    int on_device;              /* 1: the device records events, so that its work is timed */
    int64_t ahead_ns, trip_ns;  /* rank 0's clock minus this rank's; the round trip that measured it */
    int64_t began_ns, ended_ns; /* began by rank 0's clock, ended by this rank's */
};

/* Not collective. file NULL: no profile. spans: the most that a rank records; 0: 131,072. file must outlive
 * *profile. */
void reel_profile_open(struct reel_profile *profile, const char *file, int64_t spans);

/* Collective over world; they enclose an iteration. If it is the one to profile, before starts the recording
 * and after writes the file; ran is 0 if the iteration was cancelled. If a profile fails, rank 0 logs it and
 * the run continues, unless the ranks cannot communicate: REEL_BAD_COMM. */
enum reel_status reel_profile_before(struct reel_profile *profile, struct reel_engine *engine,
                                     const struct reel_run *run, int64_t row);
enum reel_status reel_profile_after(struct reel_profile *profile, struct reel_engine *engine,
                                    const struct reel_run *run, int64_t row, int ran);

/* Not collective. Logs that no profile was written, if one was asked for and no iteration was left to
 * compute. */
void reel_profile_end(const struct reel_profile *profile, const struct reel_run *run);

/* Not collective. Stops a recording that a failure has left. */
void reel_profile_close(struct reel_profile *profile);

#endif
