/* The interfaces between the parts of the fake. */
#ifndef REEL_FAKE_INTERNAL_H
#define REEL_FAKE_INTERNAL_H

#include "cuda_runtime.h"

#include <functional>
#include <mutex>

/* ---- state.cpp: one lock for everything. Only the thread that holds it runs kernels. */
typedef std::lock_guard<std::recursive_mutex> reel_fake_guard;
std::recursive_mutex &reel_fake_lock();

/* Ends the process with a message. */
[[noreturn]] void reel_fake_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns the code; unless it is cudaSuccess, it is the last error from now on. */
cudaError_t reel_fake_answer(cudaError_t code);

/* The code of a call that is to be refused; 0 for all others. */
int reel_fake_refused(const char *call);

/* Whether orders are random; else everything runs in order and as late as possible. */
bool reel_fake_is_drawn();

/* A random number below that limit. */
uint64_t reel_fake_draw(uint64_t limit);

/* ---- memory.cpp: the allocations. */
enum reel_fake_place { REEL_PAGEABLE, REEL_PINNED, REEL_DEVICE };
enum reel_fake_place reel_fake_place_of(const void *pointer);

/* Ends the process unless all of the bytes lie in one allocation of that kind. */
void reel_fake_need(const char *call, const void *pointer, size_t bytes, enum reel_fake_place place);

/* Between these two the calling thread may read and write device memory; calls may be nested. */
void reel_fake_memory_open();
void reel_fake_memory_close();

/* ---- stream.cpp: work that is done late. */
void reel_fake_push(cudaStream_t queue, std::function<void()> work);

/* Does all work issued to that stream so far, and the work for which it waits; that of all streams. */
void reel_fake_drain(cudaStream_t queue);
void reel_fake_drain_all();

/* Ends the process unless the stream is open. */
void reel_fake_need_stream(const char *call, cudaStream_t queue);

/* The device that a stream belongs to. */
int reel_fake_stream_device(cudaStream_t queue);

/* ---- device.cpp */
size_t reel_fake_memory_bytes();

/* ---- launch.cpp: the limits of a block. */
enum { REEL_THREADS_MAX = 1024, REEL_SHARED_MAX = 227 * 1024, REEL_SHARED_DEFAULT = 48 * 1024 };

/* ---- block.cpp: runs every block of a launch. */
void reel_fake_run(const reel_fake_kernel &kernel);

#endif
