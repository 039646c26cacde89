/* The events that a run reports to its observer: to the log, the progress lines, or a test.
 *
 * Only rank 0's observer receives events. Fields that an event does not name are zero. */
#ifndef REEL_EVENT_H
#define REEL_EVENT_H

#include "buffers.h"
#include "comm.h"
#include "job.h"
#include "timeline.h"
#include "weights.h"

enum reel_event_kind {
    /* where a rank computes: rank, text */
    REEL_EVENT_DEVICE,
    /* the plan is made: plan, plan_hash, text (why this mesh), bytes (that a rank may take), libraries_bytes,
     * threads, chunks, iterations */
    REEL_EVENT_PLAN,
    /* weights are being read: done, all, seconds (so far) */
    REEL_EVENT_LOADING,
    /* weights are loaded: bytes (read by all ranks), seconds, loaded, ranks */
    REEL_EVENT_WEIGHTS,
    /* an iteration is done: chunk, chunks, iteration, of, computed, seconds, done, iterations,
     * seconds_left */
    REEL_EVENT_STEP,
    /* a chunk is finished and written: plan, chunk, chunks, finished_frames, seconds, picture, savings */
    REEL_EVENT_CHUNK,
    /* a checkpoint was saved, or could not be: chunk, iteration, text (the file, or the cause of the
     * failure), bytes (0: not saved), seconds, why, notice_seconds */
    REEL_EVENT_CHECKPOINT,
    /* a line for the user: text; "warning: ..." for warnings */
    REEL_EVENT_NOTE,
    /* the job is complete: plan, seconds, finished_frames, savings, reports, ranks */
    REEL_EVENT_DONE
};

/* The memory that one rank held and the bytes that it sent over a run. */
struct reel_report {
    int64_t planned_bytes[REEL_MEMORIES], peak_bytes[REEL_MEMORIES];
    int64_t process_peak_bytes; /* of the process's resident memory */
    int64_t planned_sent_bytes[REEL_TRAFFIC_CLASSES], sent_bytes[REEL_TRAFFIC_CLASSES];
};

/* The finished latents, for previews. */
struct reel_picture {
    const float *latents; /* [channels, video_frames, rows, columns] */
    int64_t channels, video_frames, rows, columns;
    int64_t first_frame,
        prefix_frames; /* of the chunk: its start in the video, and its frames that an earlier chunk made */
};

struct reel_event {
    enum reel_event_kind kind;
    const struct reel_plan *plan;
    uint64_t plan_hash;      /* XXH3 of the plan's bytes: runs with the same hash have the same plan */
    int64_t libraries_bytes; /* expected for libraries, in addition to the plan */
    const char *text;
    int64_t chunk, chunks;
    int64_t iteration, of;    /* row of the chunk's timestep matrix, and its number of rows */
    int64_t done, iterations; /* run so far in the job, and in all; in LOADING done is load units read */
    int64_t all;              /* load units in all */
    int64_t computed[2];      /* per branch: 1 computed, 0 skipped, -1 no such branch */
    double seconds, seconds_left;
    const char *why;       /* of a checkpoint: "chunk", "iterations", "notice", "time limit" */
    double notice_seconds; /* from the notice to the end of the save; negative: there was no notice */
    int64_t bytes;
    int64_t threads;         /* per rank */
    int64_t finished_frames; /* latent frames */
    struct reel_picture picture;
    const struct reel_saving *savings; /* of the chunk, or of all chunks */
    int64_t saving_count;
    const struct reel_loaded *loaded;  /* [ranks] */
    const struct reel_report *reports; /* [ranks] */
    int64_t rank, ranks;
};

/* Either function may be NULL. see receives every event. measure receives an iteration's velocities before
 * guidance combines them: [branches, channels, frames of the row's interval, rows, columns], valid during the
 * call. */
struct reel_observer {
    void (*see)(void *context, const struct reel_event *event);
    void (*measure)(void *context, int64_t chunk, int64_t iteration, const float *velocity);
    void *context;
};

/* Not collective. The observer of this rank: the given one on rank 0, one that observes nothing elsewhere. */
struct reel_observer reel_observer_of(const struct reel_comm *comm, const struct reel_observer *observer);

/* Not collective. Gives the event to the observer. */
void reel_tell(const struct reel_observer *observer, const struct reel_event *event);

/* Not collective. Gives the observer a REEL_EVENT_NOTE with that text. */
void reel_note(const struct reel_observer *observer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
