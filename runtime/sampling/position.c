/* Counting what a run has done. */
#include "position.h"

#include <stdlib.h>
#include <string.h>

enum reel_status reel_position_open(struct reel_position *position, int64_t chunks)
{
    *position = (struct reel_position){.attempts = 1};
    position->savings = calloc((size_t)(2 * chunks), sizeof *position->savings);
    REEL_NEED(position->savings, REEL_NO_MEMORY, "no memory for the TeaCache savings of %lld chunks",
              (long long)chunks);
    return REEL_OK;
}

void reel_position_close(struct reel_position *position)
{
    free(position->savings);
    memset(position, 0, sizeof *position);
}

void reel_position_restore(struct reel_position *position, const struct reel_checkpoint *saved)
{
    const struct reel_checkpoint_metadata *metadata = &saved->metadata;
    position->first_chunk = metadata->chunk;
    position->first_row = metadata->iteration;
    position->calls_made = metadata->calls_made;
    position->done = metadata->done;
    position->attempts = metadata->attempts + 1;
    position->finished_frames = metadata->finished_frames;
    position->earlier_seconds = metadata->seconds;
    position->chunk_seconds = metadata->chunk_seconds;
    position->skipped_seconds = metadata->skipped_seconds;
    position->skipped_iterations = metadata->skipped_iterations;
    position->saving_count = metadata->saving_count;
    memcpy(position->savings, saved->savings, (size_t)metadata->saving_count * sizeof *position->savings);
}

int64_t reel_position_begin(struct reel_position *position, int64_t k)
{
    if (k == position->first_chunk && position->first_row > 0)
        return position->first_row;
    position->chunk_seconds = position->skipped_seconds = 0;
    position->skipped_iterations = 0;
    return 0;
}

void reel_position_iterated(struct reel_position *position, const struct reel_timeline *timeline,
                            int64_t branches, double seconds)
{
    position->calls_made += branches;
    position->chunk_seconds += seconds;
    position->seconds += seconds;
    position->done++;
    position->timed++;
    if (timeline->calls[position->calls_made - 1].computed) {
        position->computed_seconds = seconds;
        return;
    }
    position->skipped_iterations++;
    position->skipped_seconds += seconds;
}

void reel_position_finish(struct reel_position *position, const struct reel_timeline *timeline,
                          const struct reel_chunk *chunk, int64_t branches)
{
    int64_t computed = 0, skipped = position->skipped_iterations;
    const struct reel_call *calls = timeline->calls;
    for (int64_t c = position->calls_made - 1; c >= 0 && calls[c].chunk == chunk->index; c--)
        computed += calls[c].branch == 0 && calls[c].computed;
    double each = computed > 0 ? (position->chunk_seconds - position->skipped_seconds) / (double)computed : 0;
    for (int64_t branch = 0; branch < branches; branch++)
        position->savings[position->saving_count++] = (struct reel_saving){
            .chunk = chunk->index,
            .branch = branch,
            .computed = computed,
            .skipped = skipped,
            .seconds = ((double)skipped * each - position->skipped_seconds) / (double)branches};
    position->finished_frames = chunk->kept;
}
