/* Alternatives for a job that does not fit. */
#include "plan_forecast.h"

#include <stdio.h>

static const struct reel_mesh any_mesh = {REEL_AUTO_WAYS, REEL_AUTO_WAYS, REEL_AUTO_WAYS, REEL_AUTO_WAYS,
                                          REEL_AUTO_WAYS};

/* Fills the alternative with the best mesh for the given work, ways and ranks: the chosen one, or the
 * smallest when none fits and fitting_only is 0. Returns 0 when there is no such mesh. */
static int fill_alternative(const struct reel_forecast *f, const struct reel_workload *work,
                            const struct reel_mesh *asked, int64_t ranks, int fitting_only,
                            struct reel_alternative *alternative)
{
    struct reel_candidates candidates;
    if (reel_candidates_make(&f->model, work, asked, ranks, &f->machine, &candidates) != REEL_OK) {
        reel_error_clear();
        return 0;
    }
    if (fitting_only && candidates.chosen < 0)
        return 0;
    alternative->ranks = ranks;
    alternative->candidate =
        candidates.chosen >= 0 ? candidates.at[candidates.chosen] : *reel_candidates_smallest(&candidates);
    return 1;
}

/* Tries the job with chunks of so many latent frames. Returns 0 when the cut is impossible or no mesh
 * fits. */
static int try_chunks(const struct reel_forecast *f, int64_t latent_frames,
                      struct reel_alternative *alternative)
{
    struct reel_job job = *f->job;
    struct reel_timeline timeline;
    job.diffusion_forcing.base_frames = 4 * (latent_frames - 1) + 1;
    if (reel_timeline_make(&job, f->prefix_frames, f->end_frames, (struct reel_begun){.count = 0},
                           &timeline) != REEL_OK) {
        reel_error_clear();
        return 0;
    }
    struct reel_workload work = reel_forecast_workload(f, &job, &timeline);
    reel_timeline_free(&timeline);
    snprintf(alternative->change, sizeof alternative->change, "diffusion_forcing.base_frames %lld",
             (long long)job.diffusion_forcing.base_frames);
    return fill_alternative(f, &work, &f->asked, f->ranks, 1, alternative);
}

/* Finds the longest chunks, in whole causal blocks, that fit. A forward over fewer frames takes less memory,
 * so a binary search finds the largest window that fits. From there on it tries shorter chunks until the
 * video can be cut into them. Returns 0 when none fit. */
static int smaller_chunks(const struct reel_forecast *f, struct reel_alternative *alternative)
{
    int64_t block = f->job->diffusion_forcing.causal_block_size;
    int64_t max = (reel_latent_frames(f->job->diffusion_forcing.base_frames) - 1) / block, min = 0;
    while (min < max) {
        int64_t middle = (min + max + 1) / 2;
        struct reel_workload work = f->work;
        work.window_frames = middle * block < work.window_frames ? middle * block : work.window_frames;
        if (f->job->diffusion_forcing.overlap_frames > 0)
            work.chunk_frames = work.window_frames;
        if (reel_ranks_that_fit(&f->model, &work, &f->asked, f->ranks, f->ranks, &f->machine))
            min = middle;
        else
            max = middle - 1;
    }
    for (int64_t blocks = min; blocks > 0; blocks--)
        if (try_chunks(f, blocks * block, alternative))
            return 1;
    return 0;
}

int64_t reel_forecast_alternatives(const struct reel_forecast *f,
                                   struct reel_alternative alternatives[REEL_ALTERNATIVES_MAX])
{
    int64_t count = smaller_chunks(f, &alternatives[0]);
    int64_t more =
        reel_ranks_that_fit(&f->model, &f->work, &any_mesh, f->ranks + 1, REEL_PARTS_MAX, &f->machine);
    if (more > 0 && fill_alternative(f, &f->work, &any_mesh, more, 1, &alternatives[count])) {
        snprintf(alternatives[count].change, sizeof alternatives[count].change, "%lld ranks",
                 (long long)more);
        count++;
    }
    struct reel_mesh gathered = f->asked;
    gathered.gathered = 1;
    if (f->asked.gathered == 0 &&
        fill_alternative(f, &f->work, &gathered, f->ranks, 1, &alternatives[count])) {
        snprintf(alternatives[count].change, sizeof alternatives[count].change, "partition.weights gathered");
        count++;
    }
    if (fill_alternative(f, &f->work, &any_mesh, f->ranks, 0, &alternatives[count])) {
        snprintf(alternatives[count].change, sizeof alternatives[count].change,
                 alternatives[count].candidate.fits ? "partition left to reel"
                                                    : "the least memory on these ranks");
        count++;
    }
    return count;
}
