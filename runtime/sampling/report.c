/* A run's results: its output so far; and at its end the memory held and the bytes sent, beside the planned
 * ones. */
#include "report.h"

#include "clock.h"
#include "fault.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum reel_status reel_report_output(const struct reel_engine *engine, const struct reel_run *run)
{
    const struct reel_plan *plan = &engine->plan;
    const struct reel_position *position = &run->position;
    struct reel_output output = {.job = run->job,
                                 .job_text = run->job_text,
                                 .channels = plan->model.out_channels,
                                 .video_frames = plan->work.video_frames,
                                 .rows = plan->model.patch * plan->work.H,
                                 .columns = plan->model.patch * plan->work.W,
                                 .finished_frames = position->finished_frames,
                                 .latents = engine->arena.at[REEL_LATENTS_VIDEO],
                                 .matrices = run->timeline.matrices,
                                 .chunks = position->saving_count / plan->work.branches, /* finished */
                                 .calls = run->timeline.calls,
                                 .call_count = position->calls_made,
                                 .savings = position->savings,
                                 .saving_count = position->saving_count,
                                 .complete = position->finished_frames == plan->work.video_frames};
    enum reel_status status = REEL_OK;
    if (engine->comm->world.rank == 0 && run->job->output.latents[0])
        status = reel_output_write(&output);
    return reel_agree(engine->comm, status);
}

void reel_report_traffic(const struct reel_engine *engine, const struct reel_run *run,
                         int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    const struct reel_plan *plan = &engine->plan;
    int64_t rank = engine->comm->world.rank, first = run->position.first_chunk;
    memset(bytes, 0, REEL_TRAFFIC_CLASSES * sizeof *bytes);
    if (!run->loads)
        return;
    reel_timeline_traffic(&run->timeline, plan, rank, bytes);
    for (int64_t k = first; k < run->timeline.chunk_count; k++) {
        int64_t prompts = 0;
        for (int64_t slot = 0; slot < reel_plan_branches(plan); slot++) {
            int changed;
            reel_inputs_prompt(&run->inputs, reel_engine_first_branch(engine) + slot, k, &changed);
            prompts += changed || k == first;
        }
        if (prompts > 0)
            reel_traffic_prompts(plan, rank, prompts, bytes);
    }
}

void reel_report_sent(const struct reel_engine *engine, const struct reel_run *run,
                      int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    for (int c = 0; c < REEL_TRAFFIC_CLASSES; c++)
        bytes[c] = reel_comm_sent(engine->comm, (enum reel_traffic_class)c) - run->sent_before[c];
}

/* The memory that is not the plan's: on the host that of MPI, HDF5 and the C library, on a device that of
 * CUDA, NCCL and other libraries. */
static int64_t libraries_peak(const struct reel_engine *engine, int64_t process_peak)
{
    int64_t others = process_peak - engine->arena.total_bytes;
    if (engine->device.ops->taken_bytes)
        others = engine->device.ops->taken_bytes() - engine->arena.block_bytes;
    return others > 0 ? others : 0;
}

enum reel_status reel_report_done(const struct reel_engine *engine, const struct reel_run *run)
{
    struct rusage usage;
    struct reel_report mine = {0}, *all = NULL;
    enum reel_status status = REEL_OK;
    int64_t ranks = engine->comm->world.size;
    getrusage(RUSAGE_SELF, &usage);
    mine.process_peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    reel_memory_held(&reel_buffers, &engine->plan, engine->comm->world.rank, mine.planned_bytes);
    mine.planned_bytes[REEL_MEMORY_LIBRARIES] = engine->libraries_bytes;
    reel_report_traffic(engine, run, mine.planned_sent_bytes);
    memcpy(mine.peak_bytes, engine->arena.bytes, sizeof mine.peak_bytes);
    mine.peak_bytes[REEL_MEMORY_LIBRARIES] = libraries_peak(engine, mine.process_peak_bytes);
    reel_report_sent(engine, run, mine.sent_bytes);
    if (engine->comm->world.rank == 0)
        all = calloc((size_t)ranks, sizeof *all);
    if ((engine->comm->world.rank == 0 && !all) || reel_fault(REEL_FAULT_REPORT))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the report of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(engine->comm, status));
    int failed =
        MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, engine->comm->world.mpi);
    if (failed == MPI_SUCCESS)
        reel_tell(&run->observer, &(struct reel_event){.kind = REEL_EVENT_DONE,
                                                       .plan = &engine->plan,
                                                       .seconds = reel_seconds() - run->began,
                                                       .finished_frames = run->position.finished_frames,
                                                       .savings = run->position.savings,
                                                       .saving_count = run->position.saving_count,
                                                       .reports = all,
                                                       .ranks = ranks});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' reports did not reach rank 0");
    return REEL_OK;
}
