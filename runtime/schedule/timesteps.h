/* The timestep matrix of one chunk: which frames each iteration updates, and the noise level of every
 * frame.
 *
 * With diffusion forcing, every frame has its own noise level. Frames move in blocks of causal_block_size.
 * A block lags ar_step iterations behind its left neighbour, or moves with it when ar_step is 0. For each
 * iteration (row) and latent frame (column), the matrix holds the timestep that the transformer receives:
 * 999 for an untouched block, t_j for step j, 0 for a finished block, a prefix frame or an end frame. With
 * 5 frames, 6 steps, shift 8, ar_step 2 and blocks of 1 frame, the matrix has 14 rows:
 *
 *      0   999 999 999 999 999   update 1 0 0 0 0
 *      1   975 999 999 999 999          1 0 0 0 0
 *      2   941 999 999 999 999          1 1 0 0 0
 *      3   888 975 999 999 999          1 1 0 0 0
 *          ..
 *     13     0   0   0   0 615          0 0 0 0 1
 *
 * Only the frames of a row's interval go through the transformer. If the window has fewer frames than the
 * chunk, the interval moves to the right whenever the first block to the right of it would start.
 *
 * Sources: Diffusion Forcing, Chen et al. 2024; SkyReels-V2, generate_timestep_matrix. */
#ifndef REEL_TIMESTEPS_H
#define REEL_TIMESTEPS_H

#include <stdint.h>

#include "cut.h"
#include "schedule.h"
#include "status.h"

/* In latent frames. */
struct reel_timesteps_request {
    int64_t frames;        /* of the chunk, end frames included */
    int64_t prefix_frames; /* the first ones: known, never updated */
    /* The last ones: known, never updated; the turns of their blocks still take iterations. */
    int64_t end_frames;
    /* Frames that go through the transformer at once; `frames` or more: all of them. */
    int64_t window_frames;
    int64_t block; /* causal_block_size */
    int64_t ar_step;
};

struct reel_timesteps {
    int64_t rows, frames;
    int64_t *timestep; /* [rows, frames], 0 .. 999 */
    uint8_t *update;   /* [rows, frames], 1: this row updates this frame */
    int64_t *interval; /* [rows, 2], first frame and one past the last; contains every updated frame */
};

/* Not collective. Makes the matrix; the caller frees it with reel_timesteps_free. The number of rows is N
 * + (G - 1) min(ar_step, N) for G blocks after the prefix. REEL_BAD_JOB, naming the job's keys, when
 * frames, prefix or window are not a multiple of block, when nothing is left to generate, or when a
 * sliding window of W blocks has ar_step < ceil(N / W), so that more blocks would move at once than the
 * window holds. REEL_NO_MEMORY. On failure *timesteps is all zero. */
enum reel_status reel_timesteps_make(const struct reel_timesteps_request *request,
                                     const struct reel_schedule *schedule, struct reel_timesteps *timesteps);

/* Not collective. Frees what reel_timesteps_make made, and zeroes it; zeros are allowed. */
void reel_timesteps_free(struct reel_timesteps *timesteps);

/* Not collective. Whether the row updates a frame. If not, the row is not run; such rows are the turns of
 * end frames. */
int reel_timesteps_runs(const struct reel_timesteps *timesteps, int64_t row);

/* Not collective. The row's window: the frames of its interval, which enter the transformer. */
struct reel_range reel_timesteps_window(const struct reel_timesteps *timesteps, int64_t row);

#endif
