/* TeaCache (Liu et al. 2025): which calls of a job skip the blocks, known before the first one.
 *
 * A call's signal is the embedding of its timesteps, e or e0. Both depend on timesteps alone, so that the whole table of
 * distances and decisions follows from the timestep matrices and the weights of the time embedding. It is made once, in
 * double and in a fixed order, and decides, always: no device, layout or mesh can change it, and nothing is synchronised
 * inside a step.
 *
 *     distance_i = sum_f |s_f(i) - s_f(i-1)|_1 / sum_f |s_f(i-1)|_1         f: frames of the mask (active), or all
 *     a += |p(distance)|;   a < threshold: skipped;   else computed, a = 0
 *
 * Per chunk, state fresh in each. Forced, with a = 0: iterations before start_step and from end_step on, and calls without
 * a previous one over the same window of frames, for there the residual would be that of other tokens. With `active` a
 * prefix, which never changes, does not dilute the distance: every chunk is treated alike.
 *
 *     struct reel_teacache_rule rule;
 *     REEL_PASS(reel_teacache_rule_of(&job, &model, &rule));               coefficients, first and last iteration
 *     REEL_PASS(reel_teacache_make(&rule, &job, &model, tensor, context, &outline, &range));       outline.calls
 *
 * Not collective: made on one rank, sent to all. */
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
    int64_t start_step,
        end_step; /* iterations that may be skipped: start_step .. end_step - 1; -1: all but the last */
    int signed_rescale, all_frames;
    double min, max;               /* distances that a calibration was fitted on; most 0: not known */
    char set[REEL_SET_NAME_BYTES]; /* where the coefficients are from */
};

/* Settles what the job leaves open. REEL_BAD_JOB when no published set belongs to the model, REEL_BAD_INPUT when the
 * calibration file cannot be used. */
enum reel_status reel_teacache_rule_of(const struct reel_job *job, const struct reel_model *model,
                                       struct reel_teacache_rule *rule);

/* Columns of a signal: D for e, 6 D for e0. */
int64_t reel_teacache_columns(const struct reel_model *model, enum reel_teacache_mode mode);

/* Gives a whole tensor of the time embedding; it stays valid until the next is asked for, or longer. NULL: not there. */
typedef const float *reel_tensor_source(void *context, enum reel_tensor tensor);

/* The signal of every row of the table, [R, columns], in double: e, or e0 with the fps embedding where the model has one.
 * REEL_NO_MEMORY. */
enum reel_status reel_teacache_signals(const struct reel_timestep_table *table,
                                       const struct reel_model *model, reel_tensor_source *tensor,
                                       void *context, int64_t fps, enum reel_teacache_mode mode,
                                       double *signals);

/* What the calls that were not forced have come to. */
struct reel_teacache_range {
    int64_t compared,
        outside;     /* calls, and those whose distance the polynomial was not fitted on: it is beyond the
                                * calibration's range, or made negative where that is not known */
    double min, max; /* of their distances */
};

/* Fills the outline's calls. With mode off all are computed; signals may then be NULL. */
void reel_teacache_decide(const struct reel_teacache_rule *rule, const struct reel_job *job,
                          const struct reel_model *model, const double *signals,
                          struct reel_timeline *timeline, struct reel_teacache_range *range);

/* Fills the outline's calls from the tensors: signals and decisions. With mode off no tensor is asked for. REEL_NO_MEMORY,
 * and the errors of the source. */
enum reel_status reel_teacache_make(const struct reel_teacache_rule *rule, const struct reel_job *job,
                                    const struct reel_model *model, reel_tensor_source *tensor, void *context,
                                    struct reel_timeline *timeline, struct reel_teacache_range *range);

#endif
