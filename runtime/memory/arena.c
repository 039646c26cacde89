/* Two blocks of memory a rank, of the backend and of the host, divided into the buffers of a table. */
#include "arena.h"

#include "fault.h"

#include <stdio.h>
#include <string.h>

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

/* The bytes to allocate of a block, which may have no buffer. */
static int64_t allocated_bytes(const struct reel_memory_block *block)
{
    return block->bytes > 0 ? block->bytes : REEL_BUFFER_UNIT;
}

enum reel_status reel_arena_open(const struct reel_buffer_table *table, const struct reel_plan *plan,
                                 int64_t rank, const struct reel_ops *ops, struct reel_arena *arena)
{
    struct reel_memory_map map;
    memset(arena, 0, sizeof *arena);
    reel_memory_map_make(table, plan, rank, &map);
    int64_t host_bytes = allocated_bytes(&map.host);
    arena->ops = ops;
    arena->block_bytes = allocated_bytes(&map.device);
    arena->total_bytes = arena->block_bytes + host_bytes;
    if (!reel_fault(REEL_FAULT_ARENA)) {
        arena->block = ops->allocate(arena->block_bytes);
        arena->host = reel_allocate_host(ops, host_bytes);
    }
    if (!arena->block || !arena->host) {
        int64_t bytes = arena->total_bytes;
        reel_arena_close(arena);
        return reel_fail(REEL_NO_MEMORY, "rank %lld could not allocate %.2f GB of memory", (long long)rank,
                         (double)bytes * 1e-9);
    }
    for (int b = 0; b < table->count; b++) {
        char *block = table->specs[b].on_host ? arena->host : arena->block;
        arena->at[b] = map.bytes[b] > 0 ? block + map.offset[b] : NULL;
    }
    memcpy(arena->bytes, map.held, sizeof arena->bytes);
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
