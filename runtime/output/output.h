/* The output file: HDF5, rewritten aside and renamed after every chunk, so that it is never torn.
 *
 * The file is built in memory and written with plain writes: a full disk is then an errno, where HDF5 on a full disk
 * was seen to hang or to crash. Layout: README, "the output file". Called on rank 0 only; not collective. */
#ifndef REEL_OUTPUT_H
#define REEL_OUTPUT_H

#include "job.h"
#include "timeline.h"
#include "status.h"
#include "timesteps.h"

struct reel_output {
    const struct reel_job *job;
    const char *job_text; /* the effective job, YAML */
    int64_t channels, video_frames, rows, columns;
    int64_t finished_frames;               /* the first finished_frames of latents are written */
    const float *latents;                  /* [channels, video_frames, rows, columns] */
    const struct reel_timesteps *matrices; /* [chunks] */
    int64_t chunks;                        /* that have begun */
    const struct reel_call *calls;
    int64_t call_count;
    const struct reel_saving *savings; /* of every chunk and branch that was finished */
    int64_t saving_count;
    int complete;
};

/* Whether the file could be written: its folder exists and takes a file, and what stands there, if anything, is a regular
 * file. REEL_BAD_OUTPUT otherwise. */
enum reel_status reel_output_check(const char *path);

/* Removes what killed jobs have left aside of this output. For who knows that no other job writes it. */
void reel_output_sweep(const char *path);

/* Writes job->output.latents. On failure, REEL_BAD_OUTPUT, what stood there before is untouched. */
enum reel_status reel_output_write(const struct reel_output *output);

#endif
