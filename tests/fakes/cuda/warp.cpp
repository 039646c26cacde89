/* Collectives of a warp: the last lane to arrive does the work of all. */
#include "block.h"

static struct reel_thread *lane_of(int warp, int lane)
{
    return &reel_block.threads[warp * 32 + lane];
}

/* Ends the process if two lanes that wait for each other are not in the same collective. */
static void check_same(const struct reel_thread *lead, const struct reel_thread *other)
{
    if (other->mask != lead->mask || other->together != lead->together ||
        strcmp(other->collective, lead->collective) != 0)
        reel_block_fail("lane %d is in %s with the mask 0x%08x, lane %d in %s with the mask 0x%08x",
                        lead->number % 32, lead->collective, lead->mask, other->number % 32,
                        other->collective, other->mask);
}

/* Does the collective in which `lead` waits, if all of its lanes have arrived. Returns whether it did. */
static bool complete(struct reel_thread *lead)
{
    struct reel_warp *warp = &reel_block.warps[lead->number / 32];
    unsigned need = lead->mask & warp->here;
    if ((warp->waiting & need) != need)
        return false;
    const void *in[32] = {};
    void *out[32] = {};
    for (int lane = 0; lane < 32; lane++)
        if (need >> lane & 1) {
            const struct reel_thread *thread = lane_of(lead->number / 32, lane);
            check_same(lead, thread);
            in[lane] = thread->in;
            out[lane] = thread->out;
        }
    if (lead->is_aligned && need != REEL_WHOLE_WARP)
        reel_block_fail("%s needs all 32 lanes, of which 0x%08x are there", lead->collective, need);
    if (lead->together)
        lead->together(in, out);
    warp->waiting &= ~need;
    for (int lane = 0; lane < 32; lane++)
        if (need >> lane & 1 && lane_of(lead->number / 32, lane)->wait == REEL_AT_WARP)
            reel_block_release(lane_of(lead->number / 32, lane));
    return true;
}

static void come(const char *name, unsigned mask, bool is_aligned, const void *in, void *out,
                 reel_together *together)
{
    reel_block_need(name);
    struct reel_thread *me = reel_block.now;
    if (!(mask >> me->number % 32 & 1))
        reel_block_fail("lane %d is in %s with the mask 0x%08x, which is without it", me->number % 32, name,
                        mask);
    me->collective = name;
    me->mask = mask;
    me->is_aligned = is_aligned;
    me->in = in;
    me->out = out;
    me->together = together;
    reel_block.warps[me->number / 32].waiting |= 1u << me->number % 32;
    if (!complete(me))
        reel_block_suspend(REEL_AT_WARP);
}

void reel_warp_left(int warp)
{
    for (int lane = 0; lane < 32 && reel_block.warps[warp].waiting; lane++)
        if (reel_block.warps[warp].waiting >> lane & 1)
            complete(lane_of(warp, lane));
}

void reel_fake_warp_among(const char *name, unsigned mask, const void *in, void *out, reel_together *together)
{
    come(name, mask, false, in, out, together);
}

void reel_fake_warp_together(const char *name, const void *in, void *out, reel_together *together)
{
    come(name, REEL_WHOLE_WARP, true, in, out, together);
}

/* The argument of a lane in an exchange. */
struct bytes {
    const void *mine;
    size_t count;
};

static void exchange(const void *const in[32], void *const out[32])
{
    for (int to = 0; to < 32; to++)
        for (int from = 0; from < 32; from++) {
            const struct bytes *bytes = static_cast<const struct bytes *>(in[from]);
            memcpy(static_cast<char *>(out[to]) + static_cast<size_t>(from) * bytes->count, bytes->mine,
                   bytes->count);
        }
}

void reel_fake_warp_exchange(const void *mine, size_t bytes, void *all)
{
    struct bytes in = {mine, bytes};
    come("warp_exchange", REEL_WHOLE_WARP, true, &in, all, exchange);
}

void __syncwarp(unsigned mask)
{
    come("__syncwarp", mask, false, nullptr, nullptr, nullptr);
}

/* ---- Votes and reductions: all lanes get the same result. */
template <typename T, typename Combine>
static void combine(const void *const in[32], void *const out[32], Combine with)
{
    T result = 0;
    bool is_first = true;
    for (int lane = 0; lane < 32; lane++)
        if (in[lane]) {
            T value = *static_cast<const T *>(in[lane]);
            result = is_first ? value : with(result, value);
            is_first = false;
        }
    for (int lane = 0; lane < 32; lane++)
        if (out[lane])
            *static_cast<T *>(out[lane]) = result;
}

#define REDUCE(name, type, expression)                                                                       \
    type name(unsigned mask, type value)                                                                     \
    {                                                                                                        \
        type result;                                                                                         \
        come(#name, mask, false, &value, &result, [](const void *const in[32], void *const out[32]) {        \
            combine<type>(in, out, [](type a, type b) { return static_cast<type>(expression); });            \
        });                                                                                                  \
        return result;                                                                                       \
    }
REDUCE(__reduce_add_sync, unsigned, a + b)
REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
REDUCE(__reduce_and_sync, unsigned, a &b)
REDUCE(__reduce_or_sync, unsigned, a | b)
REDUCE(__reduce_xor_sync, unsigned, a ^ b)
REDUCE(__reduce_add_sync, int, static_cast<unsigned>(a) + static_cast<unsigned>(b))
REDUCE(__reduce_min_sync, int, a < b ? a : b)
REDUCE(__reduce_max_sync, int, a > b ? a : b)

static void ballot(const void *const in[32], void *const out[32])
{
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++)
        if (in[lane] && *static_cast<const int *>(in[lane]))
            votes |= 1u << lane;
    for (int lane = 0; lane < 32; lane++)
        if (out[lane])
            *static_cast<unsigned *>(out[lane]) = votes;
}

unsigned __ballot_sync(unsigned mask, int predicate)
{
    unsigned votes;
    come("__ballot_sync", mask, false, &predicate, &votes, ballot);
    return votes;
}

int __any_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) != 0;
}

int __all_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, !predicate) == 0;
}

/* ---- Shuffles. */
struct shuffled {
    uint64_t bits;
    enum reel_fake_shuffle how;
    int operand, width;
};

/* The lane from which a lane reads: itself if the other is beyond its segment of `width` lanes. */
static int source_of(int lane, const struct shuffled *mine)
{
    int first = lane & ~(mine->width - 1), last = first + mine->width - 1;
    int from = lane;
    switch (mine->how) {
    case REEL_SHUFFLE_INDEX:
        return first + (mine->operand & (mine->width - 1));
    case REEL_SHUFFLE_UP:
        from = lane - mine->operand;
        return from < first ? lane : from;
    case REEL_SHUFFLE_DOWN:
        from = lane + mine->operand;
        return from > last ? lane : from;
    case REEL_SHUFFLE_XOR:
        from = lane ^ (mine->operand & 31);
        return from > last ? lane : from;
    }
    return from;
}

static void shuffle(const void *const in[32], void *const out[32])
{
    for (int lane = 0; lane < 32; lane++)
        if (in[lane]) {
            int from = source_of(lane, static_cast<const struct shuffled *>(in[lane]));
            *static_cast<uint64_t *>(out[lane]) =
                in[from] ? static_cast<const struct shuffled *>(in[from])->bits : ~UINT64_C(0);
        }
}

uint64_t reel_fake_shuffle(enum reel_fake_shuffle how, unsigned mask, uint64_t bits, int operand, int width)
{
    static const char *const names[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                        "__shfl_xor_sync"};
    if (width < 1 || width > 32 || (width & (width - 1)) != 0)
        reel_block_fail("%s with a width of %d", names[how], width);
    struct shuffled mine = {bits, how, operand, width};
    uint64_t result = 0;
    come(names[how], mask, false, &mine, &result, shuffle);
    return result;
}
