/* __syncthreads, named barriers, and the asynchronous copies of a thread. */
#include "block.h"

#include <stdio.h>

/* Releases all threads that wait at that barrier. The running thread does not wait. */
static void release_all(enum reel_wait wait, int barrier)
{
    for (int t = 0; t < reel_block.count; t++) {
        struct reel_thread *thread = &reel_block.threads[t];
        if (thread->wait == wait && (wait != REEL_AT_NAMED || thread->barrier == barrier))
            reel_block_release(thread);
    }
}

static void complete(void)
{
    reel_block.vote_result = reel_block.votes;
    reel_block.is_unanimous = reel_block.votes == reel_block.arrived;
    reel_block.arrived = reel_block.votes = 0;
    release_all(REEL_AT_BARRIER, 0);
}

/* All threads have to come to the same barrier: CUDA allows one in a branch only if the whole block takes the
 * branch. */
static void check_place(const char *file, int line)
{
    if (reel_block.arrived == 0) {
        reel_block.file = file;
        reel_block.line = line;
    } else if (reel_block.line != line || strcmp(reel_block.file, file) != 0) {
        reel_block_fail("is at the barrier %s:%d, while %d threads wait at another", file, line,
                        reel_block.arrived);
    }
}

int reel_fake_syncthreads(enum reel_fake_vote vote, int mine, const char *file, int line)
{
    reel_block_need("__syncthreads");
    check_place(file, line);
    reel_block.votes += mine != 0;
    if (++reel_block.arrived == reel_block.here)
        complete();
    else
        reel_block_suspend(REEL_AT_BARRIER);
    int result = reel_block.vote_result;
    return vote == REEL_VOTE_AND ? reel_block.is_unanimous : vote == REEL_VOTE_OR ? result > 0 : result;
}

void reel_barrier_left(void)
{
    if (reel_block.arrived > 0 && reel_block.arrived == reel_block.here)
        complete();
}

/* Counts a thread at a named barrier. Returns whether it was the last one expected. */
static bool arrive(const char *what, int id, int threads)
{
    reel_block_need(what);
    if (id < 1 || id > 15 || threads <= 0 || threads % 32 != 0 || threads > (reel_block.count + 31) / 32 * 32)
        reel_block_fail("%s(%d, %d), expected an id of 1 .. 15 and a multiple of 32 threads", what, id,
                        threads);
    auto *named = &reel_block.named[id];
    if (named->arrived > 0 && named->expected != threads)
        reel_block_fail("%s(%d, %d), while others expect %d threads there", what, id, threads,
                        named->expected);
    named->expected = threads;
    if (++named->arrived < threads)
        return false;
    named->arrived = 0;
    release_all(REEL_AT_NAMED, id);
    return true;
}

void reel_fake_barrier_wait(int id, int threads)
{
    if (arrive("barrier_wait", id, threads))
        return;
    reel_block.now->barrier = id;
    reel_block_suspend(REEL_AT_NAMED);
}

void reel_fake_barrier_arrive(int id, int threads)
{
    arrive("barrier_arrive", id, threads);
}

/* Describes the place of a thread; threads in the same place have the same description. */
static void describe(const struct reel_thread *thread, char *text, size_t bytes)
{
    if (thread->wait == REEL_AT_BARRIER)
        snprintf(text, bytes, "wait at __syncthreads, %s:%d", reel_block.file, reel_block.line);
    else if (thread->wait == REEL_AT_NAMED)
        snprintf(text, bytes, "wait at barrier %d, where %d of %d came", thread->barrier,
                 reel_block.named[thread->barrier].arrived, reel_block.named[thread->barrier].expected);
    else if (thread->wait == REEL_AT_WARP)
        snprintf(text, bytes, "wait in %s with the mask 0x%08x", thread->collective, thread->mask);
    else
        snprintf(text, bytes, thread->wait == REEL_LEFT ? "have left" : "can go on");
}

void reel_barrier_report(void)
{
    char last[256] = "", text[256];
    int first = 0;
    for (int t = 0; t <= reel_block.count; t++) {
        text[0] = 0;
        if (t < reel_block.count)
            describe(&reel_block.threads[t], text, sizeof text);
        if (t > 0 && strcmp(text, last) != 0) {
            fprintf(stderr, "  threads %d .. %d %s\n", first, t - 1, last);
            first = t;
        }
        memcpy(last, text, sizeof last);
    }
}

void reel_fake_copy_async(void *shared, const void *global, size_t bytes, size_t from_bytes)
{
    reel_block_need("an asynchronous copy");
    size_t places = reinterpret_cast<size_t>(shared) | (from_bytes ? reinterpret_cast<size_t>(global) : 0);
    if ((bytes != 4 && bytes != 8 && bytes != 16) || from_bytes > bytes || places % bytes != 0)
        reel_block_fail("an asynchronous copy of %zu of %zu bytes from %p to %p", from_bytes, bytes, global,
                        shared);
    struct reel_thread *me = reel_block.now;
    me->copies.push_back(
        {shared, global, static_cast<unsigned>(bytes), static_cast<unsigned>(from_bytes), me->group});
}

void reel_fake_copy_commit(void)
{
    reel_block_need("an asynchronous copy");
    reel_block.now->group++;
}

void reel_fake_copy_wait(int pending)
{
    reel_block_need("an asynchronous copy");
    struct reel_thread *me = reel_block.now;
    size_t done = 0;
    for (; done < me->copies.size() && me->copies[done].group < me->group - pending; done++) {
        const struct reel_async_copy &copy = me->copies[done];
        memcpy(copy.to, copy.from, copy.from_bytes);
        memset(static_cast<char *>(copy.to) + copy.from_bytes, 0, copy.bytes - copy.from_bytes);
    }
    me->copies.erase(me->copies.begin(), me->copies.begin() + static_cast<std::ptrdiff_t>(done));
}
