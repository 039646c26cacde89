/* Chunks of a long video. */
#include "chunk.h"

#include <stdlib.h>

/* A job's counts in latent frames. */
struct measure {
    int64_t video, base, overlap, block;
};

static enum reel_status check_counts(const struct reel_job *job, const struct measure *measure, int64_t count,
                                     int64_t prefix_frames, int64_t end_frames)
{
    int64_t block = measure->block;
    REEL_NEED(prefix_frames >= 0 && prefix_frames % block == 0, REEL_BAD_JOB,
              "diffusion_forcing.prefix_latents has %lld latent frames, not a multiple of "
              "diffusion_forcing.causal_block_size %lld",
              (long long)prefix_frames, (long long)block);
    REEL_NEED(end_frames >= 0, REEL_INTERNAL, "end_latents has %lld frames", (long long)end_frames);
    if (count > 1)
        REEL_NEED(measure->overlap % block == 0, REEL_BAD_JOB,
                  "diffusion_forcing.overlap_frames %lld is %lld latent frames, not a multiple of "
                  "diffusion_forcing.causal_block_size %lld",
                  (long long)job->diffusion_forcing.overlap_frames, (long long)measure->overlap,
                  (long long)block);
    if (measure->video > measure->base)
        REEL_NEED(measure->base % block == 0, REEL_BAD_JOB,
                  "diffusion_forcing.base_frames %lld is %lld latent frames, not a multiple of "
                  "diffusion_forcing.causal_block_size %lld",
                  (long long)job->diffusion_forcing.base_frames, (long long)measure->base, (long long)block);
    int64_t first = count > 1 ? measure->base : measure->video;
    REEL_NEED(
        prefix_frames < first, REEL_BAD_JOB,
        "nothing to generate: diffusion_forcing.prefix_latents has %lld of the %lld latent frames of chunk 0",
        (long long)prefix_frames, (long long)first);
    return REEL_OK;
}

static enum reel_status check_chunk(const struct reel_job *job, const struct reel_chunk *chunk)
{
    int64_t block = job->diffusion_forcing.causal_block_size;
    REEL_NEED(chunk->frames % block == 0, REEL_BAD_JOB,
              "video.frames %lld gives chunk %lld a length of %lld latent frames, not a multiple of "
              "diffusion_forcing.causal_block_size %lld",
              (long long)job->video.frames, (long long)chunk->index, (long long)chunk->frames,
              (long long)block);
    REEL_NEED(
        (chunk->frames + chunk->end_frames) % block == 0, REEL_BAD_JOB,
        "diffusion_forcing.end_latents appends %lld latent frames to the last chunk's %lld, together not a "
        "multiple of diffusion_forcing.causal_block_size %lld",
        (long long)chunk->end_frames, (long long)chunk->frames, (long long)block);
    return REEL_OK;
}

/* Chunk `index`, which follows a chunk after which `kept` frames are finished. For index 0, the first of
 * several chunks. */
static struct reel_chunk chunk_after(const struct measure *measure, int64_t index, int64_t kept)
{
    int64_t first = index > 0 ? kept - measure->overlap : 0, left = measure->video - first;
    int64_t frames = left < measure->base ? left : measure->base;
    return (struct reel_chunk){
        .index = index,
        .first_frame = first,
        .frames = frames,
        .prefix_frames = index > 0 ? measure->overlap : 0,
        .kept = first + frames,
    };
}

/* Counts the chunks: those that have begun, and those that the remaining frames need. */
static enum reel_status count_chunks(const struct reel_job *job, const struct measure *measure,
                                     struct reel_begun begun, int64_t *count)
{
    int64_t kept = begun.count > 0 ? begun.chunks[begun.count - 1].kept : measure->base;
    REEL_NEED(measure->block >= 1, REEL_BAD_JOB,
              "diffusion_forcing.causal_block_size is %lld, expected 1 or more", (long long)measure->block);
    *count = begun.count > 0 ? begun.count : 1;
    if (measure->video <= kept || (measure->overlap == 0 && begun.count == 0))
        return REEL_OK;
    int64_t fresh = measure->base - measure->overlap;
    REEL_NEED(
        fresh > 0, REEL_BAD_JOB,
        "diffusion_forcing.overlap_frames is %lld, expected less than diffusion_forcing.base_frames %lld",
        (long long)job->diffusion_forcing.overlap_frames, (long long)job->diffusion_forcing.base_frames);
    REEL_NEED(
        begun.count == 0 || (measure->overlap > 0 && measure->overlap <= kept), REEL_BAD_INPUT,
        "video.frames is %lld and %lld latent frames are finished or begun: to continue after them, expected "
        "diffusion_forcing.overlap_frames of 1 to %lld latent frames, not %lld",
        (long long)job->video.frames, (long long)kept, (long long)kept, (long long)measure->overlap);
    *count += (measure->video - kept + fresh - 1) / fresh;
    return REEL_OK;
}

enum reel_status reel_chunks_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                  struct reel_begun begun, struct reel_chunk **chunks, int64_t *count)
{
    struct measure measure = {
        .video = reel_latent_frames(job->video.frames),
        .base = reel_latent_frames(job->diffusion_forcing.base_frames),
        .overlap = reel_latent_frames(job->diffusion_forcing.overlap_frames),
        .block = job->diffusion_forcing.causal_block_size,
    };
    int64_t many = 0;
    *chunks = NULL;
    *count = 0;
    REEL_PASS(count_chunks(job, &measure, begun, &many));
    REEL_PASS(check_counts(job, &measure, many, prefix_frames, end_frames));
    struct reel_chunk *made = calloc((size_t)many, sizeof *made);
    REEL_NEED(made, REEL_NO_MEMORY, "no memory for the list of %lld chunks", (long long)many);
    for (int64_t i = 0; i < many; i++) {
        if (i < begun.count)
            made[i] = begun.chunks[i];
        else if (many == 1)
            made[i] = (struct reel_chunk){.frames = measure.video, .kept = measure.video};
        else
            made[i] = chunk_after(&measure, i, i > 0 ? made[i - 1].kept : 0);
        if (i == 0)
            made[i].prefix_frames = prefix_frames;
        if (i == many - 1)
            made[i].end_frames = end_frames;
        enum reel_status status = check_chunk(job, &made[i]);
        if (status != REEL_OK) {
            free(made);
            return status;
        }
    }
    *chunks = made;
    *count = many;
    return REEL_OK;
}

int64_t reel_row_window(const struct reel_job *job, const struct reel_chunk *chunk)
{
    int64_t base = reel_latent_frames(job->diffusion_forcing.base_frames);
    return chunk->frames > base ? base : chunk->frames + chunk->end_frames;
}
