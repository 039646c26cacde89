/* How a video is cut into chunks that are sampled one after the other.
 *
 * A video of more frames than the model takes at once is made chunk by chunk; the last overlap frames of what
 * is finished become the next chunk's prefix, which the chunk sees and does not change. All counts here are
 * latent frames. 257 pixel frames with base_frames 97 and overlap_frames 17 (L = 65, B = 25, O = 5):
 *
 *     chunk 0   frames 25   prefix 0   first_frame  0   kept 25
 *     chunk 1   frames 25   prefix 5   first_frame 20   kept 45
 *     chunk 2   frames 25   prefix 5   first_frame 40   kept 65
 *
 * With overlap_frames 0 the video is one chunk, through which a window of base_frames slides. Source:
 * SkyReels-V2, long video generation. */
#ifndef REEL_CHUNK_H
#define REEL_CHUNK_H

#include <stdint.h>

#include "job.h"
#include "status.h"

/* In latent frames. A value without pointers. */
struct reel_chunk {
    int64_t index;
    int64_t first_frame;   /* of the video, at which the chunk and its prefix start */
    int64_t frames;        /* prefix included, end frames not */
    int64_t prefix_frames; /* given for chunk 0, the overlap for the others */
    int64_t end_frames;    /* appended to the last chunk as condition, not part of the result */
    int64_t kept;          /* finished frames of the video after this chunk */
};

/* Chunks that have begun in an earlier run stay as they are when the video grows: a value. */
struct reel_begun {
    const struct reel_chunk *chunks; /* [count] */
    int64_t count;                   /* 0: a job from its start */
};

/* Not collective. The chunks of a job whose given prefix and end have so many latent frames (0: none), after those that
 * have begun; the next chunk starts overlap frames before the end of what is kept. On
 * success *chunks is an array of *count >= 1 chunks in order, which the caller frees with free().
 * REEL_BAD_JOB, naming the job's keys, when overlap, prefix, window or a chunk's frames, without and with end
 * frames, are no multiple of causal_block_size, when the overlap is not below base_frames, or when the prefix
 * leaves nothing of chunk 0 to generate. REEL_NO_MEMORY. On failure *chunks is NULL and *count 0. */
enum reel_status reel_chunks_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                  struct reel_begun begun, struct reel_chunk **chunks, int64_t *count);

/* Not collective. The latent frames of a chunk that go through the transformer at once: all of them with the
 * end frames, or those of base_frames where the window slides. */
int64_t reel_row_window(const struct reel_job *job, const struct reel_chunk *chunk);

#endif
