/* What reel plan says of a job, and its two ways of saying it.
 *
 *     struct reel_forecast forecast;
 *     REEL_PASS(reel_forecast_open(&job, 8, &machine, &forecast));      which meshes there are
 *     if (forecast.candidates.chosen >= 0)
 *         status = reel_forecast_make(&forecast);                       what follows from the one to use
 *     reel_forecast_text(&forecast, 0);
 *     reel_forecast_close(&forecast);
 *
 * Not collective. */
#ifndef REEL_PLAN_FORECAST_H
#define REEL_PLAN_FORECAST_H

#include "choose.h"
#include "estimate.h"
#include "timeline.h"
#include "teacache.h"
#include "traffic.h"

struct reel_forecast_held {
    int64_t bytes[REEL_MEMORIES], total;
};

struct reel_forecast_sent {
    int64_t bytes[REEL_TRAFFIC_CLASSES], total;
};

/* Of one rank. */
struct reel_forecast_rank {
    struct reel_forecast_held held;
    struct reel_forecast_sent sent;        /* in an iteration over the longest window */
    struct reel_forecast_sent sent_by_job; /* in all of them, and for the prompts */
    struct reel_flops flops;               /* of that iteration */
};

struct reel_forecast {
    const struct reel_job *job;
    int64_t prefix_frames, end_frames; /* latent frames of the files that the job names */
    struct reel_model model;
    struct reel_timeline timeline;
    struct reel_teacache_rule teacache;
    struct reel_teacache_range range;
    int64_t skips; /* calls that are not computed */
    char undecided
        [REEL_CAUSE_BYTES]; /* why TeaCache's decisions are not known; all are then taken as computed */
    struct reel_workload work;
    struct reel_mesh asked;
    int64_t ranks;
    struct reel_machine machine;
    struct reel_candidates candidates;
    /* of the chosen mesh */
    struct reel_plan plan;
    char why[REEL_WHY_BYTES];
    struct reel_estimate iteration; /* over the longest window */
    double seconds;                 /* of all iterations, and of what is computed once */
    double saved_seconds;           /* by TeaCache */
    struct reel_forecast_rank *of;  /* [ranks] */
};

/* Reads what the job says of sizes and finds the meshes. The errors of those who do; nothing is left to
 * close then. */
enum reel_status reel_forecast_open(const struct reel_job *job, int64_t ranks,
                                    const struct reel_machine *machine, struct reel_forecast *forecast);

/* TeaCache's decisions, from the time embedding's tensors where they are there (plan_teacache.c). The errors of a rule that
 * cannot be settled; tensors that are not there are said in undecided. */
enum reel_status reel_forecast_decide(struct reel_forecast *forecast);

/* The plan of the chosen mesh, and what follows from it. */
enum reel_status reel_forecast_make(struct reel_forecast *forecast);

void reel_forecast_close(struct reel_forecast *forecast);

/* The counts of a job with the chunks of an outline, in the numbers that the machine computes with. */
struct reel_workload reel_forecast_workload(const struct reel_forecast *forecast, const struct reel_job *job,
                                            const struct reel_timeline *timeline);

/* Something that would fit, or at least come nearest. */
enum { REEL_ALTERNATIVES_MAX = 4 };
struct reel_alternative {
    char change[64];
    int64_t ranks;
    struct reel_candidate candidate;
};

/* Where nothing fits: smaller chunks, more ranks, gathered weights, and the least memory that these ranks
 * can do with; as many as there are. */
int64_t reel_forecast_alternatives(const struct reel_forecast *forecast,
                                   struct reel_alternative alternatives[REEL_ALTERNATIVES_MAX]);

/* Prints what was made on standard output, as text or as one JSON object; where nothing fits, the
 * alternatives. With all, every mesh too. */
void reel_forecast_text(const struct reel_forecast *forecast, int all);
void reel_forecast_json(const struct reel_forecast *forecast, int all);

#endif
