/* The timestep matrix of diffusion forcing. */
#include "timesteps.h"

#include <stdlib.h>
#include <string.h>

/* The timestep of a block before its first step. */
enum { UNTOUCHED = 999 };

/* The request, counted in blocks. A block's state is 0 when untouched, j when this row applies step j of
 * N, and N + 1 when finished. */
struct layout {
    int64_t blocks, prefix, window, block, lag, finished;
};

static enum reel_status check_request(const struct reel_timesteps_request *request, int64_t steps)
{
    int64_t block = request->block, prefix = request->prefix_frames;
    REEL_NEED(block >= 1, REEL_BAD_JOB, "diffusion_forcing.causal_block_size is %lld, expected 1 or more",
              (long long)block);
    REEL_NEED(request->ar_step >= 0, REEL_BAD_JOB, "diffusion_forcing.ar_step is %lld, expected 0 or more",
              (long long)request->ar_step);
    REEL_NEED(
        request->frames % block == 0, REEL_BAD_JOB,
        "the chunk has %lld latent frames (video.frames and diffusion_forcing.end_latents), not a multiple "
        "of diffusion_forcing.causal_block_size %lld",
        (long long)request->frames, (long long)block);
    REEL_NEED(prefix >= 0 && prefix % block == 0, REEL_BAD_JOB,
              "the prefix has %lld latent frames (diffusion_forcing.prefix_latents or overlap_frames), not a "
              "multiple of diffusion_forcing.causal_block_size %lld",
              (long long)prefix, (long long)block);
    REEL_NEED(request->end_frames >= 0 && prefix + request->end_frames < request->frames, REEL_BAD_JOB,
              "nothing to generate: diffusion_forcing.prefix_latents or overlap_frames gives %lld and "
              "diffusion_forcing.end_latents %lld of the chunk's %lld latent frames",
              (long long)prefix, (long long)request->end_frames, (long long)request->frames);
    if (request->window_frames >= request->frames)
        return REEL_OK;
    REEL_NEED(request->window_frames >= 1 && request->window_frames % block == 0, REEL_BAD_JOB,
              "diffusion_forcing.base_frames gives a sliding window of %lld latent frames, not a multiple of "
              "diffusion_forcing.causal_block_size %lld",
              (long long)request->window_frames, (long long)block);
    int64_t window = request->window_frames / block, min = (steps + window - 1) / window;
    REEL_NEED(
        request->ar_step >= min, REEL_BAD_JOB,
        "diffusion_forcing.ar_step is %lld, expected %lld or more: %lld steps (sampler.steps) over a sliding "
        "window of %lld blocks (diffusion_forcing.base_frames)",
        (long long)request->ar_step, (long long)min, (long long)steps, (long long)window);
    return REEL_OK;
}

static struct layout lay_out(const struct reel_timesteps_request *request, int64_t steps)
{
    int64_t blocks = request->frames / request->block, window = request->window_frames / request->block;
    return (struct layout){
        .blocks = blocks,
        .prefix = request->prefix_frames / request->block,
        .window = window < blocks ? window : blocks,
        .block = request->block,
        /* a lag of `steps` already makes a block start when its left neighbour is finished */
        .lag = request->ar_step < steps ? request->ar_step : steps,
        .finished = steps + 1,
    };
}

static enum reel_status allocate_timesteps(int64_t rows, int64_t frames, struct reel_timesteps *timesteps)
{
    timesteps->rows = rows;
    timesteps->frames = frames;
    timesteps->timestep = calloc((size_t)rows, (size_t)frames * sizeof *timesteps->timestep);
    timesteps->update = calloc((size_t)rows, (size_t)frames);
    timesteps->interval = calloc((size_t)rows, 2 * sizeof *timesteps->interval);
    if (timesteps->timestep && timesteps->update && timesteps->interval)
        return REEL_OK;
    reel_timesteps_free(timesteps);
    return reel_fail(REEL_NO_MEMORY,
                     "no memory for a timestep matrix of %lld iterations x %lld latent frames",
                     (long long)rows, (long long)frames);
}

/* Computes the states of the next row. The condition uses the left neighbour's old state; the lag counts
 * from its new state. */
static void advance_states(const struct layout *layout, const int64_t *state, int64_t *next)
{
    for (int64_t i = 0; i < layout->blocks; i++) {
        int64_t moved =
            i == 0 || state[i - 1] + 1 >= layout->finished ? state[i] + 1 : next[i - 1] - layout->lag;
        moved = moved > layout->finished ? layout->finished : moved;
        next[i] = moved < 0 ? 0 : moved;
    }
}

/* Writes one row of the matrix from its states and the states of the row before. */
static void fill_row(const struct layout *layout, const struct reel_schedule *schedule, const int64_t *state,
                     const int64_t *next, int64_t *timestep, uint8_t *update)
{
    for (int64_t i = 0; i < layout->blocks; i++) {
        int64_t given = next[i] == 0                  ? UNTOUCHED
                        : next[i] == layout->finished ? 0
                                                      : schedule->timestep[next[i] - 1];
        for (int64_t frame = i * layout->block; frame < (i + 1) * layout->block; frame++) {
            timestep[frame] = given;
            update[frame] = next[i] != state[i] && next[i] != layout->finished;
        }
    }
}

/* Writes all rows. states: zeros, room for two rows of blocks. */
static void fill_rows(const struct layout *layout, const struct reel_schedule *schedule, int64_t *states,
                      struct reel_timesteps *timesteps)
{
    int64_t *state = states, *next = states + layout->blocks;
    for (int64_t i = 0; i < layout->prefix; i++)
        state[i] = layout->finished;
    /* if the prefix is longer than the window, the first window ends with the prefix: the prefix is never
     * updated, so it could not move the window */
    int64_t last = layout->window > layout->prefix ? layout->window : layout->prefix;
    for (int64_t row = 0; row < timesteps->rows; row++) {
        uint8_t *update = timesteps->update + row * timesteps->frames;
        advance_states(layout, state, next);
        fill_row(layout, schedule, state, next, timesteps->timestep + row * timesteps->frames, update);
        if (last < layout->blocks && update[last * layout->block])
            last++;
        timesteps->interval[2 * row] = (last - layout->window) * layout->block;
        timesteps->interval[2 * row + 1] = last * layout->block;
        int64_t *spare = state;
        state = next;
        next = spare;
    }
}

/* Marks end frames as known in all rows. This comes after the rows are made, because an end block takes
 * its turn like any other. */
static void settle_end_frames(int64_t end_frames, struct reel_timesteps *timesteps)
{
    for (int64_t row = 0; row < timesteps->rows; row++)
        for (int64_t frame = timesteps->frames - end_frames; frame < timesteps->frames; frame++) {
            timesteps->timestep[row * timesteps->frames + frame] = 0;
            timesteps->update[row * timesteps->frames + frame] = 0;
        }
}

enum reel_status reel_timesteps_make(const struct reel_timesteps_request *request,
                                     const struct reel_schedule *schedule, struct reel_timesteps *timesteps)
{
    memset(timesteps, 0, sizeof *timesteps);
    REEL_PASS(check_request(request, schedule->steps));
    struct layout layout = lay_out(request, schedule->steps);
    int64_t rows = schedule->steps + (layout.blocks - layout.prefix - 1) * layout.lag;
    int64_t *states = calloc((size_t)layout.blocks, 2 * sizeof *states);
    REEL_NEED(states, REEL_NO_MEMORY, "no memory for the states of %lld blocks", (long long)layout.blocks);
    enum reel_status status = allocate_timesteps(rows, request->frames, timesteps);
    if (status == REEL_OK) {
        fill_rows(&layout, schedule, states, timesteps);
        settle_end_frames(request->end_frames, timesteps);
    }
    free(states);
    return status;
}

void reel_timesteps_free(struct reel_timesteps *timesteps)
{
    free(timesteps->timestep);
    free(timesteps->update);
    free(timesteps->interval);
    memset(timesteps, 0, sizeof *timesteps);
}

int reel_timesteps_runs(const struct reel_timesteps *timesteps, int64_t row)
{
    return memchr(timesteps->update + row * timesteps->frames, 1, (size_t)timesteps->frames) != NULL;
}

struct reel_range reel_timesteps_window(const struct reel_timesteps *timesteps, int64_t row)
{
    const int64_t *interval = timesteps->interval + 2 * row;
    return (struct reel_range){.first = interval[0], .count = interval[1] - interval[0]};
}
