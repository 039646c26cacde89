/* Reading an output file back: what it says of itself, what was decided, and the latents.
 *
 *     struct reel_output_file file;
 *     REEL_PASS(reel_output_open("video.h5", &file));     file.shape is [16, 65, 68, 120], file.complete is 1
 *     reel_output_close(&file);
 *
 * The layout is that of output.h. The file is read whole; the latents of 257 frames at 544x960 have 34 MB. */
#ifndef REEL_OUTPUT_READ_H
#define REEL_OUTPUT_READ_H

#include "status.h"

#include <stdint.h>

struct reel_output_chunk {
    int64_t iterations, frames; /* of its timestep matrix; frames are latent, end frames included */
    int64_t computed[2];        /* calls by branch: 0 conditional, 1 unconditional */
    int64_t skipped[2];
};

struct reel_output_file {
    char *version;                            /* of the reel that wrote it */
    char *job;                                /* the effective job, YAML */
    int64_t seed, fps, width, height, frames; /* pixels, and pixel frames of the whole video */
    int64_t finished_frames;                  /* latent */
    int64_t complete;
    int64_t shape[4];                 /* of latents: channels, finished frames, rows, columns */
    float *latents;                   /* [shape] */
    struct reel_output_chunk *chunks; /* [chunk_count] */
    int64_t chunk_count;
};

/* Not collective. Whether the file at path begins as HDF5 files do; 0 when it cannot be read either. No
 * errors. */
int reel_output_is_hdf5(const char *path);

/* Not collective. Reads the output at path. *file is the caller's, for reel_output_close; after an error
 * there is nothing to close. REEL_BAD_INPUT when it is no HDF5 file, or not one of reel, or torn;
 * REEL_NO_MEMORY. */
enum reel_status reel_output_open(const char *path, struct reel_output_file *file);

/* Not collective. Frees; a zeroed struct is fine. */
void reel_output_close(struct reel_output_file *file);

#endif
