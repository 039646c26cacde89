/* The shadow's memory: unreadable unless it has been opened. */
#include "shadow_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096,
    HUGE_PAGE = 1 << 21,
    REGIONS_MAX = 64,
    FRESH = 0xff /* floats and bfloat16 made of these bytes are NaN */
};

/* The allocated regions, and how many threads or nested calls have opened the memory. Async transfers run
 * beside the others, so this may exceed one. */
static struct reel_region regions[REGIONS_MAX];
static int count, within;

static void protect_region(const struct reel_region *region, int how)
{
    if (mprotect(region->memory, (size_t)region->mapped_bytes, how) != 0) {
        perror("shadow memory");
        abort();
    }
}

static void protect_all(int how)
{
    for (int r = 0; r < count; r++)
        protect_region(&regions[r], how);
}

void reel_shadow_open_memory(void)
{
    pthread_mutex_lock(&reel_shadow_lock);
    if (within++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&reel_shadow_lock);
}

void reel_shadow_close_memory(void)
{
    pthread_mutex_lock(&reel_shadow_lock);
    if (--within == 0)
        protect_all(PROT_NONE);
    pthread_mutex_unlock(&reel_shadow_lock);
}

/* Maps whole pages, aligned to the size of a page; NULL when out of memory. */
static char *map_pages(int64_t bytes, int64_t page)
{
    char *memory =
        mmap(NULL, (size_t)(bytes + page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    int64_t before = (page - (int64_t)((uintptr_t)memory % (uintptr_t)page)) % page;
    if (before > 0)
        munmap(memory, (size_t)before);
    munmap(memory + before + bytes, (size_t)(page - before));
    return memory + before;
}

void *reel_shadow_allocate(int64_t bytes)
{
    int64_t page = bytes < HUGE_PAGE ? PAGE : HUGE_PAGE, all = (bytes + page - 1) / page * page;
    char *memory = map_pages(all, page);
    if (!memory)
        return NULL;
    /* 64 MB take 10 ms to protect in small pages and 20 us in huge ones. A refusal costs only time. */
    if (page == HUGE_PAGE)
        madvise(memory, (size_t)all, MADV_HUGEPAGE);
    memset(memory, FRESH, (size_t)all);
    pthread_mutex_lock(&reel_shadow_lock);
    int has_room = count < REGIONS_MAX;
    if (has_room) {
        regions[count] = (struct reel_region){.memory = memory, .bytes = bytes, .mapped_bytes = all};
        reel_extents_open(&regions[count]);
        if (within == 0)
            protect_region(&regions[count], PROT_NONE);
        count++;
    }
    pthread_mutex_unlock(&reel_shadow_lock);
    if (!has_room)
        munmap(memory, (size_t)all);
    return has_room ? memory : NULL;
}

void reel_shadow_release(void *memory, int64_t bytes)
{
    (void)bytes;
    pthread_mutex_lock(&reel_shadow_lock);
    for (int r = 0; memory && r < count; r++)
        if (regions[r].memory == memory) {
            munmap(memory, (size_t)regions[r].mapped_bytes);
            free(regions[r].extents);
            regions[r] = regions[--count];
        }
    pthread_mutex_unlock(&reel_shadow_lock);
}

struct reel_region *reel_shadow_region(const void *at)
{
    for (int r = 0; r < count; r++)
        if ((const char *)at >= regions[r].memory && (const char *)at < regions[r].memory + regions[r].bytes)
            return &regions[r];
    return NULL;
}
