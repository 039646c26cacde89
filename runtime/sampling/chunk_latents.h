/* Latents of the current chunk: where their frames lie, and how they are copied. chunk_latents.c also has how
 * a chunk begins and ends (reel_chunk_begin, reel_chunk_free), which sampler.h declares.
 *
 * Latents are small: every rank holds them whole, as [channels, frames, plane]. A plane is one frame of one
 * channel. */
#ifndef REEL_CHUNK_LATENTS_H
#define REEL_CHUNK_LATENTS_H

#include "sampler.h"

/* Frames of an array [channels, all, plane], from frame first on: to write, and to read. */
struct reel_frames {
    float *values;
    int64_t all, first;
};

struct reel_const_frames {
    const float *values;
    int64_t all, first;
};

/* Not collective. Elements of one latent frame of one channel. */
int64_t reel_latents_plane(const struct reel_sampler *sampler);

/* Not collective. Copies `count` frames of every channel, within the device's memory or between it and the
 * host's. Failures go to the sampler's stream. */
void reel_frames_copy(struct reel_sampler *sampler, enum reel_direction direction, int64_t channels,
                      int64_t count, struct reel_const_frames from, struct reel_frames to);

/* Not collective. The same frames, to read. */
struct reel_const_frames reel_frames_const(struct reel_frames frames);

/* Not collective. Frames of a buffer of the arena. */
struct reel_frames reel_frames_of(const struct reel_sampler *sampler, enum reel_buffer buffer, int64_t all,
                                  int64_t first);

#endif
