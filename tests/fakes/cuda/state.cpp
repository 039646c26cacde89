/* The lock, the last error, the seed, and calls that are to be refused. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static thread_local cudaError_t last_error = cudaSuccess;

static struct {
    bool is_read;
    uint64_t seed, state;
} drawn;

static struct {
    const char *call;
    int64_t after;
    int code;
} refusal;

std::recursive_mutex &reel_fake_lock()
{
    static std::recursive_mutex lock;
    return lock;
}

void reel_fake_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fake CUDA: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

cudaError_t reel_fake_answer(cudaError_t code)
{
    if (code != cudaSuccess)
        last_error = code;
    return code;
}

cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t code = last_error;
    last_error = cudaSuccess;
    return code;
}

void reel_fake_seed(uint64_t seed)
{
    reel_fake_guard guard(reel_fake_lock());
    drawn.is_read = true;
    drawn.seed = seed;
    drawn.state = seed * 0x9e3779b97f4a7c15u + 1;
}

bool reel_fake_is_drawn()
{
    if (!drawn.is_read) {
        const char *seed = getenv("REEL_FAKE_SEED");
        reel_fake_seed(seed ? strtoull(seed, nullptr, 10) : 0);
    }
    return drawn.seed != 0;
}

/* xorshift64*, Vigna 2016. */
uint64_t reel_fake_draw(uint64_t limit)
{
    drawn.state ^= drawn.state >> 12;
    drawn.state ^= drawn.state << 25;
    drawn.state ^= drawn.state >> 27;
    return (drawn.state * 0x2545f4914f6cdd1du >> 33) % limit;
}

void reel_fake_refuse(const char *call, int64_t after, int code)
{
    reel_fake_guard guard(reel_fake_lock());
    refusal = {call, after, code};
}

int reel_fake_refused(const char *call)
{
    reel_fake_guard guard(reel_fake_lock());
    if (!refusal.call || strcmp(refusal.call, call) != 0 || refusal.after-- > 0)
        return 0;
    refusal.call = nullptr;
    return refusal.code;
}

#define NAME(code)                                                                                           \
    case code:                                                                                               \
        return #code
const char *cudaGetErrorName(cudaError_t code)
{
    switch (code) {
        NAME(cudaSuccess);
        NAME(cudaErrorInvalidValue);
        NAME(cudaErrorMemoryAllocation);
        NAME(cudaErrorInitializationError);
        NAME(cudaErrorCudartUnloading);
        NAME(cudaErrorInvalidConfiguration);
        NAME(cudaErrorInvalidPitchValue);
        NAME(cudaErrorInvalidMemcpyDirection);
        NAME(cudaErrorInsufficientDriver);
        NAME(cudaErrorInvalidDeviceFunction);
        NAME(cudaErrorNoDevice);
        NAME(cudaErrorInvalidDevice);
        NAME(cudaErrorNoKernelImageForDevice);
        NAME(cudaErrorInvalidResourceHandle);
        NAME(cudaErrorNotReady);
        NAME(cudaErrorIllegalAddress);
        NAME(cudaErrorLaunchFailure);
        NAME(cudaErrorNotSupported);
        NAME(cudaErrorUnknown);
    }
    return "unrecognized error code";
}
#undef NAME

const char *cudaGetErrorString(cudaError_t code)
{
    return code == cudaSuccess ? "no error" : cudaGetErrorName(code);
}
