/* Checks a launch before it becomes work of its stream. */
#include "internal.h"

#include <map>

static std::map<const void *, int> shared_max; /* of kernels that asked for more than the default */

static int max_of(const void *kernel)
{
    auto found = shared_max.find(kernel);
    return found == shared_max.end() ? REEL_SHARED_DEFAULT : found->second;
}

static cudaError_t check(const reel_fake_kernel &kernel)
{
    const dim3 &grid = kernel.grid, &block = kernel.block;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (block.x == 0 || block.y == 0 || block.z == 0 || block.x > REEL_THREADS_MAX ||
        block.y > REEL_THREADS_MAX || block.z > 64 || block.x * block.y * block.z > REEL_THREADS_MAX)
        return cudaErrorInvalidConfiguration;
    if (kernel.shared_bytes > static_cast<size_t>(max_of(kernel.address)))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

void reel_fake_issue(const reel_fake_kernel &kernel, cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream(kernel.name, queue);
    int device = 0;
    cudaError_t code = static_cast<cudaError_t>(reel_fake_refused("cudaLaunchKernel"));
    if (code == cudaSuccess)
        code = cudaGetDevice(&device);
    if (code == cudaSuccess && reel_fake_stream_device(queue) != device)
        code = cudaErrorInvalidResourceHandle;
    if (code == cudaSuccess)
        code = check(kernel);
    if (code == cudaSuccess)
        reel_fake_push(queue, [kernel] { reel_fake_run(kernel); });
    reel_fake_answer(code);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaFuncSetAttribute"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!kernel)
        return reel_fake_answer(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return reel_fake_answer(value >= -1 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > REEL_SHARED_MAX)
        return reel_fake_answer(cudaErrorInvalidValue);
    shared_max[kernel] = value;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *kernel)
{
    reel_fake_guard guard(reel_fake_lock());
    if (int code = reel_fake_refused("cudaFuncGetAttributes"))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (!attributes || !kernel)
        return reel_fake_answer(cudaErrorInvalidValue);
    *attributes = {};
    attributes->maxThreadsPerBlock = REEL_THREADS_MAX;
    attributes->maxDynamicSharedSizeBytes = max_of(kernel);
    return cudaSuccess;
}
