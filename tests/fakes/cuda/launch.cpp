/* What a launch is checked against before it becomes work of its stream. */
#include "internal.h"

#include <map>

static std::map<const void *, int> shared_most; /* of the kernels that asked for more than every one has */

static int most_of(const void *kernel)
{
    auto found = shared_most.find(kernel);
    return found == shared_most.end() ? REEL_SHARED_DEFAULT : found->second;
}

static cudaError_t check(const reel_stand_in_kernel &kernel)
{
    const dim3 &grid = kernel.grid, &block = kernel.block;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (block.x == 0 || block.y == 0 || block.z == 0 || block.x > REEL_THREADS_MOST ||
        block.y > REEL_THREADS_MOST || block.z > 64 || block.x * block.y * block.z > REEL_THREADS_MOST)
        return cudaErrorInvalidConfiguration;
    if (kernel.shared_bytes > static_cast<size_t>(most_of(kernel.address)))
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

void reel_stand_in_issue(const reel_stand_in_kernel &kernel, cudaStream_t queue)
{
    reel_stand_in_guard guard(reel_stand_in_lock());
    reel_stand_in_need_stream(kernel.name, queue);
    int device = 0;
    cudaError_t code = static_cast<cudaError_t>(reel_stand_in_refused("cudaLaunchKernel"));
    if (code == cudaSuccess)
        code = cudaGetDevice(&device);
    if (code == cudaSuccess && reel_stand_in_stream_device(queue) != device)
        code = cudaErrorInvalidResourceHandle;
    if (code == cudaSuccess)
        code = check(kernel);
    if (code == cudaSuccess)
        reel_stand_in_push(queue, [kernel] { reel_stand_in_run(kernel); });
    reel_stand_in_answer(code);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    reel_stand_in_guard guard(reel_stand_in_lock());
    if (int code = reel_stand_in_refused("cudaFuncSetAttribute"))
        return reel_stand_in_answer(static_cast<cudaError_t>(code));
    if (!kernel)
        return reel_stand_in_answer(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return reel_stand_in_answer(value >= -1 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > REEL_SHARED_MOST)
        return reel_stand_in_answer(cudaErrorInvalidValue);
    shared_most[kernel] = value;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *kernel)
{
    reel_stand_in_guard guard(reel_stand_in_lock());
    if (int code = reel_stand_in_refused("cudaFuncGetAttributes"))
        return reel_stand_in_answer(static_cast<cudaError_t>(code));
    if (!attributes || !kernel)
        return reel_stand_in_answer(cudaErrorInvalidValue);
    *attributes = {};
    attributes->maxThreadsPerBlock = REEL_THREADS_MOST;
    attributes->maxDynamicSharedSizeBytes = most_of(kernel);
    return cudaSuccess;
}
