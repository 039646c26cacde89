/* The output file: HDF5. After every chunk the whole file is written to a temporary file and renamed, so it
 * is never half written.
 *
 * The file is built in memory and written with plain writes. On a full disk these fail with an errno, while
 * HDF5 can hang or crash there. Layout: README, "the output file". Only rank 0 calls these functions. Not
 * collective. */
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
    int64_t finished_frames;               /* the first frames of latents, which are written */
    const float *latents;                  /* [channels, video_frames, rows, columns] */
    const struct reel_timesteps *matrices; /* [chunks] */
    int64_t chunks;                        /* chunks that have begun */
    const struct reel_call *calls;
    int64_t call_count;
    const struct reel_saving *savings; /* of every finished chunk and branch */
    int64_t saving_count;
    int complete; /* 1: the whole video is finished */
};

/* Checks that the output can be written: a file can be created in its directory, and there is a regular file
 * or nothing at path. REEL_BAD_OUTPUT otherwise. */
enum reel_status reel_output_check(const char *path);

/* Removes the temporary files of this output that killed jobs have left. The caller must know that no other
 * job writes this output. */
void reel_output_sweep(const char *path);

/* Writes the file job->output.latents. REEL_BAD_OUTPUT, REEL_NO_MEMORY, REEL_INTERNAL; then the file that was
 * there before is untouched, unless only flushing its directory failed. */
enum reel_status reel_output_write(const struct reel_output *output);

#endif
