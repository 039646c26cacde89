/* The memory of a rank: every buffer of the plan, allocated once; after that a run allocates nothing.
 *
 * Not collective. */
#ifndef REEL_ARENA_H
#define REEL_ARENA_H

#include "ops.h"
#include "plan.h"

struct reel_arena {
    const struct reel_ops *ops; /* whose memory most of it is */
    void *block, *host;         /* of the backend, and of the host */
    int64_t block_bytes;
    void *at[REEL_BUFFERS];       /* aligned to 64 bytes; NULL where the plan has no bytes */
    int64_t bytes[REEL_MEMORIES]; /* by category, as planned and allocated, without padding */
    int64_t total_bytes;          /* of both, padding included */
};

/* Bytes that this host can still give: what the kernel says is available, or less where a control group (a container)
 * allows less; INT64_MAX when nothing says. */
int64_t reel_memory_available(void);

/* Allocates what the plan gives this rank, in the backend's memory but for buffers of the host (plan.h). REEL_NO_MEMORY
 * when the host has less; nothing is left allocated then. */
enum reel_status reel_arena_open(const struct reel_plan *plan, int64_t rank, const struct reel_ops *ops,
                                 struct reel_arena *arena);

/* Frees it; an arena of zeros is allowed. */
void reel_arena_close(struct reel_arena *arena);

#endif
