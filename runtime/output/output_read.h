/* Reading an output file back: its attributes, TeaCache's decisions, and the latents.
 *
 *     struct reel_output_file file;
 *     REEL_PASS(reel_output_open("video.h5", &file));     file.shape is [16, 65, 68, 120], file.complete is 1
 *     reel_output_close(&file);
 *
 * output.h describes the layout. All of the latents are read: 34 MB for 257 frames at 544x960. */
#ifndef REEL_OUTPUT_READ_H
#define REEL_OUTPUT_READ_H

#include "status.h"

#include <stdint.h>

struct reel_output_chunk {
    int64_t iterations, frames; /* of its timestep matrix; latent frames, end frames included */
    int64_t computed[2];        /* calls by branch: 0 conditional, 1 unconditional */
    int64_t skipped[2];         /* likewise */
};

struct reel_output_file {
    char *version;                            /* of the reel that wrote the file */
    char *job;                                /* the effective job, YAML */
    int64_t seed, fps, width, height, frames; /* width, height in pixels; pixel frames of the video */
    int64_t finished_frames;                  /* latent frames */
    int64_t complete;                         /* 1: the whole video is finished */
    int64_t shape[4];                         /* of latents: channels, finished frames, rows, columns */
    float *latents;                           /* [shape] */
    struct reel_output_chunk *chunks;         /* [chunk_count] */
    int64_t chunk_count;
};

/* Not collective. 1 when the file at path begins as HDF5 files do; 0 otherwise, and when it cannot be read.
 * No errors. */
int reel_output_is_hdf5(const char *path);

/* Not collective. Reads the output at path. The caller closes *file with reel_output_close; after an error
 * there is nothing to close. REEL_BAD_INPUT when it is no HDF5 file, no output of reel, or damaged;
 * REEL_NO_MEMORY. */
enum reel_status reel_output_open(const char *path, struct reel_output_file *file);

/* Not collective. Frees what reel_output_open has allocated. A struct of zeros is allowed. */
void reel_output_close(struct reel_output_file *file);

#endif
