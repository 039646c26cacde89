/* Runs the transfers of the fake NCCL in the streams of the fake CUDA, in every program that links this file.
 * It is set up before main. */
#include "nccl_fake.h"

#include "fake.h"
#include "nccl_work.h"

static void run(void *queue, void (*work)(void *context), void *context, const struct reel_nccl_range *reads,
                int64_t read_count, const struct reel_nccl_range *writes, int64_t write_count)
{
    (void)reads, (void)read_count, (void)writes, (void)write_count; /* late streams show a missing order */
    reel_fake_enqueue(queue, work, context);
}

__attribute__((constructor)) static void plug_in(void)
{
    static const struct reel_nccl_host host = {.run = run};
    reel_nccl_fake_host(&host);
    reel_nccl_work_yield = reel_fake_yield;
}
