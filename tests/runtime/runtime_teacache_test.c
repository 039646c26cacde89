/* The decisions that TeaCache makes before sampling: what they follow from, and that they are the same for
 * every chunk. */
#include "teacache.h"
#include "synthetic.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct reel_model model;
static struct reel_network network;
static float *tensors[REEL_WAN_TENSORS];

/* Random weights of the tiny model, made at their first use. */
static const float *tensor_of(void *context, enum reel_tensor tensor)
{
    (void)context;
    int64_t elements = reel_tensor_elements(&network, tensor);
    if (!tensors[tensor]) {
        tensors[tensor] = malloc((size_t)elements * sizeof(float));
        reel_synthetic_fill(&network, tensor, 0, 0, elements, tensors[tensor]);
    }
    return tensors[tensor];
}

/* A job of 3 chunks of 5 latent frames, each overlapping by 2; mode e with identity coefficients. */
static struct reel_job long_job(void)
{
    struct reel_job job;
    memset(&job, 0, sizeof job);
    job.video.width = 64;
    job.video.height = 48;
    job.video.frames = 41; /* 11 latent frames: 5, then 3 more in each further chunk */
    job.video.fps = 24;
    job.sampler.scheduler = REEL_UNIPC;
    job.sampler.steps = 20;
    job.sampler.shift = 8;
    job.sampler.guidance_scale = 6;
    job.diffusion_forcing.base_frames = 17;
    job.diffusion_forcing.overlap_frames = 5;
    job.diffusion_forcing.causal_block_size = 1;
    job.teacache.mode = REEL_TEACACHE_E;
    job.teacache.threshold = 0.7;
    job.teacache.coefficient_count = 2;
    job.teacache.coefficients[0] = 1;
    job.teacache.start_step = REEL_AUTO;
    job.teacache.end_step = -1;
    return job;
}

/* The timeline of a job with its decisions; the caller frees it. */
static struct reel_timeline decided(const struct reel_job *job, struct reel_teacache_range *range)
{
    struct reel_timeline timeline;
    struct reel_teacache_rule rule;
    CHECK(reel_timeline_make(job, 0, 0, (struct reel_begun){.count = 0}, &timeline) == REEL_OK, "%s",
          reel_error_here()->cause);
    CHECK(reel_teacache_rule_of(job, &model, &rule) == REEL_OK, "%s", reel_error_here()->cause);
    int64_t columns = reel_teacache_columns(&model, rule.mode);
    double *signals = malloc((size_t)(timeline.table.rows * columns) * sizeof *signals);
    CHECK(reel_teacache_signals(&timeline.table, &model, tensor_of, NULL, job->video.fps, rule.mode,
                                signals) == REEL_OK,
          "%s", reel_error_here()->cause);
    reel_teacache_decide(&rule, job, &model, signals, &timeline, range);
    free(signals);
    return timeline;
}

/* The number of skipped calls of a chunk. */
static int64_t skipped_in(const struct reel_timeline *timeline, int64_t chunk)
{
    int64_t skipped = 0;
    for (int64_t c = 0; c < timeline->call_count; c++)
        skipped += timeline->calls[c].chunk == chunk && !timeline->calls[c].computed;
    return skipped;
}

static void every_chunk_has_the_decisions_of_the_first(void)
{
    struct reel_teacache_range range;
    for (int mode = REEL_TEACACHE_E; mode <= REEL_TEACACHE_E0; mode++)
        for (int64_t addnoise = 0; addnoise <= 20; addnoise += 20) {
            struct reel_job job = long_job();
            job.teacache.mode = (enum reel_teacache_mode)mode;
            job.diffusion_forcing.addnoise_condition = addnoise;
            struct reel_timeline timeline = decided(&job, &range);
            int64_t each = timeline.call_count / timeline.chunk_count;
            CHECK(timeline.chunk_count == 3 && skipped_in(&timeline, 0) > 0 &&
                      skipped_in(&timeline, 0) < each,
                  "%lld of %lld calls are skipped", (long long)skipped_in(&timeline, 0), (long long)each);
            for (int64_t c = each; c < timeline.call_count; c++) {
                const struct reel_call *call = &timeline.calls[c], *first = &timeline.calls[c % each];
                CHECK(call->computed == first->computed && call->iteration == first->iteration &&
                          (isnan(call->distance) ? isnan(first->distance)
                                                 : fabs(call->distance - first->distance) <= 1e-12),
                      "call %lld: distance %.17g, in the first chunk %.17g", (long long)c, call->distance,
                      first->distance);
            }
            reel_timeline_free(&timeline);
        }
}

/* The official mean is over all frames. Prefix frames do not change, so they make distances smaller and more
 * calls are skipped: D = D_first F_g m_g / (F_g m_g + F_p m_p), with F_g generated and F_p prefix frames of
 * mean magnitudes m_g and m_p. */
static void the_mean_over_all_frames_is_diluted_by_a_prefix(void)
{
    struct reel_teacache_range range;
    struct reel_job job = long_job();
    job.teacache.metric = REEL_METRIC_ALL;
    struct reel_timeline timeline = decided(&job, &range);
    int64_t each = timeline.call_count / timeline.chunk_count;
    for (int64_t c = 2; c < each; c++) { /* the first call of a branch has no distance */
        double ratio = timeline.calls[each + c].distance / timeline.calls[c].distance;
        CHECK(ratio > 0.4 && ratio < 0.8, "call %lld: the distance is %g of that in the first chunk",
              (long long)c, ratio); /* 3 of 5 frames move */
    }
    CHECK(skipped_in(&timeline, 1) > skipped_in(&timeline, 0), "%lld skipped, in the first chunk %lld",
          (long long)skipped_in(&timeline, 1), (long long)skipped_in(&timeline, 0));
    reel_timeline_free(&timeline);
}

static void forced_calls_are_computed_and_start_afresh(void)
{
    struct reel_teacache_range range;
    struct reel_job job = long_job();
    job.teacache.threshold = 1e9; /* skips every call that may be skipped */
    job.teacache.start_step = 3;
    job.teacache.end_step = 10;
    struct reel_timeline timeline = decided(&job, &range);
    for (int64_t c = 0; c < timeline.call_count; c++) {
        const struct reel_call *call = &timeline.calls[c];
        int may = call->iteration >= 3 && call->iteration < 10;
        CHECK(call->computed == !may && (may || call->accumulated == 0), "iteration %lld",
              (long long)call->iteration);
        CHECK(isnan(call->distance) == (call->iteration == 0), "iteration %lld has distance %g",
              (long long)call->iteration, call->distance);
    }
    reel_timeline_free(&timeline);
    job.teacache.start_step = REEL_AUTO;
    job.teacache.end_step = -1;
    timeline = decided(&job, &range);
    CHECK(timeline.calls[0].computed && timeline.calls[timeline.call_count - 1].computed &&
              !timeline.calls[2].computed,
          "e: all but the first and the last may be skipped");
    reel_timeline_free(&timeline);
}

/* A window that moves has other tokens, and no residual is stored for them. */
static void a_window_that_moves_is_computed(void)
{
    struct reel_teacache_range range;
    struct reel_job job = long_job();
    int64_t moved = 0;
    job.diffusion_forcing.overlap_frames = 0; /* one pass, a sliding window */
    job.diffusion_forcing.ar_step = 4;
    job.teacache.threshold = 1e9;
    struct reel_timeline timeline = decided(&job, &range);
    const struct reel_timesteps *matrix = timeline.matrices;
    for (int64_t c = 2; c < timeline.call_count; c++) {
        const int64_t *now = matrix->interval + 2 * timeline.calls[c].iteration,
                      *then = matrix->interval + 2 * timeline.calls[c - 2].iteration;
        if (now[0] == then[0] && now[1] == then[1])
            continue;
        CHECK(timeline.calls[c].computed && isnan(timeline.calls[c].distance), "call %lld is skipped",
              (long long)c);
        moved++;
    }
    CHECK(moved > 0 && skipped_in(&timeline, 0) > 0, "the window never moves");
    reel_timeline_free(&timeline);
}

/* With end frames and ar_step, the last rows of the matrix update nothing and are not run. The last iteration
 * that runs must be computed. */
static void the_last_iteration_that_runs_is_computed(void)
{
    for (int64_t ar_step = 0; ar_step <= 4; ar_step += 2) {
        struct reel_teacache_range range;
        struct reel_job job = long_job();
        struct reel_timeline timeline;
        struct reel_teacache_rule rule;
        job.diffusion_forcing.ar_step = ar_step;
        job.teacache.threshold = 1e9;
        CHECK(reel_timeline_make(&job, 0, 1, (struct reel_begun){.count = 0}, &timeline) == REEL_OK, "%s",
              reel_error_here()->cause);
        reel_teacache_rule_of(&job, &model, &rule);
        double *signals = calloc((size_t)(timeline.table.rows * model.width), sizeof *signals);
        for (int64_t i = 0; i < timeline.table.rows * model.width; i++)
            signals[i] = (double)(i % 7 + 1);
        reel_teacache_decide(&rule, &job, &model, signals, &timeline, &range);
        const struct reel_call *last = &timeline.calls[timeline.call_count - 1], *before = last - 2;
        const struct reel_timesteps *matrix = &timeline.matrices[timeline.chunk_count - 1];
        CHECK(last->chunk == timeline.chunk_count - 1 && last->computed && !before->computed,
              "ar_step %lld: iteration %lld of %lld is skipped", (long long)ar_step,
              (long long)last->iteration, (long long)matrix->rows);
        CHECK((ar_step > 0) == (last->iteration < matrix->rows - 1),
              "ar_step %lld: the last of %lld rows is %lld", (long long)ar_step, (long long)matrix->rows,
              (long long)last->iteration);
        free(signals);
        reel_timeline_free(&timeline);
    }
}

static void a_negative_polynomial_is_counted(void)
{
    struct reel_teacache_range range;
    struct reel_job job = long_job();
    job.teacache.coefficients[0] = 1;
    job.teacache.coefficients[1] = -1000;
    struct reel_timeline timeline = decided(&job, &range);
    CHECK(range.compared > 0 && range.outside == range.compared && range.min > 0 && range.max >= range.min,
          "%lld of %lld", (long long)range.outside, (long long)range.compared);
    reel_timeline_free(&timeline);
}

static const char *set_of(const char *preset, int64_t image_rows, int64_t width, int64_t height)
{
    static struct reel_teacache_rule rule;
    struct reel_model of;
    struct reel_job job = long_job();
    reel_error_clear();
    reel_model_preset(preset, &of);
    of.image_rows = image_rows;
    job.video.width = width;
    job.video.height = height;
    job.teacache.coefficient_count = 0;
    return reel_teacache_rule_of(&job, &of, &rule) == REEL_OK ? rule.set : reel_error_here()->cause;
}

static void sets_follow_architecture_size_and_resolution(void)
{
    CHECK(strstr(set_of("skyreels-v2-df-1.3b", 0, 960, 544), "T2V 1.3B, e,"), "1.3B");
    CHECK(strstr(set_of("skyreels-v2-df-14b", 0, 1280, 720), "T2V 14B, e,"), "14B");
    CHECK(strstr(set_of("wan2.1-t2v-14b", 257, 832, 480), "I2V 480P, e,"), "480P");
    CHECK(strstr(set_of("wan2.1-t2v-14b", 257, 960, 544), "I2V 480P, e,"), "540P");
    CHECK(strstr(set_of("wan2.1-t2v-14b", 257, 720, 1280), "I2V 720P, e,"), "720P");
    CHECK(strstr(set_of("tiny", 0, 960, 544), "none were published"), "tiny");
    reel_error_clear();
}

int main(void)
{
    reel_model_preset("tiny", &model);
    reel_wan_network(&model, &network);
    RUN(every_chunk_has_the_decisions_of_the_first);
    RUN(the_mean_over_all_frames_is_diluted_by_a_prefix);
    RUN(forced_calls_are_computed_and_start_afresh);
    RUN(a_window_that_moves_is_computed);
    RUN(the_last_iteration_that_runs_is_computed);
    RUN(a_negative_polynomial_is_counted);
    RUN(sets_follow_architecture_size_and_resolution);
    for (int t = 0; t < REEL_WAN_TENSORS; t++)
        free(tensors[t]);
    return test_end();
}
