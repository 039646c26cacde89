/* The GPUs that CUDA shows to this process. */
#include "cuda_backend.h"

extern "C" {
#include "gpu.h"
}

#include <stdio.h>
#include <string.h>

constexpr int OLDEST_MAJOR = 8;

/* `chosen` is the process's GPU; reel_gpu_use sets it once, before other threads read it. free_before is its
 * free memory at that time. `entered` is the GPU that this thread last made its current device. */
static int chosen = -1;
static int64_t free_before;
static thread_local int entered = -1;

void reel_cuda_enter(void)
{
    if (chosen < 0 || chosen == entered)
        return;
    if (cudaSetDevice(chosen) != cudaSuccess) /* the next CUDA call fails likewise and reports it */
        cudaGetLastError();
    entered = chosen;
}

/* Fails with a CUDA error in words. */
static enum reel_status fail_with_cuda_error(cudaError_t code, int64_t index, const char *what)
{
    cudaGetLastError();
    return reel_fail(REEL_BAD_DEVICE, "GPU %lld: %s: %s (%s)", static_cast<long long>(index), what,
                     cudaGetErrorString(code), cudaGetErrorName(code));
}

int64_t reel_gpu_count(char why[REEL_CAUSE_BYTES])
{
    int count = 0, driver = 0;
    cudaError_t code = cudaGetDeviceCount(&count);
    why[0] = 0;
    if (code == cudaSuccess && count > 0)
        return count;
    cudaGetLastError();
    if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
        snprintf(why, REEL_CAUSE_BYTES, "the CUDA driver is missing");
    else if (code == cudaSuccess)
        snprintf(why, REEL_CAUSE_BYTES, "CUDA shows no GPU to this process");
    else
        snprintf(why, REEL_CAUSE_BYTES, "%s (%s)", cudaGetErrorString(code), cudaGetErrorName(code));
    cudaGetLastError();
    return 0;
}

/* The free memory of a GPU, which becomes the thread's current device until the next reel_cuda_enter. The
 * previous device is not restored: for a thread that has set none it is GPU 0, and setting a GPU opens a
 * context on it, so every rank of a host would take half a gigabyte of the first rank's GPU. */
static cudaError_t free_bytes_of(int index, int64_t *free_bytes)
{
    size_t unused = 0, all = 0;
    cudaError_t code = cudaSetDevice(index);
    entered = index;
    if (code == cudaSuccess)
        code = cudaMemGetInfo(&unused, &all);
    *free_bytes = static_cast<int64_t>(unused);
    return code;
}

enum reel_status reel_gpu_describe(int64_t index, struct reel_gpu *gpu)
{
    struct cudaDeviceProp properties;
    memset(gpu, 0, sizeof *gpu);
    cudaError_t code = cudaGetDeviceProperties(&properties, static_cast<int>(index));
    if (code != cudaSuccess)
        return fail_with_cuda_error(code, index, "its properties cannot be read");
    code = free_bytes_of(static_cast<int>(index), &gpu->free_bytes);
    reel_cuda_enter();
    if (code != cudaSuccess)
        return fail_with_cuda_error(code, index, "its free memory is not known");
    snprintf(gpu->name, sizeof gpu->name, "%.127s", properties.name);
    static_assert(sizeof properties.uuid.bytes == sizeof gpu->uuid, "a UUID has 16 bytes");
    memcpy(gpu->uuid, properties.uuid.bytes, sizeof gpu->uuid);
    if (properties.pciDomainID || properties.pciBusID || properties.pciDeviceID)
        snprintf(gpu->bus, sizeof gpu->bus, "%04x:%02x:%02x.0", static_cast<unsigned>(properties.pciDomainID),
                 static_cast<unsigned>(properties.pciBusID), static_cast<unsigned>(properties.pciDeviceID));
    gpu->memory_bytes = static_cast<int64_t>(properties.totalGlobalMem);
    gpu->major = properties.major;
    gpu->minor = properties.minor;
    gpu->processors = properties.multiProcessorCount;
    return REEL_OK;
}

static __global__ void nothing(void)
{
}

enum reel_status reel_gpu_use(int64_t index)
{
    struct cudaDeviceProp properties;
    struct cudaFuncAttributes attributes;
    cudaError_t code = cudaGetDeviceProperties(&properties, static_cast<int>(index));
    if (code != cudaSuccess)
        return fail_with_cuda_error(code, index, "it cannot be used");
    REEL_NEED(properties.major >= OLDEST_MAJOR, REEL_BAD_DEVICE,
              "GPU %lld, %s, has compute capability %d.%d, expected %d.0 or later",
              static_cast<long long>(index), properties.name, properties.major, properties.minor,
              OLDEST_MAJOR);
    code = cudaSetDevice(static_cast<int>(index));
    if (code != cudaSuccess)
        return fail_with_cuda_error(code, index, "it cannot be used");
    code = cudaFuncGetAttributes(&attributes, nothing);
    if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction) {
        cudaGetLastError();
        return reel_fail(REEL_BAD_DEVICE,
                         "GPU %lld, %s: this program holds no code for sm_%d%d (CMAKE_CUDA_ARCHITECTURES)",
                         static_cast<long long>(index), properties.name, properties.major, properties.minor);
    }
    if (code != cudaSuccess)
        return fail_with_cuda_error(code, index, "it cannot be used");
    chosen = entered = static_cast<int>(index);
    code = free_bytes_of(chosen, &free_before);
    return code == cudaSuccess ? REEL_OK : fail_with_cuda_error(code, index, "its free memory is not known");
}

int64_t reel_cuda_taken_bytes(void)
{
    int64_t unused = free_before;
    if (free_bytes_of(chosen, &unused) != cudaSuccess)
        cudaGetLastError();
    return free_before - unused;
}
