/* How similar latents are to a reference: per frame, over all frames, and in their changes over time.
 *
 *     struct reel_latents a = {.values = full, .channels = 16, .frames = 65, .rows = 68, .columns = 120};
 *     struct reel_similarity similarity;
 *     REEL_PASS(reel_similarity_open(&a, &b, 7.25, &similarity));     similarity.all.psnr is 41.2
 *     reel_similarity_close(&similarity);
 *
 * a is the reference; peak is its dynamic range, max - min of its latents. The measures of one frame, or of
 * all frames:
 *
 *     relative_l2   ||b - a|| / ||a||
 *     psnr          10 log10(peak^2 / mean((b - a)^2)), in dB
 *     ssim          Wang et al. 2004 on every channel's plane: Gaussian window of 11 x 11, sigma 1.5, at
 *                   every position where it lies within the plane; K1 0.01, K2 0.03 of peak. The mean over
 *                   positions and channels; over all frames, the mean of the frames. Along an axis shorter
 *                   than 11 the window is as long as the axis.
 *     temporal_l2   relative_l2 of the differences to the previous frame: flicker, and motion lost or added
 *
 * All latents must be finite. Not collective. */
#ifndef REEL_SIMILARITY_H
#define REEL_SIMILARITY_H

#include "status.h"

#include <stdint.h>

struct reel_latents {
    const float *values; /* [channels, frames, rows, columns] */
    int64_t channels, frames, rows, columns;
};

/* Equal latents have relative_l2 0, psnr infinity, ssim 1 and temporal_l2 0. When the denominator is 0 (a
 * reference that is all zero, or does not change over time), a ratio is 0 if b is the same and infinity if
 * not. */
struct reel_likeness {
    double relative_l2, psnr, ssim;
    double temporal_l2; /* NaN in frame 0, and over all frames when there is only one */
};

struct reel_similarity {
    int64_t frames;                   /* compared: the first ones, which both have */
    int identical;                    /* whether these frames are equal */
    struct reel_likeness all, *frame; /* frame[frames] */
};

/* Measures b against a. Their shapes may differ in frames only; both have at least one latent, and peak > 0.
 * The caller closes *similarity with reel_similarity_close; after an error, REEL_NO_MEMORY, there is nothing
 * to close. */
enum reel_status reel_similarity_open(const struct reel_latents *a, const struct reel_latents *b, double peak,
                                      struct reel_similarity *similarity);

/* Frees the memory; a zeroed struct is allowed. */
void reel_similarity_close(struct reel_similarity *similarity);

#endif
