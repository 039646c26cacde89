/* How a video is cut into chunks that are sampled one after the other.
 *
 * A video with more frames than the model takes at once is made chunk by chunk. The last overlap_frames of
 * the finished frames become the next chunk's prefix, which the chunk reads and does not change. All
 * counts here are latent frames. 257 pixel frames with base_frames 97 and overlap_frames 17 (65, 25 and 5
 * latent frames) give
 *
 *     chunk 0   frames 25   prefix 0   first_frame  0   kept 25
 *     chunk 1   frames 25   prefix 5   first_frame 20   kept 45
 *     chunk 2   frames 25   prefix 5   first_frame 40   kept 65
 *
 * With overlap_frames 0 the video is one chunk, and a window of base_frames slides over it. Source:
 * SkyReels-V2, long video generation. */
#ifndef REEL_CHUNK_H
#define REEL_CHUNK_H

#include <stdint.h>

#include "job.h"
#include "status.h"

/* In latent frames. A value without pointers. */
struct reel_chunk {
    int64_t index;
    int64_t first_frame;   /* frame of the video at which the chunk, with its prefix, starts */
    int64_t frames;        /* of the chunk, with its prefix, without end frames */
    int64_t prefix_frames; /* of the job's prefix for chunk 0, else the overlap */
    int64_t end_frames;    /* appended to the last chunk as a condition, not part of the result */
    int64_t kept;          /* finished frames of the video after this chunk */
};

/* The chunks that an earlier attempt (sampler.h) has begun. They stay the same when the video gets longer. A
 * value. */
struct reel_begun {
    const struct reel_chunk *chunks; /* [count] */
    int64_t count;                   /* 0: the job starts from the beginning */
};

/* Not collective. Makes the chunks of a job whose prefix and end have that many latent frames (0: none).
 * The chunks that have begun come first; each further chunk starts overlap frames before the end of the
 * kept frames. On success *chunks is an array of *count >= 1 chunks in order, which the caller frees with
 * free(). REEL_BAD_JOB, naming the job's keys, when the overlap, the prefix, the window, or a chunk's
 * frames (without or with end frames) are not a multiple of causal_block_size, when the overlap is not
 * less than base_frames, or when the prefix leaves nothing of chunk 0 to generate. REEL_BAD_INPUT when the
 * overlap does not allow more chunks after those that have begun. REEL_NO_MEMORY. On failure *chunks is
 * NULL and *count is 0. */
enum reel_status reel_chunks_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                  struct reel_begun begun, struct reel_chunk **chunks, int64_t *count);

/* Not collective. The number of a chunk's latent frames that go through the transformer at once: all
 * frames with the end frames, or base_frames where the window slides. */
int64_t reel_row_window(const struct reel_job *job, const struct reel_chunk *chunk);

#endif
