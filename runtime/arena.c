/* One block per rank, carved as the plan says. */
#include "arena.h"

#include "fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 1 << 21 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Bytes that the kernel says can still be used without swapping; -1 when it does not say. malloc succeeds for
 * more than there is, and the run would be killed when it touches it. */
static int64_t available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    long long kibibytes = -1;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld kB", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    return kibibytes < 0 ? -1 : (int64_t)kibibytes * 1024;
}

enum reel_status reel_arena_open(const struct reel_plan *plan, int64_t rank, struct reel_arena *arena)
{
    memset(arena, 0, sizeof *arena);
    for (int b = 0; b < REEL_BUFFERS; b++)
        arena->total_bytes += aligned(reel_plan_bytes(plan, rank, (enum reel_buffer)b));
    int64_t available = available_bytes();
    arena->total_bytes = (arena->total_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if ((available < 0 || arena->total_bytes <= available) && !reel_fault(REEL_FAULT_ARENA))
        arena->block = aligned_alloc(HUGE_PAGE, (size_t)arena->total_bytes);
    REEL_NEED(arena->block, REEL_NO_MEMORY,
              "rank %lld needs %.2f GB of host memory and %.2f GB are available", (long long)rank,
              (double)arena->total_bytes * 1e-9, (double)available * 1e-9);
    /* First touch of 5.7 GB takes 19 s in small pages and 3 s in huge ones; where refused, it is only slower. */
    madvise(arena->block, (size_t)arena->total_bytes, MADV_HUGEPAGE);
    int64_t used = 0;
    for (int b = 0; b < REEL_BUFFERS; b++) {
        int64_t bytes = reel_plan_bytes(plan, rank, (enum reel_buffer)b);
        arena->at[b] = bytes ? (char *)arena->block + used : NULL;
        arena->bytes[reel_buffer_memory((enum reel_buffer)b)] += bytes;
        used += aligned(bytes);
    }
    return REEL_OK;
}

void reel_arena_close(struct reel_arena *arena)
{
    free(arena->block);
    memset(arena, 0, sizeof *arena);
}
