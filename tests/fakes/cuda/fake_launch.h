/* Launching a kernel: its arguments are copied when it is issued, and it runs when its stream reaches it. */
#ifndef REEL_FAKE_LAUNCH_H
#define REEL_FAKE_LAUNCH_H

#include "fake.h"
#include "fake_vectors.h"

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

/* A launch: `thread` is called once per thread of the grid. */
struct reel_fake_kernel {
    const char *name;
    const void *address; /* the kernel's, for its attributes */
    dim3 grid, block;
    size_t shared_bytes;
    std::function<void()> thread;
};

/* Checks a launch against the limits of the hardware and issues it to the stream. cudaGetLastError returns
 * the error of a refused launch. */
void reel_fake_issue(const reel_fake_kernel &kernel, struct CUstream_st *queue);

/* Ends the process if a pointer argument of a kernel is neither NULL, nor device memory, nor pinned
 * memory. */
void reel_fake_check_argument(const char *kernel, int index, const void *pointer);

/* The dynamic shared memory of the running block. */
void *reel_fake_shared(void);

template <typename T> void reel_fake_check_any(const char *name, int index, const T &argument)
{
    if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>)
        reel_fake_check_argument(name, index, argument);
    (void)name, (void)index, (void)argument;
}

template <typename... P, typename... A>
void reel_fake_launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                      struct CUstream_st *queue, A &&...given)
{
    std::tuple<std::remove_cv_t<P>...> arguments(std::forward<A>(given)...);
    static_assert(sizeof(arguments) <= 4096, "a kernel's arguments are at most 4 KiB");
    int index = 0;
    std::apply([&](const auto &...each) { (reel_fake_check_any(name, index++, each), ...); }, arguments);
    reel_fake_issue({name, reinterpret_cast<const void *>(kernel), grid, block, shared_bytes,
                     [kernel, arguments]() { std::apply(kernel, arguments); }},
                    queue);
}

#define REEL_LAUNCH(kernel, grid, block, shared_bytes, queue, ...)                                           \
    reel_fake_launch(#kernel, kernel, (grid), (block), (shared_bytes), (queue), ##__VA_ARGS__)

#define REEL_SHARED(type, name) type *name = static_cast<type *>(reel_fake_shared())

#endif
