/* A run's results: its output so far; and at its end the memory held and the bytes sent, beside the planned
 * ones. */
#include "sampler.h"

#include "fault.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

int64_t reel_sampler_first_branch(const struct reel_sampler *s)
{
    return s->comm->cfg.rank * reel_plan_branches(&s->plan);
}

enum reel_status reel_sampler_output(struct reel_sampler *s)
{
    int64_t chunks = s->saving_count / s->plan.work.branches; /* finished ones */
    struct reel_output output = {.job = s->job,
                                 .job_text = s->job_text,
                                 .channels = s->plan.model.out_channels,
                                 .video_frames = s->plan.work.video_frames,
                                 .rows = 2 * s->plan.work.H,
                                 .columns = 2 * s->plan.work.W,
                                 .finished_frames = s->finished_frames,
                                 .latents = s->arena.at[REEL_LATENTS_VIDEO],
                                 .matrices = s->timeline.matrices,
                                 .chunks = chunks,
                                 .calls = s->timeline.calls,
                                 .call_count = s->call_count,
                                 .savings = s->savings,
                                 .saving_count = s->saving_count,
                                 .complete = s->finished_frames == s->plan.work.video_frames};
    enum reel_status status = REEL_OK;
    if (s->comm->world.rank == 0 && s->job->output.latents[0])
        status = reel_output_write(&output);
    return reel_agree(s->comm, status);
}

void reel_sampler_traffic(const struct reel_sampler *s, int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    memset(bytes, 0, REEL_TRAFFIC_CLASSES * sizeof *bytes);
    if (!s->loaded)
        return;
    int64_t rank = s->comm->world.rank, first = s->resume.found ? s->resume.saved.metadata.chunk : 0;
    reel_timeline_traffic(&s->timeline, &s->plan, rank, bytes);
    for (int64_t k = first; k < s->timeline.chunk_count; k++) {
        int64_t prompts = 0;
        for (int64_t slot = 0; slot < reel_plan_branches(&s->plan); slot++) {
            int changed;
            reel_inputs_prompt(&s->inputs, reel_sampler_first_branch(s) + slot, k, &changed);
            prompts += changed || k == first;
        }
        if (prompts > 0)
            reel_traffic_prompts(&s->plan, rank, prompts, bytes);
    }
}

/* The memory that is not the plan's: on the host that of MPI, HDF5 and the C library, on a device that of
 * CUDA, NCCL and other libraries. */
static int64_t libraries_peak(const struct reel_sampler *s, int64_t process_peak)
{
    int64_t others = process_peak - s->arena.total_bytes;
    if (s->ops->taken_bytes)
        others = s->ops->taken_bytes() - s->arena.block_bytes;
    return others > 0 ? others : 0;
}

enum reel_status reel_sampler_report(struct reel_sampler *s)
{
    struct rusage usage;
    struct reel_report mine = {0}, *all = NULL;
    enum reel_status status = REEL_OK;
    int64_t ranks = s->comm->world.size;
    getrusage(RUSAGE_SELF, &usage);
    mine.process_peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    int64_t table[REEL_BUFFERS];
    reel_plan_table(&s->plan, s->comm->world.rank, table);
    for (int b = 0; b < REEL_BUFFERS; b++)
        mine.planned_bytes[reel_buffer_memory(&s->plan, (enum reel_buffer)b)] += table[b];
    mine.planned_bytes[REEL_MEMORY_LIBRARIES] = s->libraries_bytes;
    reel_sampler_traffic(s, mine.planned_sent_bytes);
    memcpy(mine.peak_bytes, s->arena.bytes, sizeof mine.peak_bytes);
    mine.peak_bytes[REEL_MEMORY_LIBRARIES] = libraries_peak(s, mine.process_peak_bytes);
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        mine.sent_bytes[p] = reel_comm_sent(s->comm, (enum reel_traffic_class)p);
    if (s->comm->world.rank == 0)
        all = calloc((size_t)ranks, sizeof *all);
    if ((s->comm->world.rank == 0 && !all) || reel_fault(REEL_FAULT_REPORT))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the report of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(s->comm, status));
    int failed = MPI_Gather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, 0, s->comm->world.mpi);
    if (failed == MPI_SUCCESS)
        reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_DONE,
                                                  .plan = &s->plan,
                                                  .seconds = reel_seconds() - s->began,
                                                  .finished_frames = s->finished_frames,
                                                  .savings = s->savings,
                                                  .saving_count = s->saving_count,
                                                  .reports = all,
                                                  .ranks = ranks});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' reports did not reach rank 0");
    return REEL_OK;
}
