/* Device memory, which is inaccessible outside a kernel, a copy or a library call, and pinned memory of the
 * host.
 *
 * Allocations are aligned to 256 bytes, as CUDA promises, and end before an inaccessible page. */
#include "internal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

static const size_t PAGE = 4096, ALIGNMENT = 256, FILLED_MAX = size_t(256) << 20;

struct region {
    char *pages; /* the mapping: whole pages, the last of them inaccessible */
    size_t pages_bytes;
    char *memory; /* the memory that the caller gets */
    size_t bytes;
    enum reel_fake_place place;
    int device;
};

static std::vector<struct region> regions;
static size_t device_bytes;
static int within;

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* The protection key that opens all device memory for one thread at once. -1: the processor has no keys, and
 * every region is opened by itself. */
static int key(void)
{
    static const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    return key;
}

static void protect(const struct region &region, int how)
{
    if (region.place == REEL_DEVICE && mprotect(region.pages, region.pages_bytes - PAGE, how) != 0)
        reel_fake_fail("mprotect of %zu bytes failed", region.pages_bytes);
}

static void protect_all(int how)
{
    if (key() >= 0)
        pkey_set(key(), how == PROT_NONE ? PKEY_DISABLE_ACCESS : 0);
    for (const struct region &region : regions)
        if (key() < 0)
            protect(region, how);
}

/* Protects a new region. */
static void lock_away(const struct region &region)
{
    if (key() < 0)
        protect(region, within ? PROT_READ | PROT_WRITE : PROT_NONE);
    else if (region.place == REEL_DEVICE &&
             pkey_mprotect(region.pages, region.pages_bytes - PAGE, PROT_READ | PROT_WRITE, key()) != 0)
        reel_fake_fail("pkey_mprotect of %zu bytes failed", region.pages_bytes);
}

void reel_fake_memory_open()
{
    if (within++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
}

void reel_fake_memory_close()
{
    if (--within == 0)
        protect_all(PROT_NONE);
}

/* The region of a pointer. The end counts: an empty array may begin there. */
static const struct region *find(const void *pointer)
{
    const char *at = static_cast<const char *>(pointer);
    for (const struct region &region : regions)
        if (at >= region.memory && at <= region.memory + region.bytes)
            return &region;
    return nullptr;
}

enum reel_fake_place reel_fake_place_of(const void *pointer)
{
    const struct region *region = find(pointer);
    return region ? region->place : REEL_PAGEABLE;
}

void reel_fake_need(const char *call, const void *pointer, size_t bytes, enum reel_fake_place place)
{
    static const char *const names[] = {"pageable memory of the host", "pinned memory", "device memory"};
    const struct region *region = find(pointer);
    enum reel_fake_place is = region ? region->place : REEL_PAGEABLE;
    if (is != place)
        reel_fake_fail("%s: %p is %s, expected %s", call, pointer, names[is], names[place]);
    if (region && static_cast<const char *>(pointer) + bytes > region->memory + region->bytes)
        reel_fake_fail("%s: %zu bytes at %p, which is %zu bytes into an allocation of %zu", call, bytes,
                       pointer, static_cast<size_t>(static_cast<const char *>(pointer) - region->memory),
                       region->bytes);
}

void reel_fake_check_argument(const char *kernel, int index, const void *pointer)
{
    reel_fake_guard guard(reel_fake_lock());
    if (pointer && reel_fake_place_of(pointer) == REEL_PAGEABLE)
        reel_fake_fail("%s: argument %d is %p, which is neither device memory nor pinned", kernel, index,
                       pointer);
}

static cudaError_t allocate(void **memory, size_t bytes, enum reel_fake_place place)
{
    if (!memory)
        return cudaErrorInvalidValue;
    *memory = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    struct region region = {nullptr, round_up(bytes, PAGE) + PAGE, nullptr, bytes, place, 0};
    if (place == REEL_DEVICE && device_bytes + region.pages_bytes - PAGE > reel_fake_memory_bytes())
        return cudaErrorMemoryAllocation;
    void *pages = mmap(nullptr, region.pages_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return cudaErrorMemoryAllocation;
    region.pages = static_cast<char *>(pages);
    region.memory = region.pages + region.pages_bytes - PAGE - round_up(bytes, ALIGNMENT);
    memset(region.memory, 0xff, bytes < FILLED_MAX ? round_up(bytes, ALIGNMENT) : FILLED_MAX);
    mprotect(region.pages + region.pages_bytes - PAGE, PAGE, PROT_NONE);
    if (cudaGetDevice(&region.device) != cudaSuccess)
        region.device = 0;
    lock_away(region);
    regions.push_back(region);
    if (place == REEL_DEVICE)
        device_bytes += region.pages_bytes - PAGE;
    *memory = region.memory;
    return cudaSuccess;
}

/* Ends the process if the bytes after an allocation, up to the alignment, have changed. */
static void check_end(const struct region &region)
{
    if (region.bytes >= FILLED_MAX)
        return;
    for (size_t at = region.bytes; at < round_up(region.bytes, ALIGNMENT); at++)
        if (region.memory[at] != static_cast<char>(0xff))
            reel_fake_fail("an allocation of %zu bytes was written to at byte %zu", region.bytes, at);
}

static cudaError_t release(void *memory, enum reel_fake_place place)
{
    if (!memory)
        return cudaSuccess;
    for (size_t r = 0; r < regions.size(); r++)
        if (regions[r].memory == memory && regions[r].place == place) {
            reel_fake_drain_all();
            reel_fake_memory_open();
            check_end(regions[r]);
            reel_fake_memory_close();
            if (place == REEL_DEVICE)
                device_bytes -= regions[r].pages_bytes - PAGE;
            munmap(regions[r].pages, regions[r].pages_bytes);
            regions.erase(regions.begin() + static_cast<std::ptrdiff_t>(r));
            return cudaSuccess;
        }
    reel_fake_fail("%p is freed, which is not the begin of an allocation of that kind", memory);
}

/* Makes a call that allocates or frees, unless it is to be refused. */
static cudaError_t answer(const char *call, const std::function<cudaError_t()> &work)
{
    reel_fake_guard guard(reel_fake_lock());
    int code = reel_fake_refused(call);
    return reel_fake_answer(code ? static_cast<cudaError_t>(code) : work());
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    return answer("cudaMalloc", [=] { return allocate(memory, bytes, REEL_DEVICE); });
}

cudaError_t cudaFree(void *memory)
{
    return answer("cudaFree", [=] { return release(memory, REEL_DEVICE); });
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    if (flags > (cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
        return reel_fake_answer(cudaErrorInvalidValue);
    return answer("cudaHostAlloc", [=] { return allocate(memory, bytes, REEL_PINNED); });
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
    return answer("cudaFreeHost", [=] { return release(memory, REEL_PINNED); });
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    return answer("cudaMemGetInfo", [=] {
        *total_bytes = reel_fake_memory_bytes();
        *free_bytes = *total_bytes - device_bytes;
        return cudaSuccess;
    });
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *pointer)
{
    return answer("cudaPointerGetAttributes", [=] {
        const struct region *region = find(pointer);
        *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, const_cast<void *>(pointer)};
        if (region) {
            bool is_device = region->place == REEL_DEVICE;
            attributes->type = is_device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
            attributes->device = region->device;
            attributes->devicePointer = const_cast<void *>(pointer);
            attributes->hostPointer = is_device ? nullptr : const_cast<void *>(pointer);
        }
        return cudaSuccess;
    });
}
