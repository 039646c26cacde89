/* Counts that follow from a job alone. */
#include "job.h"

int64_t reel_latent_frames(int64_t frames)
{
    return frames > 0 ? (frames - 1) / 4 + 1 : 0;
}
