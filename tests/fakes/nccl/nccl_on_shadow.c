/* Runs the transfers of the fake NCCL in the order that the shadow backend checks, in every program that
 * links this file. It is set up before main. */
#include "nccl_fake.h"

#include "shadow.h"

enum { RANGES_MAX = 64 };

static int64_t take(const struct reel_nccl_range *ranges, int64_t count, const char *name,
                    struct reel_shadow_range *taken)
{
    for (int64_t r = 0; r < count; r++)
        taken[r] =
            (struct reel_shadow_range){.name = name, .at = ranges[r].start, .row_bytes = ranges[r].bytes};
    return count;
}

static void run(void *queue, void (*work)(void *context), void *context, const struct reel_nccl_range *reads,
                int64_t read_count, const struct reel_nccl_range *writes, int64_t write_count)
{
    struct reel_shadow_range sent[RANGES_MAX], received[RANGES_MAX];
    struct reel_stream stream = {.ops = &reel_ops_shadow, .queue = queue};
    reel_shadow_touch(&stream, "exchange", sent, take(reads, read_count, "send", sent), received,
                      take(writes, write_count, "receive", received));
    reel_shadow_open_memory();
    work(context);
    reel_shadow_close_memory();
}

__attribute__((constructor)) static void plug_in(void)
{
    static const struct reel_nccl_host host = {.run = run};
    reel_nccl_fake_host(&host);
}
