/* The running block: its threads, the reason why each waits, and the order in which they run. */
#ifndef REEL_FAKE_BLOCK_H
#define REEL_FAKE_BLOCK_H

#include "context.h"
#include "internal.h"

#include <vector>

enum reel_wait { REEL_GOES, REEL_LEFT, REEL_AT_BARRIER, REEL_AT_NAMED, REEL_AT_WARP };

typedef void reel_together(const void *const in[32], void *const out[32]);

/* A pending asynchronous copy. */
struct reel_async_copy {
    void *to;
    const void *from;
    unsigned bytes, from_bytes;
    int64_t group;
};

struct reel_thread {
    struct reel_context context;
    uint3 index;
    int number; /* in the block; lane and warp follow from it */
    enum reel_wait wait;
    int barrier;            /* the named barrier at which it waits */
    const char *collective; /* the collective of its warp in which it waits, and its arguments */
    unsigned mask;
    bool is_aligned; /* needs all 32 lanes */
    const void *in;
    void *out;
    reel_together *together;
    std::vector<struct reel_async_copy> copies;
    int64_t group; /* of the next copies */
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
    int turn[REEL_THREADS_MAX]; /* a ring of the threads that can run, oldest first */
    int turn_first, turns;
    const char *file; /* the __syncthreads at which threads wait */
    int line;
    int arrived; /* threads there, and how many voted yes */
    int votes;
    int vote_result;
    bool is_unanimous;
    struct {
        int expected, arrived;
    } named[16];
};

extern struct reel_block reel_block;

/* Lets a thread run again. */
void reel_block_release(struct reel_thread *thread);

/* Suspends the running thread until it is released. */
void reel_block_suspend(enum reel_wait wait);

/* Ends the process with a message that names the kernel, the block and the running thread. */
[[noreturn]] void reel_block_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the process unless a thread of a kernel is running. what: the call, for the message. */
void reel_block_need(const char *what);

/* A thread has left the kernel; others may have waited for it. In barrier.cpp and warp.cpp. */
void reel_barrier_left(void);
void reel_warp_left(int warp);

/* Prints the place at which every thread waits. In barrier.cpp. */
void reel_barrier_report(void);

#endif
