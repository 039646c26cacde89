/* A backend that computes like the CPU's on memory that only its operations can touch: while none is within. What a mover
 * does beside an operation is not seen. */
#include "cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, REGIONS_MOST = 64 };

/* What is allocated, and how many operations are within: those of a mover run beside the others. */
static struct {
    pthread_mutex_t lock;
    struct {
        void *memory;
        size_t bytes;
    } regions[REGIONS_MOST];
    int count, within;
} shadow = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void protect(int how)
{
    for (int r = 0; r < shadow.count; r++)
        if (mprotect(shadow.regions[r].memory, shadow.regions[r].bytes, how) != 0) {
            perror("shadow memory");
            abort();
        }
}

static void enter(struct reel_stream *stream)
{
    (void)stream;
    pthread_mutex_lock(&shadow.lock);
    if (shadow.within++ == 0)
        protect(PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&shadow.lock);
}

static void leave(struct reel_stream *stream)
{
    (void)stream;
    pthread_mutex_lock(&shadow.lock);
    if (--shadow.within == 0)
        protect(PROT_NONE);
    pthread_mutex_unlock(&shadow.lock);
}

static size_t whole_pages(int64_t bytes)
{
    return ((size_t)bytes + PAGE - 1) / PAGE * PAGE;
}

static void *allocate(int64_t bytes)
{
    size_t all = whole_pages(bytes);
    void *memory = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    pthread_mutex_lock(&shadow.lock);
    int has_room = shadow.count < REGIONS_MOST;
    if (has_room) {
        shadow.regions[shadow.count].memory = memory;
        shadow.regions[shadow.count++].bytes = all;
    }
    pthread_mutex_unlock(&shadow.lock);
    if (!has_room)
        munmap(memory, all);
    return has_room ? memory : NULL;
}

static void release(void *memory, int64_t bytes)
{
    pthread_mutex_lock(&shadow.lock);
    for (int r = 0; memory && r < shadow.count; r++)
        if (shadow.regions[r].memory == memory) {
            munmap(memory, whole_pages(bytes));
            shadow.regions[r] = shadow.regions[--shadow.count];
        }
    pthread_mutex_unlock(&shadow.lock);
}

/* Whether bytes lie in memory of ours, wholly. */
static int is_device(const void *memory, int64_t bytes)
{
    const char *at = memory;
    int found = 0;
    pthread_mutex_lock(&shadow.lock);
    for (int r = 0; r < shadow.count; r++) {
        const char *start = shadow.regions[r].memory;
        found |= at >= start && at + bytes <= start + shadow.regions[r].bytes;
    }
    pthread_mutex_unlock(&shadow.lock);
    return found;
}

/* A copy in the wrong direction would work here, and not on a device. */
static void copy(struct reel_stream *stream, const struct reel_copy *a)
{
    int64_t last = a->rows - 1;
    int from = is_device(a->from, last * a->from_stride + a->row_bytes),
        to = is_device(a->to, last * a->to_stride + a->row_bytes);
    if (from != (a->direction != REEL_TO_DEVICE) || to != (a->direction != REEL_FROM_DEVICE)) {
        fprintf(stderr, "shadow memory: a copy of direction %d goes from %s to %s\n", (int)a->direction,
                from ? "device" : "host", to ? "device" : "host");
        abort();
    }
    reel_copy_cpu(stream, a);
}

const struct reel_ops reel_ops_shadow = {.name = "shadow",
                                         .allocate = allocate,
                                         .release = release,
                                         .enter = enter,
                                         .leave = leave,
                                         .copy = copy,
                                         REEL_CPU_OPERATIONS};
