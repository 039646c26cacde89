/* The engine: what lives as long as the weights, and serves one run after another.
 *
 *     reel_engine_open(&engine, &comm, NULL);                             nothing is read yet
 *     REEL_PASS(reel_engine_model(&engine, job.model.path));              the model's sizes
 *     REEL_PASS(reel_engine_device(&engine, &job, "", 1, &observer));    where the ranks compute, the dtypes
 *     REEL_PASS(reel_engine_prepare(&engine, &request, &observer));      plan, memory, embedding, weights
 *     ... reel_dit_forward(&engine.dit, ...) ...
 *     reel_engine_close(&engine);
 *
 * A second run calls model, device and prepare again. What it shares with the run before it stays: with the
 * same model, device, plan and timesteps nothing is read again. Everything else is released and made anew.
 *
 * Only engine.c writes the members; operations go to the stream, and data to the buffers of the arena. */
#ifndef REEL_ENGINE_H
#define REEL_ENGINE_H

#include "arena.h"
#include "comm.h"
#include "device.h"
#include "dit.h"
#include "event.h"
#include "model_file.h"
#include "time_embedding.h"
#include "timeline.h"
#include "weights.h"

struct reel_engine {
    struct reel_comm *comm;
    const struct reel_device *given;  /* where to compute; NULL: the job's settings choose */
    char model_path[REEL_PATH_BYTES]; /* of model_files; "": none is open */
    struct reel_model_files model_files;
    struct reel_device chosen; /* as the job's settings choose it; ops is NULL before */
    struct reel_device device; /* as chosen, with the dtypes of the run */
    struct {
        enum reel_device_kind device;
        enum reel_transport_kind transport;
        enum reel_compute compute;
    } asked; /* the settings that `chosen` was chosen by */

    int is_allocated; /* plan, arena and stream are there, and comm has the plan's axes */
    struct reel_plan plan;
    int64_t libraries_bytes; /* memory that libraries may take in addition to the plan */
    struct reel_arena arena;
    struct reel_stream stream;

    int is_loaded;                    /* weights, embedding and dit are there */
    struct reel_timestep_table table; /* the rows of the embedding */
    int64_t fps;                      /* of the embedding */
    struct reel_time_embedding embedding;
    /* [R, columns] the rows' TeaCache signals in double, on rank 0 (teacache.h); NULL with signals_of off */
    double *signals;
    enum reel_teacache_mode signals_of;
    struct reel_weights weights;
    uint64_t weights_hash;
    struct reel_dit dit;
};

/* Not collective. Both arguments must outlive the engine. device NULL: the settings of the job choose it. */
void reel_engine_open(struct reel_engine *engine, struct reel_comm *comm, const struct reel_device *device);

/* Not collective, except for comm's communicators. An engine of zeros is allowed. */
void reel_engine_close(struct reel_engine *engine);

/* Not collective. Where this rank has an error, aborts the exchanges that peers may never take part in.
 * Called before any release, because releasing what a device uses may wait for its pending work. */
void reel_engine_abort(const struct reel_engine *engine);

/* Collective over world. Opens and checks the model at path, and checks that every rank sees the same. Files
 * of that path that are open already stay open. The errors of reel_model_open; REEL_BAD_INPUT. */
enum reel_status reel_engine_model(struct reel_engine *engine, const char *path);

/* Collective over world, after reel_engine_model. Chooses device and dtypes. saved is the model.compute of
 * the checkpoint that the run resumes from, which is used where the job leaves it open, because that keeps
 * its bits; "" without one. Only rank 0's counts. With is_used 0, for a job that is complete, only the dtypes
 * are set. The errors of reel_device_choose and reel_model_keep_fp8; REEL_BAD_DEVICE. */
enum reel_status reel_engine_device(struct reel_engine *engine, const struct reel_job *job, const char *saved,
                                    int is_used, const struct reel_observer *observer);

/* What a run needs from the engine. */
struct reel_engine_request {
    const struct reel_job *job;
    const struct reel_timeline *timeline;
    const struct reel_mesh *mesh; /* of the checkpoint; its ways are kept where the job leaves them open. Or
                                     * NULL */
    enum reel_teacache_mode signals; /* which signals rank 0 needs */
    int loads;                       /* 0: only plan and memory; no iteration is left to run */
};

/* Collective over world, after reel_engine_device. Plans, allocates, makes the embedding table and loads the
 * weights, as far as the engine has not done so for an earlier run. Clears what a run must find clear. The
 * errors of planning, reel_comm_mesh, reel_arena_open and reel_weights_load; the same on every rank. */
enum reel_status reel_engine_prepare(struct reel_engine *engine, const struct reel_engine_request *request,
                                     const struct reel_observer *observer);

/* Collective over world. Waits for the stream, then agrees on one status for all ranks, from this rank's
 * status and the stream's. It waits after a failure, too, because peers wait for the exchanges that were
 * issued before it. */
enum reel_status reel_engine_agree(struct reel_engine *engine, enum reel_status status);

/* Not collective. The first of this rank's branches: it computes [first, first + reel_plan_branches). */
int64_t reel_engine_first_branch(const struct reel_engine *engine);

#endif
