/* The GPUs that CUDA shows this process. */
#include "cuda_backend.h"

extern "C" {
#include "gpu.h"
}

#include <stdio.h>
#include <string.h>

constexpr int OLDEST_MAJOR = 8;

/* The process's GPU, set once before others look, and what was free of it then; and the thread's. */
static int chosen = -1;
static int64_t free_before;
static thread_local int entered = -1;

void reel_cuda_enter(void)
{
    if (chosen < 0 || chosen == entered)
        return;
    if (cudaSetDevice(chosen) != cudaSuccess) /* what is called next fails by it, and tells */
        cudaGetLastError();
    entered = chosen;
}

/* CUDA's refusal in words. */
static enum reel_status refused(cudaError_t code, int64_t index, const char *what)
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

/* What nobody has taken of the memory of a GPU, which becomes the thread's until the next reel_cuda_enter. The one
 * that was the thread's is not set again: that of a thread that has set none is GPU 0, and to set a GPU opens a
 * context on it, half a gigabyte that every rank of a host would take of the first rank's. */
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
        return refused(code, index, "it cannot be described");
    code = free_bytes_of(static_cast<int>(index), &gpu->free_bytes);
    reel_cuda_enter();
    if (code != cudaSuccess)
        return refused(code, index, "its free memory is not known");
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
        return refused(code, index, "it cannot be used");
    REEL_NEED(properties.major >= OLDEST_MAJOR, REEL_BAD_DEVICE,
              "GPU %lld, %s, has compute capability %d.%d, expected %d.0 or later",
              static_cast<long long>(index), properties.name, properties.major, properties.minor,
              OLDEST_MAJOR);
    code = cudaSetDevice(static_cast<int>(index));
    if (code != cudaSuccess)
        return refused(code, index, "it cannot be used");
    code = cudaFuncGetAttributes(&attributes, nothing);
    if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorInvalidDeviceFunction) {
        cudaGetLastError();
        return reel_fail(REEL_BAD_DEVICE,
                         "GPU %lld, %s: this program holds no code for sm_%d%d (CMAKE_CUDA_ARCHITECTURES)",
                         static_cast<long long>(index), properties.name, properties.major, properties.minor);
    }
    if (code != cudaSuccess)
        return refused(code, index, "it cannot be used");
    chosen = entered = static_cast<int>(index);
    code = free_bytes_of(chosen, &free_before);
    return code == cudaSuccess ? REEL_OK : refused(code, index, "its free memory is not known");
}

int64_t reel_cuda_taken_bytes(void)
{
    int64_t unused = free_before;
    if (free_bytes_of(chosen, &unused) != cudaSuccess)
        cudaGetLastError();
    return free_before - unused;
}
