/* What the parts of the stand-in know of each other. */
#ifndef REEL_FAKE_INTERNAL_H
#define REEL_FAKE_INTERNAL_H

#include "cuda_runtime.h"

#include <functional>
#include <mutex>

/* ---- state.cpp: one lock for everything: whoever holds it runs kernels, and nobody else does. */
typedef std::lock_guard<std::recursive_mutex> reel_fake_guard;
std::recursive_mutex &reel_fake_lock();

/* Ends the process with a message. */
[[noreturn]] void reel_fake_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The code, which is the last error from now on unless it is cudaSuccess. */
cudaError_t reel_fake_answer(cudaError_t code);

/* What a call that is to be refused answers; 0 for all others. */
int reel_fake_refused(const char *call);

/* 0 while everything is to take place in order and late. */
bool reel_fake_is_drawn();

/* A number below that limit, from the seed. */
uint64_t reel_fake_draw(uint64_t limit);

/* ---- memory.cpp: what has been allocated. */
enum reel_fake_place { REEL_PAGEABLE, REEL_PINNED, REEL_DEVICE };
enum reel_fake_place reel_fake_place_of(const void *pointer);

/* Ends the process unless all of it lies in one allocation there. */
void reel_fake_need(const char *call, const void *pointer, size_t bytes, enum reel_fake_place place);

/* Lets whoever is within read and write device memory; calls may be nested. */
void reel_fake_memory_open();
void reel_fake_memory_close();

/* ---- stream.cpp: work that is late. */
void reel_fake_push(cudaStream_t queue, std::function<void()> work);

/* Does everything in that stream up to now, and what it waits for; that of all streams. */
void reel_fake_drain(cudaStream_t queue);
void reel_fake_drain_all();

/* Ends the process unless the stream is open. */
void reel_fake_need_stream(const char *call, cudaStream_t queue);

/* The device that a stream belongs to. */
int reel_fake_stream_device(cudaStream_t queue);

/* ---- device.cpp */
size_t reel_fake_memory_bytes();

/* ---- launch.cpp: the most that a block may have. */
enum { REEL_THREADS_MAX = 1024, REEL_SHARED_MAX = 227 * 1024, REEL_SHARED_DEFAULT = 48 * 1024 };

/* ---- block.cpp: runs every block of a launch. */
void reel_fake_run(const reel_fake_kernel &kernel);

#endif
