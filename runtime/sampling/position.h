/* Where a run stands: what it has done, and how long that took. Counts of chunks, rows and frames are those
 * of the timeline. An attempt is one start of the job, on all its ranks; a job that is preempted takes
 * several.
 *
 * Not collective: every rank counts the same. Only position.c writes the members. */
#ifndef REEL_POSITION_H
#define REEL_POSITION_H

#include "checkpoint.h"
#include "timeline.h"

struct reel_position {
    int64_t first_chunk, first_row; /* where this attempt begins */
    int64_t calls_made;             /* how many of the timeline's calls were made so far */
    int64_t done;                   /* iterations run so far, in all attempts */
    int64_t timed;                  /* iterations run in this attempt */
    int64_t attempts;               /* so far, this one included */
    int64_t finished_frames;        /* latent frames of the video */
    double seconds;                 /* of this attempt's iterations */
    double earlier_seconds;         /* of the iterations of earlier attempts */
    double computed_seconds;        /* of the last iteration that was computed; 0: none yet */
    /* of the current chunk */
    double chunk_seconds, skipped_seconds; /* of its iterations; of the skipped ones */
    int64_t skipped_iterations;
    struct reel_saving *savings; /* TeaCache's savings, for every chunk and branch, in order */
    int64_t saving_count;        /* of the finished chunks */
};

/* The start of a job of that many chunks. REEL_NO_MEMORY. */
enum reel_status reel_position_open(struct reel_position *position, int64_t chunks);
/* Frees the memory; zeros are allowed. */
void reel_position_close(struct reel_position *position);

/* Where a checkpoint was saved. */
void reel_position_restore(struct reel_position *position, const struct reel_checkpoint *saved);

/* Begins chunk k, at the row where this attempt begins if that lies inside it. Returns the row. */
int64_t reel_position_begin(struct reel_position *position, int64_t k);

/* An iteration is done: it made one call for each branch, in `seconds`. */
void reel_position_iterated(struct reel_position *position, const struct reel_timeline *timeline,
                            int64_t branches, double seconds);

/* The chunk is done: estimates what skipping saved, from the mean seconds of its computed iterations. */
void reel_position_finish(struct reel_position *position, const struct reel_timeline *timeline,
                          const struct reel_chunk *chunk, int64_t branches);

#endif
