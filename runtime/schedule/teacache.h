/* TeaCache (Liu et al. 2025): which calls of a job skip the blocks, decided before the first call.
 *
 * A call's signal is the embedding of its timesteps, e or e0. Both depend on timesteps alone, so the
 * timestep matrices and the weights of the time embedding determine the whole table of distances and
 * decisions. The table is made once, in double and in a fixed order, and it alone decides. No device,
 * layout or mesh can change it, and no step has to synchronize for it.
 *
 *     distance_i = sum_f |s_f(i) - s_f(i-1)|_1 / sum_f |s_f(i-1)|_1     f: updated frames (active), or all
 *     a += |p(distance)|;   a < threshold: the call is skipped;   else it is computed, and a = 0
 *
 * Here p is the polynomial of the coefficients. Each chunk starts with a = 0. A call is always computed,
 * with a = 0, in iterations before start_step and from end_step on, and when the previous call had another
 * window of frames or there is none, because then the residual would belong to other tokens. With
 * `active`, prefix frames, which never change, do not dilute the distance: chunks with and without a
 * prefix are treated alike.
 *
 *     struct reel_teacache_rule rule;
 *     REEL_PASS(reel_teacache_rule_of(&job, &model, &rule));           coefficients, first and last iteration
 *     REEL_PASS(reel_teacache_make(&rule, &job, &model, tensor, context, &timeline, &range)); timeline.calls
 *
 * Not collective: one rank makes the table and sends it to the others. */
#ifndef REEL_TEACACHE_H
#define REEL_TEACACHE_H

#include "timeline.h"
#include "status.h"

enum { REEL_SET_NAME_BYTES = 96 };

struct reel_teacache_rule {
    enum reel_teacache_mode mode;
    double threshold;
    double coefficients[REEL_COEFFICIENTS_MAX]; /* highest power first */
    int64_t coefficient_count;
    /* Iterations that may be skipped: start_step .. end_step - 1; end_step -1: all but the last. */
    int64_t start_step, end_step;
    int signed_rescale, all_frames;
    double min, max; /* range of the distances that a calibration was fitted on; max 0: unknown */
    char set[REEL_SET_NAME_BYTES]; /* source of the coefficients */
};

/* Makes the rule of a job, and chooses what the job leaves open. REEL_BAD_JOB when no published set
 * belongs to the model, REEL_BAD_INPUT when the calibration file cannot be used. */
enum reel_status reel_teacache_rule_of(const struct reel_job *job, const struct reel_model *model,
                                       struct reel_teacache_rule *rule);

/* The columns of a signal: D for e, 6 D for e0. */
int64_t reel_teacache_columns(const struct reel_model *model, enum reel_teacache_mode mode);

/* Returns a whole tensor of the time embedding, which stays valid at least until the next call. NULL:
 * failed, and reel_error_here() has the error. */
typedef const float *reel_tensor_source(void *context, enum reel_tensor tensor);

/* Computes the signal of every row of the table, [R, columns], in double: e, or e0 with the fps embedding
 * where the model has one. REEL_NO_MEMORY, and the errors of the source. */
enum reel_status reel_teacache_signals(const struct reel_timestep_table *table,
                                       const struct reel_model *model, reel_tensor_source *tensor,
                                       void *context, int64_t fps, enum reel_teacache_mode mode,
                                       double *signals);

/* Statistics of the calls that were not forced. */
struct reel_teacache_range {
    /* The number of calls, and of those whose distance the polynomial was not fitted for. Such a distance
     * is outside the calibration's range or, where the range is unknown, the polynomial makes it negative. */
    int64_t compared, outside;
    double min, max; /* of their distances */
};

/* Fills the timeline's calls from the signals. With mode off all calls are computed, and signals may be
 * NULL. */
void reel_teacache_decide(const struct reel_teacache_rule *rule, const struct reel_job *job,
                          const struct reel_model *model, const double *signals,
                          struct reel_timeline *timeline, struct reel_teacache_range *range);

/* Computes the signals from the tensors and fills the timeline's calls. With mode off it asks for no
 * tensor. REEL_NO_MEMORY, and the errors of the source. */
enum reel_status reel_teacache_make(const struct reel_teacache_rule *rule, const struct reel_job *job,
                                    const struct reel_model *model, reel_tensor_source *tensor, void *context,
                                    struct reel_timeline *timeline, struct reel_teacache_range *range);

#endif
