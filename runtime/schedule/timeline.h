/* The timeline of a job, made before any weight is read: its chunks, the timestep matrix of each chunk,
 * and the counts that the plan is made from.
 *
 *     struct reel_timeline timeline;
 *     struct reel_begun none = {.count = 0};                             no chunk has begun
 *     REEL_PASS(reel_timeline_make(&job, 0, 0, none, &timeline));        no prefix frames, no end frames
 *     struct reel_workload work =
 *         reel_timeline_workload(&timeline, &job, &model, 1, REEL_F32, REEL_F32, ops);   1 thread
 *     reel_timeline_free(&timeline);
 *
 * Not collective: every rank makes the same timeline. */
#ifndef REEL_TIMELINE_H
#define REEL_TIMELINE_H

#include "chunk.h"
#include "job.h"
#include "ops.h"
#include "plan.h"
#include "schedule.h"
#include "timestep_table.h"
#include "timesteps.h"
#include "traffic.h"

/* One forward of one branch, and whether it is computed. */
struct reel_call {
    int64_t chunk, iteration, branch, computed;
    double distance;    /* relative L1 distance to the previous signal; NaN where there is none */
    double accumulated; /* value that is compared with the threshold; 0 where the call was forced */
};

/* What TeaCache saved for one branch of one chunk. */
struct reel_saving {
    int64_t chunk, branch, computed, skipped; /* calls */
    /* Estimate of the seconds saved: the time of the skipped calls at the mean time of the computed ones,
     * minus the time that they took. */
    double seconds;
};

struct reel_timeline {
    struct reel_schedule schedule;
    struct reel_chunk *chunks;       /* [chunk_count] */
    struct reel_timesteps *matrices; /* [chunk_count] */
    int64_t chunk_count;
    int64_t rows;                     /* of all matrices */
    int64_t iterations;               /* rows that update a frame, and so are run */
    struct reel_timestep_table table; /* the timesteps that the transformer receives */
    struct reel_call *calls;          /* in the order chunk, iteration, branch; room for two per row */
    int64_t call_count;               /* 0 until the calls are decided (teacache.h) */
    int64_t first_call;               /* the first call of this attempt; earlier attempts made the others */
    int64_t *tally;       /* [frames + 1, 2]: iterations over that many frames, skipped and computed */
    int64_t tally_frames; /* the most frames that a matrix has */
};

/* Makes the timeline of a job whose prefix and end have that many latent frames, after the chunks that an
 * earlier attempt has begun (chunk.h). The caller frees it with reel_timeline_free. The errors of
 * reel_schedule_make, reel_chunks_make and reel_timesteps_make; on failure nothing remains allocated. */
enum reel_status reel_timeline_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                    struct reel_begun begun, struct reel_timeline *timeline);

/* Frees the timeline; zeros are allowed. */
void reel_timeline_free(struct reel_timeline *timeline);

/* The counts that a plan needs. threads: of one rank's kernels; dtype, matrix_dtype: as in the workload. */
struct reel_workload reel_timeline_workload(const struct reel_timeline *timeline, const struct reel_job *job,
                                            const struct reel_model *model, int64_t threads,
                                            enum reel_dtype dtype, enum reel_dtype matrix_dtype,
                                            const struct reel_ops *ops);

/* The dtype of weights and activations, as the job asks or else the device's own; and that of the weights of
 * the blocks' linear layers. */
enum reel_dtype reel_compute_dtype(enum reel_compute compute, enum reel_dtype of_device);
enum reel_dtype reel_compute_matrix_dtype(enum reel_compute compute, enum reel_dtype dtype);

/* The largest input of a GEMM and the largest head that the kernels will get. */
struct reel_scratch reel_timeline_scratch(const struct reel_model *model, int64_t threads,
                                          enum reel_dtype matrix_dtype);

/* The mesh that the job asks for, with REEL_AUTO_WAYS where it leaves the ways open (choose.h). */
struct reel_mesh reel_timeline_mesh(const struct reel_job *job);

/* Sets the decided calls to the first `count` of timeline->calls, where the caller has put them: it decides
 * them in order, or receives them. There is room for two calls for each of `rows`. */
void reel_timeline_decided(struct reel_timeline *timeline, int64_t count);

/* Resumes after the first `made` of an earlier attempt's calls, of which `count` are given: the calls of the
 * chunks that had begun, the first `begun` chunks, are that attempt's, whatever this one has decided.
 * *changed is the number of those that it decided differently. Returns how many calls were taken, or -1 if
 * they do not fit this timeline. */
int64_t reel_timeline_resume(struct reel_timeline *timeline, const struct reel_call *calls, int64_t count,
                             int64_t begun, int64_t made, int64_t *changed);

/* Counts the iterations from first_call on into tally. The calls must be decided. */
void reel_timeline_count(struct reel_timeline *timeline);

/* The iterations of a job that have the same frames and the same decision, in all chunks. */
struct reel_timeline_kind {
    struct reel_iteration of;
    int64_t iterations;
    int64_t next; /* where reel_timeline_next resumes */
};

/* Gets the next kind of iteration that the job has, and returns 1; returns 0 after the last. kind is zeros
 * before the first. */
int reel_timeline_next(const struct reel_timeline *timeline, struct reel_timeline_kind *kind);

/* The bytes that a rank sends to others from first_call on, by traffic class: every iteration of every
 * chunk, and the image. The caller adds the prompts (reel_traffic_prompts), because only the caller knows
 * when they change. */
void reel_timeline_traffic(const struct reel_timeline *timeline, const struct reel_plan *plan, int64_t rank,
                           int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* Checks that this model can do this job: REEL_BAD_JOB, REEL_BAD_INPUT. */
enum reel_status reel_timeline_check(const struct reel_job *job, const struct reel_model *model,
                                     const struct reel_workload *work);

#endif
