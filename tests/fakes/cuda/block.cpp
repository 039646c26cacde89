/* Runs the blocks of a launch one after the other; the threads of a block take turns. */
#include "block.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
static const size_t STACK_BYTES = 512 << 10;
#else
static const size_t STACK_BYTES = 128 << 10;
#endif
static const size_t PAGE = 4096;

/* Stacks begin at staggered offsets. At offsets of a power of two they would share a few lines of the
 * cache. */
static const size_t STAGGER = 576;
static const int STAGGERED = 64;

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
struct reel_block reel_block;

static struct reel_context host;
static char *shared_end; /* dynamic shared memory ends here, before an inaccessible page */

/* All __shared__ variables; NULL if no kernel has any. */
extern "C" __attribute__((weak)) char __start_reel_shared[], __stop_reel_shared[];

void reel_block_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "fake CUDA: %s, block (%u, %u, %u)", reel_block.kernel->name, blockIdx.x,
            blockIdx.y, blockIdx.z);
    if (reel_block.now)
        fprintf(stderr, ", thread (%u, %u, %u)", threadIdx.x, threadIdx.y, threadIdx.z);
    fputs(": ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    reel_barrier_report();
    abort();
}

void reel_block_need(const char *what)
{
    if (!reel_block.kernel || !reel_block.now)
        reel_fake_fail("%s is called by the host", what);
}

void __trap()
{
    reel_block_need("__trap");
    reel_block_fail("__trap");
}

/* The thread to run next: the first that can, or with a seed a random one. */
static struct reel_thread *next_thread(void)
{
    if (reel_block.turns == 0)
        return nullptr;
    int *first = &reel_block.turn[reel_block.turn_first];
    if (reel_block.turns > 1 && reel_fake_is_drawn()) {
        int drawn = static_cast<int>(reel_fake_draw(static_cast<uint64_t>(reel_block.turns)));
        std::swap(*first, reel_block.turn[(reel_block.turn_first + drawn) % REEL_THREADS_MAX]);
    }
    reel_block.turn_first = (reel_block.turn_first + 1) % REEL_THREADS_MAX;
    reel_block.turns--;
    return &reel_block.threads[*first];
}

void reel_block_release(struct reel_thread *thread)
{
    thread->wait = REEL_GOES;
    reel_block.turn[(reel_block.turn_first + reel_block.turns++) % REEL_THREADS_MAX] = thread->number;
}

/* Switches from a context to the next thread, or to the host if no thread can run. */
static void go_on(struct reel_context *from)
{
    struct reel_thread *next = next_thread();
    reel_block.now = next;
    if (next)
        threadIdx = next->index;
    struct reel_context *to = next ? &next->context : &host;
    if (to != from)
        reel_context_switch(from, to);
}

void reel_block_suspend(enum reel_wait wait)
{
    reel_block.now->wait = wait;
    go_on(&reel_block.now->context);
}

/* The life of every thread: it runs its part of a block, then waits for the next block. */
static void live(void)
{
    reel_context_began();
    for (;;) {
        reel_block.kernel->thread();
        struct reel_thread *thread = reel_block.now;
        thread->copies.clear();
        thread->wait = REEL_LEFT;
        reel_block.here--;
        reel_block.warps[thread->number / 32].here &= ~(1u << thread->number % 32);
        reel_warp_left(thread->number / 32);
        reel_barrier_left();
        go_on(&thread->context);
    }
}

static char *map(size_t bytes)
{
    void *memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        reel_fake_fail("no memory for %zu bytes of stacks", bytes);
    return static_cast<char *>(memory);
}

/* A stack for every thread that a block may have, each above an inaccessible page. */
static void prepare(void)
{
    reel_block.threads = new struct reel_thread[REEL_THREADS_MAX]();
    char *stacks = map(STACK_BYTES * REEL_THREADS_MAX);
    for (int t = 0; t < REEL_THREADS_MAX; t++) {
        char *stack = stacks + STACK_BYTES * static_cast<size_t>(t);
        mprotect(stack, PAGE, PROT_NONE);
        size_t bytes = STACK_BYTES - PAGE - static_cast<size_t>(t % STAGGERED) * STAGGER;
        reel_context_make(&reel_block.threads[t].context, stack + PAGE, bytes, live);
        reel_block.threads[t].number = t;
    }
    size_t shared_bytes = (REEL_SHARED_MAX + PAGE - 1) / PAGE * PAGE;
    shared_end = map(shared_bytes + PAGE) + shared_bytes;
    mprotect(shared_end, PAGE, PROT_NONE);
}

static size_t shared_room(void)
{
    return (reel_block.kernel->shared_bytes + 127) / 128 * 128;
}

void *reel_fake_shared(void)
{
    reel_block_need("shared memory");
    return shared_end - shared_room();
}

/* Begins a block: every thread can run, and shared memory holds 0xff. */
static void begin_block(void)
{
    memset(shared_end - shared_room(), 0xff, shared_room());
    if (__start_reel_shared)
        memset(__start_reel_shared, 0xff, static_cast<size_t>(__stop_reel_shared - __start_reel_shared));
    reel_block.here = reel_block.count;
    reel_block.turn_first = reel_block.turns = 0;
    reel_block.arrived = reel_block.votes = 0;
    memset(reel_block.named, 0, sizeof reel_block.named);
    for (int w = 0; w * 32 < reel_block.count; w++) {
        int lanes = reel_block.count - w * 32;
        reel_block.warps[w] = {lanes >= 32 ? 0xffffffffu : (1u << lanes) - 1u, 0};
    }
    for (int t = 0; t < reel_block.count; t++) {
        reel_block.threads[t].group = 0;
        reel_block_release(&reel_block.threads[t]);
    }
}

static void run_block(void)
{
    begin_block();
    go_on(&host);
    if (reel_block.here > 0)
        reel_block_fail("some threads wait for others that never come");
    for (char *at = shared_end - shared_room() + reel_block.kernel->shared_bytes; at < shared_end; at++)
        if (*at != static_cast<char>(0xff))
            reel_block_fail("writes beyond its %zu bytes of dynamic shared memory",
                            reel_block.kernel->shared_bytes);
}

static void number_threads(const dim3 &block)
{
    reel_block.count = static_cast<int>(block.x * block.y * block.z);
    for (unsigned t = 0; t < block.x * block.y * block.z; t++)
        reel_block.threads[t].index = {t % block.x, t / block.x % block.y, t / block.x / block.y};
}

/* A random step that visits every block once: it is coprime to their number. */
static uint64_t draw_step(uint64_t blocks)
{
    for (;;) {
        uint64_t step = 1 + reel_fake_draw(blocks), a = blocks, b = step;
        while (b)
            a %= b, std::swap(a, b);
        if (a == 1)
            return step;
    }
}

void reel_fake_run(const reel_fake_kernel &kernel)
{
    if (!reel_block.threads)
        prepare();
    reel_block.kernel = &kernel;
    gridDim = kernel.grid;
    blockDim = kernel.block;
    number_threads(kernel.block);
    uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z, at = 0, step = 1;
    if (reel_fake_is_drawn()) {
        at = reel_fake_draw(blocks);
        step = draw_step(blocks);
    }
    for (uint64_t b = 0; b < blocks; b++) {
        blockIdx = {static_cast<unsigned>(at % gridDim.x), static_cast<unsigned>(at / gridDim.x % gridDim.y),
                    static_cast<unsigned>(at / gridDim.x / gridDim.y)};
        run_block();
        at = (at + step) % blocks;
    }
    reel_block.kernel = nullptr;
}
