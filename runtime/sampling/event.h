/* What a run tells whoever watches it: the log, the progress lines, a test.
 *
 * Events reach the observer of rank 0 only. Fields that an event does not name are zero. */
#ifndef REEL_EVENT_H
#define REEL_EVENT_H

#include "comm.h"
#include "job.h"
#include "timeline.h"
#include "plan.h"
#include "weights.h"

enum reel_event_kind {
    REEL_EVENT_DEVICE, /* where a rank computes: rank, text */
    REEL_EVENT_PLAN, /* the plan is made: plan, why (text), bytes that a rank may take, threads, chunks, iterations */
    REEL_EVENT_LOADING, /* weights are being read: done, all, seconds so far */
    REEL_EVENT_WEIGHTS, /* weights are in place: bytes of all, seconds, what loading was for every rank */
    REEL_EVENT_STEP, /* an iteration is done: chunk, iteration, of, seconds, done, iterations, seconds_left */
    REEL_EVENT_CHUNK, /* a chunk is finished and written: chunk, chunks, finished_frames, seconds, picture */
    REEL_EVENT_CHECKPOINT, /* saved, or not: chunk, iteration, text (the file, or why not), bytes (0: not saved), seconds,
                            * why, notice_seconds */
    REEL_EVENT_NOTE, /* something worth a line: text */
    REEL_EVENT_DONE  /* the job is complete: seconds, finished_frames, reports of all ranks */
};

/* What one rank held and sent over a run. */
struct reel_report {
    int64_t planned_bytes[REEL_MEMORIES], peak_bytes[REEL_MEMORIES];
    int64_t process_peak_bytes; /* of resident memory */
    int64_t planned_sent_bytes[REEL_TRAFFIC_CLASSES], sent_bytes[REEL_TRAFFIC_CLASSES];
};

/* The finished latents, for those who want to look at them. */
struct reel_picture {
    const float *latents; /* [channels, video_frames, rows, columns] */
    int64_t channels, video_frames, rows, columns;
    int64_t first_frame,
        prefix_frames; /* of the chunk: where it starts in the video, and how much of it is older */
};

struct reel_event {
    enum reel_event_kind kind;
    const struct reel_plan *plan;
    uint64_t plan_hash;      /* XXH3 of the plan's bytes: two runs of one hash have one plan */
    int64_t libraries_bytes; /* planned for libraries, beside the plan */
    const char *text;
    int64_t chunk, chunks;
    int64_t iteration, of;    /* of this chunk, and how many it has */
    int64_t done, iterations; /* run so far in the job, and in all */
    int64_t all;              /* pieces of weights, of which done are read */
    int64_t computed[2];      /* per branch: 1 computed, 0 skipped, -1 no such branch */
    double seconds, seconds_left;
    const char *why;       /* of a checkpoint: "chunk", "iterations", "notice", "time limit" */
    double notice_seconds; /* from the notice to the end of the save; negative: there was none */
    int64_t bytes;
    int64_t threads;         /* of a rank */
    int64_t finished_frames; /* latent frames */
    struct reel_picture picture;
    const struct reel_saving *savings; /* of the chunk, or of all */
    int64_t saving_count;
    const struct reel_loaded *loaded;  /* [ranks] */
    const struct reel_report *reports; /* [ranks] */
    int64_t rank, ranks;
};

/* Either function may be NULL. measure gets the velocities of an iteration before they are guided into one: [branches,
 * channels, frames of its interval, rows, columns], valid during the call. */
struct reel_observer {
    void (*see)(void *context, const struct reel_event *event);
    void (*measure)(void *context, int64_t chunk, int64_t iteration, const float *velocity);
    void *context;
};

#endif
