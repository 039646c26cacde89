/* The block that runs: its threads, who of them waits for what, and whose turn it is. */
#ifndef REEL_FAKE_BLOCK_H
#define REEL_FAKE_BLOCK_H

#include "context.h"
#include "internal.h"

#include <vector>

enum reel_wait { REEL_GOES, REEL_LEFT, REEL_AT_BARRIER, REEL_AT_NAMED, REEL_AT_WARP };

typedef void reel_together(const void *const in[32], void *const out[32]);

/* An asynchronous copy on its way. */
struct reel_async_copy {
    void *to;
    const void *from;
    unsigned bytes, from_bytes;
    int64_t group;
};

struct reel_thread {
    struct reel_context context;
    uint3 index;
    int number; /* of the block's; lane and warp follow from it */
    enum reel_wait wait;
    int barrier;            /* which named one it waits at */
    const char *collective; /* which one of the warp it waits in, and what it brought */
    unsigned mask;
    bool is_aligned; /* needs all 32 lanes */
    const void *in;
    void *out;
    reel_together *together;
    std::vector<struct reel_async_copy> copies;
    int64_t group; /* of the copies that come next */
};

struct reel_warp {
    unsigned here, waiting; /* lanes that have not left, lanes within a collective */
};

struct reel_block {
    const reel_fake_kernel *kernel; /* NULL while none runs */
    struct reel_thread *threads;    /* [REEL_THREADS_MAX] */
    struct reel_warp warps[REEL_THREADS_MAX / 32];
    int count, here; /* threads, and those of them that have not left */
    struct reel_thread *now;
    int turn[REEL_THREADS_MAX]; /* a ring: who can go on, in the order in which that became so */
    int turn_first, turns;
    const char *file; /* the __syncthreads that somebody waits at */
    int line;
    int arrived; /* there, and what they voted */
    int votes;
    int vote_result;
    bool is_unanimous;
    struct {
        int expected, arrived;
    } named[16];
};

extern struct reel_block reel_block;

/* The thread may go on. */
void reel_block_release(struct reel_thread *thread);

/* The thread that runs waits until it is released. */
void reel_block_suspend(enum reel_wait wait);

/* Ends the process: the kernel, the block and the thread that runs, and the message. */
[[noreturn]] void reel_block_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process unless it is called by a kernel's thread. */
void reel_block_need(const char *what);

/* barrier.cpp, warp.cpp: a thread has left, which others may have waited for. */
void reel_barrier_left(void);
void reel_warp_left(int warp);

/* Who waits where, for a message. barrier.cpp */
void reel_barrier_report(void);

#endif
