/* Checks between the values of a job. */
#include "job_file.h"

#include <string.h>
#include <sys/stat.h>

/* Writes where the named key was set, to begin a message, into the caller's buffer place, and returns it. */
static const char *place_of(const struct reel_job_origin *origin, const char *name,
                            char place[REEL_PLACE_BYTES])
{
    reel_job_place(origin, reel_key_named(name), place);
    return place;
}

/* Sides must be a multiple of 16 pixels (8 per latent pixel, 2 latent pixels per patch), frames 4k+1 (k+1
 * latent frames). */
static enum reel_status check_shape(const struct reel_job *job, const struct reel_job_origin *origin)
{
    char place[REEL_PLACE_BYTES];
    const struct {
        const char *name;
        int64_t value;
    } sides[] = {{"video.width", job->video.width}, {"video.height", job->video.height}},
      frames[] = {{"video.frames", job->video.frames},
                  {"diffusion_forcing.base_frames", job->diffusion_forcing.base_frames},
                  {"diffusion_forcing.overlap_frames", job->diffusion_forcing.overlap_frames}};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++)
        REEL_NEED(sides[i].value % 16 == 0, REEL_BAD_JOB,
                  "%s: %s is %lld, expected a multiple of 16 (%lld or %lld)",
                  place_of(origin, sides[i].name, place), sides[i].name, (long long)sides[i].value,
                  (long long)(sides[i].value / 16 * 16), (long long)(sides[i].value / 16 * 16 + 16));
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        REEL_NEED(frames[i].value == 0 || frames[i].value % 4 == 1, REEL_BAD_JOB,
                  "%s: %s is %lld, expected 4k+1 (5, 9, 13, ...)", place_of(origin, frames[i].name, place),
                  frames[i].name, (long long)frames[i].value);
    return REEL_OK;
}

/* Checks that so many pixel frames make a whole number of causal blocks. */
static enum reel_status check_blocks(const struct reel_job *job, const struct reel_job_origin *origin,
                                     const char *name, int64_t frames)
{
    char place[REEL_PLACE_BYTES];
    int64_t latent = reel_latent_frames(frames), block = job->diffusion_forcing.causal_block_size;
    REEL_NEED(latent % block == 0, REEL_BAD_JOB,
              "%s: diffusion_forcing.causal_block_size is %lld and %s is %lld (%lld latent frames), expected "
              "latent frames that are a multiple of the block",
              place_of(origin, "diffusion_forcing.causal_block_size", place), (long long)block, name,
              (long long)frames, (long long)latent);
    return REEL_OK;
}

/* The cut of the video into chunks. A video of at most base_frames is one chunk, whatever the overlap. A
 * longer video without overlap is also one chunk, and a window of base_frames slides through it. The window
 * advances only when its first block is finished, and that must be before the next block has to start:
 * ar_step times the blocks of the window must be at least sampler.steps. */
static enum reel_status check_chunks(const struct reel_job *job, const struct reel_job_origin *origin)
{
    char place[REEL_PLACE_BYTES];
    int64_t frames = job->video.frames, base = job->diffusion_forcing.base_frames;
    int64_t overlap = job->diffusion_forcing.overlap_frames, steps = job->sampler.steps;
    int64_t ar_step = job->diffusion_forcing.ar_step, block = job->diffusion_forcing.causal_block_size;
    int is_long = frames > base;
    REEL_NEED(!is_long || overlap < base, REEL_BAD_JOB,
              "%s: diffusion_forcing.overlap_frames is %lld, expected less than "
              "diffusion_forcing.base_frames, %lld",
              place_of(origin, "diffusion_forcing.overlap_frames", place), (long long)overlap,
              (long long)base);
    if (is_long) /* else the video is one chunk, and base and overlap have no effect */
        REEL_PASS(check_blocks(job, origin, "diffusion_forcing.base_frames", base));
    if (!is_long || overlap == 0)
        REEL_PASS(check_blocks(job, origin, "video.frames", frames));
    else
        REEL_PASS(check_blocks(job, origin, "diffusion_forcing.overlap_frames", overlap));
    REEL_NEED(ar_step <= steps, REEL_BAD_JOB,
              "%s: diffusion_forcing.ar_step is %lld, expected at most sampler.steps, %lld",
              place_of(origin, "diffusion_forcing.ar_step", place), (long long)ar_step, (long long)steps);
    int64_t window = reel_latent_frames(base) / block, min = (steps + window - 1) / window;
    REEL_NEED(!is_long || overlap > 0 || ar_step >= min, REEL_BAD_JOB,
              "%s: diffusion_forcing.ar_step is %lld, expected at least %lld: without overlap_frames a video "
              "of %lld frames is one pass with a window of %lld blocks (base_frames %lld), through which "
              "%lld steps must fit",
              place_of(origin, "diffusion_forcing.ar_step", place), (long long)ar_step, (long long)min,
              (long long)frames, (long long)window, (long long)base, (long long)steps);
    return REEL_OK;
}

/* Whether two absolute paths lead to the same file or folder, also through links. */
static int same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    if (strcmp(a, b) == 0)
        return 1;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino && (S_ISREG(of_a.st_mode) || S_ISDIR(of_a.st_mode));
}

/* No output may overwrite an input or another output. */
static enum reel_status check_paths(const struct reel_job *job, const struct reel_job_origin *origin)
{
    char place[REEL_PLACE_BYTES];
    const struct {
        const char *name, *path;
    } written[] = {{"output.latents", job->output.latents},
                   {"output.log", job->output.log},
                   {"output.preview", job->output.preview},
                   {"checkpoint.directory", job->checkpoint.directory}},
      others[] = {{"the job file itself", origin->absolute},
                  {"model.path", job->model.path},
                  {"prompt.embeds", job->prompt.embeds},
                  {"sampler.noise", job->sampler.noise},
                  {"diffusion_forcing.prefix_latents", job->diffusion_forcing.prefix_latents},
                  {"diffusion_forcing.end_latents", job->diffusion_forcing.end_latents},
                  {"teacache.coefficients", job->teacache.coefficient_file},
                  {"output.latents", job->output.latents},
                  {"output.log", job->output.log},
                  {"output.preview", job->output.preview},
                  {"checkpoint.directory", job->checkpoint.directory}};
    for (size_t w = 0; w < sizeof written / sizeof written[0]; w++)
        for (size_t o = 0; o < sizeof others / sizeof others[0]; o++)
            REEL_NEED(
                !written[w].path[0] || !others[o].path[0] || strcmp(written[w].name, others[o].name) == 0 ||
                    !same_file(written[w].path, others[o].path),
                REEL_BAD_JOB, "%s: %s is %s, the same as %s, expected another path",
                place_of(origin, written[w].name, place), written[w].name, written[w].path, others[o].name);
    return REEL_OK;
}

/* A job with a time limit needs a folder for its checkpoint. */
static enum reel_status check_saving(const struct reel_job *job, const struct reel_job_origin *origin)
{
    char place[REEL_PLACE_BYTES];
    REEL_NEED(job->checkpoint.time_limit_s == 0 || job->checkpoint.directory[0], REEL_BAD_JOB,
              "%s: checkpoint.time_limit is set and checkpoint.directory is off, expected auto or a folder: "
              "otherwise all work would be lost",
              place_of(origin, "checkpoint.time_limit", place));
    return REEL_OK;
}

/* NCCL transfers GPU memory only. */
static enum reel_status check_transport(const struct reel_job *job, const struct reel_job_origin *origin)
{
    char place[REEL_PLACE_BYTES];
    REEL_NEED(job->device != REEL_DEVICE_CPU || job->communication.transport != REEL_TRANSPORT_NCCL,
              REEL_BAD_JOB,
              "%s: communication.transport is nccl and device is cpu, whose memory NCCL does not send, "
              "expected mpi or auto",
              place_of(origin, "communication.transport", place));
    return REEL_OK;
}

enum reel_status reel_job_checks(const struct reel_job *job, const struct reel_job_origin *origin)
{
    REEL_PASS(check_shape(job, origin));
    REEL_PASS(check_chunks(job, origin));
    REEL_PASS(check_saving(job, origin));
    REEL_PASS(check_transport(job, origin));
    return check_paths(job, origin);
}
