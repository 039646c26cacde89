/* The table of TeaCache's decisions. */
#include "teacache.h"

#include "calibration.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Published coefficients, highest power first, of TeaCache4Wan2.1 and SkyReels-V2. All were fitted on
 * timesteps that all frames share. */
static const struct set {
    const char *name;
    double e[5], e0[5];
} sets[] = {
    {"T2V 1.3B",
     {2.39676752e+03, -1.31110545e+03, 2.01331979e+02, -8.29855975e+00, 1.37887774e-01},
     {-5.21862437e+04, 9.23041404e+03, -5.28275948e+02, 1.36987616e+01, -4.99875664e-02}},
    {"T2V 14B",
     {-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404},
     {-3.03318725e+05, 4.90537029e+04, -2.65530556e+03, 5.87365115e+01, -3.15583525e-01}},
    {"I2V 480P",
     {-3.02331670e+02, 2.23948934e+02, -5.25463970e+01, 5.87348440e+00, -2.01973289e-01},
     {2.57151496e+05, -3.54229917e+04, 1.40286849e+03, -1.35890334e+01, 1.32517977e-01}},
    {"I2V 720P",
     {-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683},
     {8.10705460e+03, 2.13393892e+03, -3.72934672e+02, 1.66203073e+01, -4.17769401e-02}},
};

/* The published set for a model; NULL: none. Text-to-video models are told apart by their size,
 * image-to-video models by the resolution they were made for, 540P (which uses the set for 480P) or 720P;
 * 691,200 pixels lie between these two. */
static const struct set *set_of(const struct reel_job *job, const struct reel_model *model)
{
    int small = model->width == 1536 && model->layers == 30,
        large = model->width == 5120 && model->layers == 40;
    if (!small && !large)
        return NULL;
    if (model->image_rows > 0)
        return &sets[job->video.width * job->video.height <= 691200 ? 2 : 3];
    return &sets[small ? 0 : 1];
}

static const char *mode_name(enum reel_teacache_mode mode)
{
    return mode == REEL_TEACACHE_E ? "e" : "e0";
}

static enum reel_status use_published_set(const struct reel_job *job, const struct reel_model *model,
                                          struct reel_teacache_rule *rule)
{
    const struct set *set = set_of(job, model);
    REEL_NEED(set, REEL_BAD_JOB,
              "teacache.coefficients is auto and none were published for a model of width %" PRId64
              " with %" PRId64 " layers, expected a list of coefficients or a file of reel calibrate",
              model->width, model->layers);
    rule->coefficient_count = 5;
    memcpy(rule->coefficients, rule->mode == REEL_TEACACHE_E ? set->e : set->e0, sizeof set->e);
    snprintf(rule->set, sizeof rule->set, "%s, %s, published", set->name, mode_name(rule->mode));
    return REEL_OK;
}

enum reel_status reel_teacache_rule_of(const struct reel_job *job, const struct reel_model *model,
                                       struct reel_teacache_rule *rule)
{
    *rule = (struct reel_teacache_rule){.mode = job->teacache.mode,
                                        .threshold = job->teacache.threshold,
                                        .start_step = job->teacache.start_step,
                                        .end_step = job->teacache.end_step,
                                        .signed_rescale = job->teacache.rescale == REEL_RESCALE_SIGNED,
                                        .all_frames = job->teacache.metric == REEL_METRIC_ALL};
    if (rule->mode == REEL_TEACACHE_OFF)
        return REEL_OK;
    if (rule->start_step == REEL_AUTO)
        rule->start_step = rule->mode == REEL_TEACACHE_E ? 1 : 5;
    if (job->teacache.coefficient_file[0]) {
        struct reel_calibration calibration;
        REEL_PASS(reel_calibration_read(job->teacache.coefficient_file, &calibration));
        REEL_NEED(
            calibration.mode == rule->mode, REEL_BAD_INPUT,
            "%s: the coefficients were fitted for teacache.mode %s and the job has %s, expected the same",
            job->teacache.coefficient_file, mode_name(calibration.mode), mode_name(rule->mode));
        rule->coefficient_count = calibration.coefficient_count;
        memcpy(rule->coefficients, calibration.coefficients, sizeof rule->coefficients);
        rule->min = calibration.min;
        rule->max = calibration.max;
        snprintf(rule->set, sizeof rule->set, "a file of reel calibrate");
        return REEL_OK;
    }
    if (job->teacache.coefficient_count == 0)
        return use_published_set(job, model, rule);
    rule->coefficient_count = job->teacache.coefficient_count;
    memcpy(rule->coefficients, job->teacache.coefficients, sizeof rule->coefficients);
    snprintf(rule->set, sizeof rule->set, "the job's list");
    return REEL_OK;
}

int64_t reel_teacache_columns(const struct reel_model *model, enum reel_teacache_mode mode)
{
    return (mode == REEL_TEACACHE_E0 ? 6 : 1) * model->width;
}

/* The timestep of a frame of a chunk in an iteration, as the model receives it. */
static int64_t timestep_of(const struct reel_job *job, const struct reel_chunk *chunk,
                           const struct reel_timesteps *matrix, int64_t row, int64_t frame)
{
    int64_t n = job->diffusion_forcing.addnoise_condition;
    return n > 0 && frame < chunk->prefix_frames ? n : matrix->timestep[row * matrix->frames + frame];
}

/* The relative distance of iteration `row` from `before`, the previous iteration that ran. Both have the
 * same window. */
static double distance_of(const struct reel_teacache_rule *rule, const struct reel_timeline *timeline,
                          const struct reel_job *job, int64_t k, int64_t row, int64_t before, int64_t columns,
                          const double *signals)
{
    const struct reel_timesteps *matrix = &timeline->matrices[k];
    const struct reel_chunk *chunk = &timeline->chunks[k];
    double difference = 0, magnitude = 0;
    for (int64_t f = matrix->interval[2 * row]; f < matrix->interval[2 * row + 1]; f++) {
        if (!rule->all_frames && !matrix->update[row * matrix->frames + f])
            continue;
        const double *now =
            signals + columns * timeline->table.row_of[timestep_of(job, chunk, matrix, row, f)];
        const double *then =
            signals + columns * timeline->table.row_of[timestep_of(job, chunk, matrix, before, f)];
        for (int64_t i = 0; i < columns; i++) {
            difference += fabs(now[i] - then[i]);
            magnitude += fabs(then[i]);
        }
    }
    return difference / magnitude;
}

static double rescale_distance(const struct reel_teacache_rule *rule, double distance)
{
    double value = 0;
    for (int64_t c = 0; c < rule->coefficient_count; c++)
        value = value * distance + rule->coefficients[c];
    return value;
}

/* Whether the polynomial was not fitted for this distance, which it rescales to step. The slack at the
 * ends of a calibration's range allows for another machine's rounding. */
static int is_outside(const struct reel_teacache_rule *rule, double distance, double step)
{
    const double slack = 1e-6;
    if (rule->max > 0)
        return distance < rule->min * (1 - slack) || distance > rule->max * (1 + slack);
    return step < 0;
}

/* The last iteration of a chunk that runs. With end frames, rows without an update may follow it. */
static int64_t last_of(const struct reel_timesteps *matrix)
{
    int64_t last = matrix->rows - 1;
    while (last > 0 && !reel_timesteps_runs(matrix, last))
        last--;
    return last;
}

static int is_forced(const struct reel_teacache_rule *rule, int64_t row, int64_t last)
{
    return row < rule->start_step || row >= (rule->end_step < 0 ? last : rule->end_step);
}

/* The inputs of all decisions. */
struct maker {
    const struct reel_teacache_rule *rule;
    const struct reel_timeline *timeline;
    const struct reel_job *job;
    int64_t columns;
    const double *signals;
    struct reel_teacache_range *range;
};

/* Decides the call of iteration `row` of chunk k. before: the previous iteration that ran; -1: none in
 * this chunk. */
static struct reel_call decide_call(const struct maker *m, int64_t k, int64_t row, int64_t before,
                                    int64_t last, double *accumulated)
{
    const struct reel_timesteps *matrix = &m->timeline->matrices[k];
    struct reel_call call = {.chunk = k, .iteration = row, .computed = 1, .distance = (double)NAN};
    int comparable =
        m->rule->mode != REEL_TEACACHE_OFF && before >= 0 &&
        memcmp(matrix->interval + 2 * row, matrix->interval + 2 * before, 2 * sizeof *matrix->interval) == 0;
    if (comparable)
        call.distance = distance_of(m->rule, m->timeline, m->job, k, row, before, m->columns, m->signals);
    if (!comparable || is_forced(m->rule, row, last)) {
        *accumulated = 0;
        return call;
    }
    double step = rescale_distance(m->rule, call.distance);
    *accumulated += m->rule->signed_rescale ? step : fabs(step);
    call.accumulated = *accumulated;
    call.computed = !(*accumulated < m->rule->threshold);
    if (call.computed)
        *accumulated = 0;
    m->range->compared++;
    m->range->outside += is_outside(m->rule, call.distance, step);
    m->range->min = fmin(m->range->min, call.distance);
    m->range->max = fmax(m->range->max, call.distance);
    return call;
}

void reel_teacache_decide(const struct reel_teacache_rule *rule, const struct reel_job *job,
                          const struct reel_model *model, const double *signals,
                          struct reel_timeline *timeline, struct reel_teacache_range *range)
{
    int64_t branches = job->sampler.guidance_scale > 1 ? 2 : 1;
    struct maker maker = {rule, timeline, job, reel_teacache_columns(model, rule->mode), signals, range};
    *range = (struct reel_teacache_range){.min = HUGE_VAL};
    int64_t count = 0;
    for (int64_t k = 0; k < timeline->chunk_count; k++) {
        double accumulated = 0;
        int64_t last = last_of(&timeline->matrices[k]);
        for (int64_t row = 0, before = -1; row < timeline->matrices[k].rows; row++) {
            if (!reel_timesteps_runs(&timeline->matrices[k], row))
                continue;
            /* both branches receive the same timesteps, so one accumulator serves both */
            struct reel_call call = decide_call(&maker, k, row, before, last, &accumulated);
            for (call.branch = 0; call.branch < branches; call.branch++)
                timeline->calls[count++] = call;
            before = row;
        }
    }
    reel_timeline_decided(timeline, count);
    reel_timeline_count(timeline);
}

enum reel_status reel_teacache_make(const struct reel_teacache_rule *rule, const struct reel_job *job,
                                    const struct reel_model *model, reel_tensor_source *tensor, void *context,
                                    struct reel_timeline *timeline, struct reel_teacache_range *range)
{
    double *signals = NULL;
    enum reel_status status = REEL_OK;
    if (rule->mode != REEL_TEACACHE_OFF) {
        int64_t elements = timeline->table.rows * reel_teacache_columns(model, rule->mode);
        signals = malloc((size_t)elements * sizeof *signals);
        REEL_NEED(signals, REEL_NO_MEMORY, "no memory for the signals of %" PRId64 " timesteps",
                  timeline->table.rows);
        status = reel_teacache_signals(&timeline->table, model, tensor, context, job->video.fps, rule->mode,
                                       signals);
    }
    if (status == REEL_OK)
        reel_teacache_decide(rule, job, model, signals, timeline, range);
    free(signals);
    return status;
}
