/* The GPUs that this fake has. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static thread_local int current;

static int count_of(void)
{
    const char *count = getenv("REEL_FAKE_GPUS");
    return count ? atoi(count) : 1;
}

size_t reel_fake_memory_bytes()
{
    const char *bytes = getenv("REEL_FAKE_MEMORY_BYTES");
    return bytes ? strtoull(bytes, nullptr, 10) : size_t(8) << 30;
}

/* cudaSuccess if there is a device of that index, else the error. */
static cudaError_t check(const char *call, int device)
{
    if (int code = reel_fake_refused(call))
        return static_cast<cudaError_t>(code);
    if (count_of() == 0)
        return cudaErrorNoDevice;
    return device >= 0 && device < count_of() ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = count_of();
    int code = reel_fake_refused("cudaGetDeviceCount");
    if (code)
        *count = 0;
    return reel_fake_answer(code          ? static_cast<cudaError_t>(code)
                            : *count == 0 ? cudaErrorNoDevice
                                          : cudaSuccess);
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t code = check("cudaSetDevice", device);
    if (code == cudaSuccess)
        current = device;
    return reel_fake_answer(code);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return reel_fake_answer(check("cudaGetDevice", current));
}

/* FNV-1a, twice, of the hostname, REEL_FAKE_UUID and the index. */
static void write_uuid(char bytes[16], int device)
{
    char host[256] = "", text[600];
    gethostname(host, sizeof host - 1);
    const char *word = getenv("REEL_FAKE_UUID");
    snprintf(text, sizeof text, "%s %.256s %d", host, word ? word : "", device);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int half = 0; half < 2; half++) {
        for (const char *at = text; *at; at++)
            hash = (hash ^ static_cast<unsigned char>(*at)) * UINT64_C(0x100000001b3);
        memcpy(bytes + 8 * half, &hash, sizeof hash);
    }
}

static void capability(int *major, int *minor)
{
    const char *text = getenv("REEL_FAKE_CAPABILITY");
    if (sscanf(text ? text : "9.0", "%d.%d", major, minor) != 2)
        reel_fake_fail("REEL_FAKE_CAPABILITY is %s, expected 9.0 or another", text);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    cudaError_t code = check("cudaGetDeviceProperties", device);
    if (code != cudaSuccess)
        return reel_fake_answer(code);
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "REEL fake GPU");
    write_uuid(properties->uuid.bytes, device);
    capability(&properties->major, &properties->minor);
    properties->totalGlobalMem = reel_fake_memory_bytes();
    properties->sharedMemPerBlock = REEL_SHARED_DEFAULT;
    properties->sharedMemPerBlockOptin = REEL_SHARED_MAX;
    properties->sharedMemPerMultiprocessor = REEL_SHARED_MAX + 1024;
    properties->regsPerBlock = 65536;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = REEL_THREADS_MAX;
    properties->maxThreadsPerMultiProcessor = 2048;
    const int threads[3] = {1024, 1024, 64}, grid[3] = {0x7fffffff, 65535, 65535};
    memcpy(properties->maxThreadsDim, threads, sizeof threads);
    memcpy(properties->maxGridSize, grid, sizeof grid);
    properties->multiProcessorCount = 4;
    properties->unifiedAddressing = 1;
    properties->l2CacheSize = 50 << 20;
    properties->pciBusID = 0x1b + 0x10 * device;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    struct cudaDeviceProp properties;
    cudaError_t code = cudaGetDeviceProperties(&properties, device);
    if (code != cudaSuccess)
        return code;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = properties.maxThreadsPerBlock;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = properties.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = properties.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = properties.minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = REEL_SHARED_MAX;
        return cudaSuccess;
    }
    return reel_fake_answer(cudaErrorInvalidValue);
}

/* In capitals, as CUDA writes it. */
cudaError_t cudaDeviceGetPCIBusId(char *address, int bytes, int device)
{
    cudaError_t code = check("cudaDeviceGetPCIBusId", device);
    if (code == cudaSuccess && bytes < 13)
        code = cudaErrorInvalidValue;
    if (code == cudaSuccess)
        snprintf(address, static_cast<size_t>(bytes), "0000:%02X:00.0",
                 static_cast<unsigned>(0x1b + 0x10 * device) & 0xffu);
    return reel_fake_answer(code);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
