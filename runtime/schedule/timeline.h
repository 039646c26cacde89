/* What a job comes to, before any weight is read: its chunks, the timestep matrix of each, and the counts
 * that the plan is made from.
 *
 *     struct reel_timeline outline;
 *     REEL_PASS(reel_timeline_make(&job, 0, 0, none, &outline));       no prefix, no end frames, nothing begun
 *     struct reel_workload work = reel_timeline_workload(&outline, &job, &model, 1);
 *     reel_timeline_free(&outline);
 *
 * Not collective: every rank makes the same. */
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

/* One forward of one branch, as it was decided. */
struct reel_call {
    int64_t chunk, iteration, branch, computed;
    double distance;    /* relative L1 to the previous signal; NaN where there is none */
    double accumulated; /* the value compared with the threshold; 0 where the iteration was forced */
};

/* What TeaCache did for one branch of one chunk. */
struct reel_saving {
    int64_t chunk, branch, computed, skipped; /* calls */
    double seconds; /* saved: what skipped ones would have taken more, by those computed */
};

struct reel_timeline {
    struct reel_schedule schedule;
    struct reel_chunk *chunks;       /* [chunk_count] */
    struct reel_timesteps *matrices; /* [chunk_count] */
    int64_t chunk_count;
    int64_t rows;                     /* of all matrices */
    int64_t iterations;               /* rows that run */
    struct reel_timestep_table table; /* the timesteps that the transformer hears */
    struct reel_call *calls;          /* in the order chunk, iteration, branch; room for two a row */
    int64_t call_count;               /* 0 until they are decided (teacache.h) */
    int64_t first_call;               /* that this run makes: those before it were made by an earlier one */
    int64_t *tally;       /* [frames + 1, 2]: iterations over so many frames, skipped and computed */
    int64_t tally_frames; /* the most that a matrix has */
};

/* Makes the outline for a prefix and an end of so many latent frames, behind the chunks that an earlier run has begun
 * (chunk.h); the caller frees it. The errors of
 * reel_schedule_make, reel_chunks_make and reel_timesteps_make; nothing is left allocated then. */
enum reel_status reel_timeline_make(const struct reel_job *job, int64_t prefix_frames, int64_t end_frames,
                                    struct reel_begun begun, struct reel_timeline *timeline);

/* Frees it; zeros are allowed. */
void reel_timeline_free(struct reel_timeline *timeline);

/* The counts that a plan needs, with kernels on that many threads a rank. */
struct reel_workload reel_timeline_workload(const struct reel_timeline *timeline, const struct reel_job *job,
                                            const struct reel_model *model, int64_t threads,
                                            int64_t number_bytes, int fp8, const struct reel_ops *ops);

/* What numbers are held as: what the job asks for, or the device's own. */
int64_t reel_number_bytes(enum reel_compute compute, int64_t of_device);

/* The largest GEMM input and head that the kernels will see. */
struct reel_scratch reel_timeline_scratch(const struct reel_model *model, int64_t threads, int fp8);

/* What the job asks of a mesh: what it leaves open is REEL_AUTO_WAYS (choose.h). */
struct reel_mesh reel_timeline_mesh(const struct reel_job *job);

/* Counts the iterations of its calls from first_call on, once they are decided. */
void reel_timeline_count(struct reel_timeline *timeline);

/* Iterations of a job that are alike, wherever they are. */
struct reel_timeline_kind {
    struct reel_iteration of;
    int64_t iterations;
    int64_t next; /* where to go on */
};

/* The next kind of iteration that the job has; kind is zeros before the first. 0 after the last. */
int reel_timeline_next(const struct reel_timeline *timeline, struct reel_timeline_kind *kind);

/* Bytes that a rank sends to others from first_call on, by purpose: every iteration of every chunk,
 * and the image. Prompts are the caller's to add (reel_traffic_prompts): who has them knows when they change. */
void reel_timeline_traffic(const struct reel_timeline *timeline, const struct reel_plan *plan, int64_t rank,
                           int64_t bytes[REEL_TRAFFIC_CLASSES]);

/* What this model cannot do with this job: REEL_BAD_JOB, REEL_BAD_INPUT. */
enum reel_status reel_timeline_check(const struct reel_job *job, const struct reel_model *model,
                                     const struct reel_workload *work);

#endif
