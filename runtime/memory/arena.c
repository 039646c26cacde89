/* Two blocks of memory a rank, of the backend and of the host, divided into the buffers of the plan. */
#include "arena.h"

#include "fault.h"

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static int64_t aligned(int64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The number in a file of one line; INT64_MAX when it has none ("max"). */
static int64_t number_in(const char *path)
{
    FILE *file = fopen(path, "re");
    long long number = INT64_MAX;
    if (file && fscanf(file, "%lld", &number) != 1)
        number = INT64_MAX;
    if (file)
        fclose(file);
    return number;
}

/* The bytes of file cache that count as memory of a control group. The kernel frees them when memory is
 * needed. */
static int64_t file_cache_in(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[128];
    long long bytes, cache = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "inactive_file %lld", &bytes) == 1 || sscanf(line, "active_file %lld", &bytes) == 1)
            cache += bytes;
    if (file)
        fclose(file);
    return cache;
}

/* The bytes that the control group of this process (cgroup v2) still allows; INT64_MAX without a limit. */
static int64_t group_available(void)
{
    char line[512], path[600];
    FILE *file = fopen("/proc/self/cgroup", "re");
    int64_t max = INT64_MAX;
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
        max = number_in(path);
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", line + 3);
        int64_t used = number_in(path);
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", line + 3);
        if (max != INT64_MAX && used != INT64_MAX)
            max -= used - file_cache_in(path);
        max = max < 0 ? 0 : max;
    }
    if (file)
        fclose(file);
    return max;
}

int64_t reel_memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    long long kibibytes = -1;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld kB", &kibibytes) == 1)
            break;
    if (file)
        fclose(file);
    int64_t host = kibibytes < 0 ? INT64_MAX : (int64_t)kibibytes * 1024, group = group_available();
    return host < group ? host : group;
}

/* Bytes of the buffers on the backend (on_host 0) or on the host (1), padding included. */
static int64_t block_bytes(const int64_t table[REEL_BUFFERS], int on_host)
{
    int64_t bytes = 0;
    for (int b = 0; b < REEL_BUFFERS; b++)
        if (reel_buffer_on_host((enum reel_buffer)b) == on_host)
            bytes += aligned(table[b]);
    return bytes > 0 ? bytes : ALIGNMENT;
}

enum reel_status reel_arena_open(const struct reel_plan *plan, int64_t rank, const struct reel_ops *ops,
                                 struct reel_arena *arena)
{
    int64_t used[2] = {0, 0}, table[REEL_BUFFERS];
    memset(arena, 0, sizeof *arena);
    reel_plan_table(plan, rank, table);
    arena->ops = ops;
    arena->block_bytes = block_bytes(table, 0);
    arena->total_bytes = arena->block_bytes + block_bytes(table, 1);
    if (!reel_fault(REEL_FAULT_ARENA)) {
        arena->block = ops->allocate(arena->block_bytes);
        arena->host = reel_allocate_host(ops, block_bytes(table, 1));
    }
    if (!arena->block || !arena->host) {
        int64_t bytes = arena->total_bytes;
        reel_arena_close(arena);
        return reel_fail(REEL_NO_MEMORY, "rank %lld could not allocate %.2f GB of memory", (long long)rank,
                         (double)bytes * 1e-9);
    }
    for (int b = 0; b < REEL_BUFFERS; b++) {
        int on_host = reel_buffer_on_host((enum reel_buffer)b);
        char *block = on_host ? arena->host : arena->block;
        arena->at[b] = table[b] ? block + used[on_host] : NULL;
        arena->bytes[reel_buffer_memory(plan, (enum reel_buffer)b)] += table[b];
        used[on_host] += aligned(table[b]);
    }
    return REEL_OK;
}

void reel_arena_close(struct reel_arena *arena)
{
    if (arena->ops) {
        arena->ops->release(arena->block, arena->block_bytes);
        reel_release_host(arena->ops, arena->host, arena->total_bytes - arena->block_bytes);
    }
    memset(arena, 0, sizeof *arena);
}
