/* How like a reference some latents are: frame by frame, over all, and in how they change over time.
 *
 *     struct reel_latents a = {.values = full, .channels = 16, .frames = 65, .rows = 68, .columns = 120};
 *     struct reel_similarity similarity;
 *     REEL_PASS(reel_similarity_open(&a, &b, 7.25, &similarity));     similarity.all.psnr is 41.2
 *     reel_similarity_close(&similarity);
 *
 * a is the reference and peak its dynamic range, largest less smallest latent. Of a frame, or of all of them:
 *
 *     relative_l2   ||b - a|| / ||a||
 *     psnr          10 log10(peak^2 / mean((b - a)^2)), in dB
 *     ssim          Wang et al. 2004 on every channel's plane: Gaussian window of 11 x 11, sigma 1.5, at
 *                   every place where it lies within the plane; K1 0.01, K2 0.03 of peak; the mean over
 *                   places and channels, and over all frames that of the frames. Along an axis shorter than
 *                   11 the window is as long as the axis.
 *     temporal_l2   relative_l2 of the differences to the frame before: flicker, and motion lost or added
 *
 * Not collective. The latents are finite. */
#ifndef REEL_SIMILARITY_H
#define REEL_SIMILARITY_H

#include "status.h"

#include <stdint.h>

struct reel_latents {
    const float *values; /* [channels, frames, rows, columns] */
    int64_t channels, frames, rows, columns;
};

/* Equal latents have 0, infinity, 1 and 0. The ratios of a reference that is 0, or stands still, are 0 where
 * b is equal, else infinity. */
struct reel_likeness {
    double relative_l2, psnr, ssim;
    double temporal_l2; /* NaN in frame 0, and over all of a single frame */
};

struct reel_similarity {
    int64_t frames;                   /* the first ones, that both have */
    int identical;                    /* in these */
    struct reel_likeness all, *frame; /* frame[frames] */
};

/* Measures b against a, which differ in frames at most; there is at least one latent, and peak > 0.
 * *similarity is the caller's, for reel_similarity_close; after an error, REEL_NO_MEMORY, there is nothing to
 * close. */
enum reel_status reel_similarity_open(const struct reel_latents *a, const struct reel_latents *b, double peak,
                                      struct reel_similarity *similarity);

/* Frees; a zeroed struct is fine. */
void reel_similarity_close(struct reel_similarity *similarity);

#endif
