/* The memory of a rank: every buffer of a table, allocated once. After that a job allocates nothing.
 *
 * Buffers that are in use in different phases may lie in the same memory (buffers.h): what a buffer holds is
 * undefined when its first phase begins.
 *
 * Not collective. */
#ifndef REEL_ARENA_H
#define REEL_ARENA_H

#include "buffers.h"
#include "ops.h"

struct reel_arena {
    const struct reel_ops *ops; /* the backend */
    void *block, *host;         /* memory of the backend; memory of the host */
    int64_t block_bytes;
    void *at[REEL_BUFFERS_MAX];   /* aligned to 64 bytes; NULL for a buffer of 0 bytes */
    int64_t bytes[REEL_MEMORIES]; /* by category, without padding: `held` of the map */
    int64_t total_bytes;          /* of block and host, padding included */
};

/* Bytes of memory that are available on this host: MemAvailable of the kernel, or less when a control group
 * (a container) allows less. INT64_MAX when neither can be read. */
int64_t reel_memory_available(void);

/* Allocates all buffers that the table gives this rank of the plan: in the memory of the backend, except
 * those that the table places on the host. REEL_NO_MEMORY when there is too little memory; then nothing is
 * left allocated. */
enum reel_status reel_arena_open(const struct reel_buffer_table *table, const struct reel_plan *plan,
                                 int64_t rank, const struct reel_ops *ops, struct reel_arena *arena);

/* Frees the memory. An arena of zeros is allowed. */
void reel_arena_close(struct reel_arena *arena);

#endif
