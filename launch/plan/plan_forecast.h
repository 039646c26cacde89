/* What reel plan reports about a job, and how it prints that: as text or as JSON.
 *
 *     struct reel_forecast forecast;
 *     REEL_PASS(reel_forecast_open(&job, 8, &machine, &forecast));      finds the possible meshes
 *     if (forecast.candidates.chosen >= 0)
 *         status = reel_forecast_make(&forecast);                       plans with the chosen mesh
 *     reel_forecast_text(&forecast, 0);
 *     reel_forecast_close(&forecast);
 *
 * Not collective. */
#ifndef REEL_PLAN_FORECAST_H
#define REEL_PLAN_FORECAST_H

#include "buffers.h"
#include "choose.h"
#include "estimate.h"
#include "timeline.h"
#include "teacache.h"
#include "traffic.h"

/* The bytes that a rank holds, by category. */
struct reel_forecast_held {
    int64_t bytes[REEL_MEMORIES], total;
};

/* The bytes that a rank sends, by traffic class. */
struct reel_forecast_sent {
    int64_t bytes[REEL_TRAFFIC_CLASSES], total;
};

/* The forecast for one rank. */
struct reel_forecast_rank {
    struct reel_forecast_held held;
    struct reel_forecast_sent sent;        /* in an iteration over the longest window */
    struct reel_forecast_sent sent_by_job; /* in all iterations, and for the prompts */
    struct reel_flops flops;               /* in one iteration over the longest window */
};

struct reel_forecast {
    const struct reel_job *job;
    int64_t prefix_frames, end_frames; /* latent frames of the files that the job names */
    struct reel_model model;
    struct reel_timeline timeline;
    struct reel_teacache_rule teacache;
    struct reel_teacache_range range;
    int64_t skips; /* the number of calls that TeaCache skips */
    /* Why TeaCache's decisions are not known; "" when they are. Every call then counts as computed. */
    char undecided[REEL_CAUSE_BYTES];
    struct reel_workload work;
    struct reel_mesh asked;
    int64_t ranks;
    struct reel_machine machine;
    struct reel_candidates candidates;
    /* filled by reel_forecast_make, for the chosen mesh */
    struct reel_plan plan;
    char why[REEL_WHY_BYTES];
    struct reel_estimate iteration; /* over the longest window */
    double seconds;                 /* of all iterations and of the work done once */
    double saved_seconds;           /* by TeaCache's skips */
    struct reel_forecast_rank *of;  /* [ranks] */
};

/* Reads the sizes of the model and of the latents that the job names, makes the timeline, and finds the
 * possible meshes. The errors of the functions that do so; after an error there is nothing to close. job must
 * outlive *forecast. */
enum reel_status reel_forecast_open(const struct reel_job *job, int64_t ranks,
                                    const struct reel_machine *machine, struct reel_forecast *forecast);

/* Makes TeaCache's decisions from the tensors of the time embedding (plan_teacache.c). Missing tensors are
 * not an error: forecast->undecided then says why, and every call counts as computed. The errors of
 * reel_teacache_rule_of and reel_teacache_make. */
enum reel_status reel_forecast_decide(struct reel_forecast *forecast);

/* Makes the plan of the chosen mesh, and the bytes, FLOPs and seconds that follow from it. Requires
 * candidates.chosen >= 0. REEL_NO_MEMORY, and the errors of reel_plan_make. */
enum reel_status reel_forecast_make(struct reel_forecast *forecast);

void reel_forecast_close(struct reel_forecast *forecast);

/* The counts of a job with the chunks of a timeline, in the dtype that the machine computes with. */
struct reel_workload reel_forecast_workload(const struct reel_forecast *forecast, const struct reel_job *job,
                                            const struct reel_timeline *timeline);

/* A change of the job or of the ranks with which a mesh fits, or comes nearest to fitting. */
enum { REEL_ALTERNATIVES_MAX = 4 };
struct reel_alternative {
    char change[64]; /* such as "diffusion_forcing.base_frames 73" */
    int64_t ranks;
    struct reel_candidate candidate;
};

/* The alternatives when no mesh fits: smaller chunks, more ranks, gathered weights, and any mesh of the given
 * ranks (the best that fits, else the one that takes the least memory). Returns how many of these exist. */
int64_t reel_forecast_alternatives(const struct reel_forecast *forecast,
                                   struct reel_alternative alternatives[REEL_ALTERNATIVES_MAX]);

/* Print the forecast on standard output, as text or as one JSON object; when no mesh fits, the alternatives.
 * With all, also every possible mesh. */
void reel_forecast_text(const struct reel_forecast *forecast, int all);
void reel_forecast_json(const struct reel_forecast *forecast, int all);

#endif
