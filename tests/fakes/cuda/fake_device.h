/* The vocabulary of kernels besides C++: the keywords of CUDA, the index of a thread, barriers, shuffles and
 * atomic operations. */
#ifndef REEL_FAKE_DEVICE_H
#define REEL_FAKE_DEVICE_H

#include "fake.h"
#include "fake_vectors.h"

#include <string.h>

#define __global__
#define __device__
#define __host__
#define __constant__
/* __shared__ variables are static: blocks run one after the other, so one of each is enough. All of them lie
 * in one section, which is filled with 0xff when a block begins. The text after the name of the section keeps
 * the compiler from adding attributes of its own, which differ between functions. GCC before version 14
 * places the variables of templates elsewhere. */
#define REEL_FAKE_TEXT(x) #x
#define REEL_FAKE_NUMBERED(text, x) text REEL_FAKE_TEXT(x)
#ifdef __aarch64__
#define REEL_FAKE_SECTION "reel_shared,\"aw\",@nobits//"
#else
#define REEL_FAKE_SECTION "reel_shared,\"aw\",@nobits#"
#endif
#define __shared__ static __attribute__((section(REEL_FAKE_NUMBERED(REEL_FAKE_SECTION, __COUNTER__))))
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(bytes) __attribute__((aligned(bytes)))

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

/* ---- Barriers. The file and line of a call identify a barrier, so that a divergent one is found. */
enum reel_fake_vote { REEL_VOTE_NONE, REEL_VOTE_AND, REEL_VOTE_OR, REEL_VOTE_COUNT };
int reel_fake_syncthreads(enum reel_fake_vote vote, int mine, const char *file, int line);

inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    reel_fake_syncthreads(REEL_VOTE_NONE, 0, file, line);
}
inline int __syncthreads_and(int mine, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return reel_fake_syncthreads(REEL_VOTE_AND, mine, file, line);
}
inline int __syncthreads_or(int mine, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return reel_fake_syncthreads(REEL_VOTE_OR, mine, file, line);
}
inline int __syncthreads_count(int mine, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
    return reel_fake_syncthreads(REEL_VOTE_COUNT, mine, file, line);
}

/* Threads take turns, so that a fence has nothing to do. */
inline void __threadfence()
{
}
inline void __threadfence_block()
{
}

constexpr unsigned REEL_WHOLE_WARP = 0xffffffffu;
void __syncwarp(unsigned mask = REEL_WHOLE_WARP);
unsigned __ballot_sync(unsigned mask, int predicate);
int __any_sync(unsigned mask, int predicate);
int __all_sync(unsigned mask, int predicate);
unsigned __reduce_add_sync(unsigned mask, unsigned value);
unsigned __reduce_min_sync(unsigned mask, unsigned value);
unsigned __reduce_max_sync(unsigned mask, unsigned value);
int __reduce_add_sync(unsigned mask, int value);
int __reduce_min_sync(unsigned mask, int value);
int __reduce_max_sync(unsigned mask, int value);
unsigned __reduce_and_sync(unsigned mask, unsigned value);
unsigned __reduce_or_sync(unsigned mask, unsigned value);
unsigned __reduce_xor_sync(unsigned mask, unsigned value);

/* ---- Shuffles. A lane that reads from a lane which does not take part gets 0xff in every byte. */
enum reel_fake_shuffle { REEL_SHUFFLE_INDEX, REEL_SHUFFLE_UP, REEL_SHUFFLE_DOWN, REEL_SHUFFLE_XOR };
uint64_t reel_fake_shuffle(enum reel_fake_shuffle how, unsigned mask, uint64_t bits, int operand, int width);

template <typename T>
T reel_fake_shuffle_of(enum reel_fake_shuffle how, unsigned mask, T value, int operand, int width)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 2, "a shuffle is of 2, 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = reel_fake_shuffle(how, mask, bits, operand, width);
    memcpy(static_cast<void *>(&value), &bits, sizeof value);
    return value;
}
template <typename T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32)
{
    return reel_fake_shuffle_of(REEL_SHUFFLE_INDEX, mask, value, lane, width);
}
template <typename T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    return reel_fake_shuffle_of(REEL_SHUFFLE_UP, mask, value, static_cast<int>(delta), width);
}
template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    return reel_fake_shuffle_of(REEL_SHUFFLE_DOWN, mask, value, static_cast<int>(delta), width);
}
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32)
{
    return reel_fake_shuffle_of(REEL_SHUFFLE_XOR, mask, value, lanes, width);
}

/* ---- Atomic operations. One thread runs at a time, so that nothing needs protection. Each returns the
 * former value. The types are CUDA's. */
#define REEL_FAKE_ATOMIC(name, type, result)                                                                 \
    inline type name(type *at, type value)                                                                   \
    {                                                                                                        \
        type was = *at;                                                                                      \
        *at = result;                                                                                        \
        return was;                                                                                          \
    }
REEL_FAKE_ATOMIC(atomicAdd, int, was + value)
REEL_FAKE_ATOMIC(atomicAdd, unsigned, was + value)
REEL_FAKE_ATOMIC(atomicAdd, unsigned long long, was + value)
REEL_FAKE_ATOMIC(atomicAdd, float, was + value)
REEL_FAKE_ATOMIC(atomicAdd, double, was + value)
REEL_FAKE_ATOMIC(atomicSub, int, was - value)
REEL_FAKE_ATOMIC(atomicSub, unsigned, was - value)
REEL_FAKE_ATOMIC(atomicMax, int, value > was ? value : was)
REEL_FAKE_ATOMIC(atomicMax, unsigned, value > was ? value : was)
REEL_FAKE_ATOMIC(atomicMax, long long, value > was ? value : was)
REEL_FAKE_ATOMIC(atomicMax, unsigned long long, value > was ? value : was)
REEL_FAKE_ATOMIC(atomicMin, int, value < was ? value : was)
REEL_FAKE_ATOMIC(atomicMin, unsigned, value < was ? value : was)
REEL_FAKE_ATOMIC(atomicMin, long long, value < was ? value : was)
REEL_FAKE_ATOMIC(atomicMin, unsigned long long, value < was ? value : was)
REEL_FAKE_ATOMIC(atomicOr, int, was | value)
REEL_FAKE_ATOMIC(atomicOr, unsigned, was | value)
REEL_FAKE_ATOMIC(atomicAnd, int, was &value)
REEL_FAKE_ATOMIC(atomicAnd, unsigned, was &value)
REEL_FAKE_ATOMIC(atomicExch, int, value)
REEL_FAKE_ATOMIC(atomicExch, unsigned, value)
REEL_FAKE_ATOMIC(atomicExch, float, value)
#undef REEL_FAKE_ATOMIC

#define REEL_FAKE_ATOMIC_SWAP(type)                                                                          \
    inline type atomicCAS(type *at, type compare, type value)                                                \
    {                                                                                                        \
        type was = *at;                                                                                      \
        *at = was == compare ? value : was;                                                                  \
        return was;                                                                                          \
    }
REEL_FAKE_ATOMIC_SWAP(int)
REEL_FAKE_ATOMIC_SWAP(unsigned)
REEL_FAKE_ATOMIC_SWAP(unsigned long long)
#undef REEL_FAKE_ATOMIC_SWAP

/* Loads and stores with a cache hint, which does nothing here. */
template <typename T> T __ldg(const T *from)
{
    return *from;
}
template <typename T> T __ldcs(const T *from)
{
    return *from;
}
template <typename T> T __ldcg(const T *from)
{
    return *from;
}
template <typename T> void __stcs(T *to, T value)
{
    *to = value;
}
template <typename T> void __stcg(T *to, T value)
{
    *to = value;
}

/* Ends the process with a message that names the kernel. */
[[noreturn]] void __trap();

#endif
