/* What the parts of the stand-in know of each other. */
#ifndef REEL_STAND_IN_INTERNAL_H
#define REEL_STAND_IN_INTERNAL_H

#include "cuda_runtime.h"

#include <functional>
#include <mutex>

/* ---- state.cpp: one lock for everything: whoever holds it runs kernels, and nobody else does. */
typedef std::lock_guard<std::recursive_mutex> reel_stand_in_guard;
std::recursive_mutex &reel_stand_in_lock();

/* Ends the process with a message. */
[[noreturn]] void reel_stand_in_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The code, which is the last error from now on unless it is cudaSuccess. */
cudaError_t reel_stand_in_answer(cudaError_t code);

/* What a call that is to be refused answers; 0 for all others. */
int reel_stand_in_refused(const char *call);

/* 0 while everything is to take place in order and late. */
bool reel_stand_in_is_drawn();

/* A number below that limit, from the seed. */
uint64_t reel_stand_in_draw(uint64_t limit);

/* ---- memory.cpp: what has been allocated. */
enum reel_stand_in_place { REEL_PAGEABLE, REEL_PINNED, REEL_DEVICE };
enum reel_stand_in_place reel_stand_in_place_of(const void *pointer);

/* Ends the process unless all of it lies in one allocation there. */
void reel_stand_in_need(const char *call, const void *pointer, size_t bytes, enum reel_stand_in_place place);

/* Lets whoever is within read and write device memory; calls may be nested. */
void reel_stand_in_memory_open();
void reel_stand_in_memory_close();

/* ---- stream.cpp: work that is late. */
void reel_stand_in_push(cudaStream_t queue, std::function<void()> work);

/* Does everything in that stream up to now, and what it waits for; that of all streams. */
void reel_stand_in_drain(cudaStream_t queue);
void reel_stand_in_drain_all();

/* Ends the process unless the stream is open. */
void reel_stand_in_need_stream(const char *call, cudaStream_t queue);

/* The device that a stream belongs to. */
int reel_stand_in_stream_device(cudaStream_t queue);

/* ---- device.cpp */
size_t reel_stand_in_memory_bytes();

/* ---- launch.cpp: the most that a block may have. */
enum { REEL_THREADS_MOST = 1024, REEL_SHARED_MOST = 227 * 1024, REEL_SHARED_DEFAULT = 48 * 1024 };

/* ---- block.cpp: runs every block of a launch. */
void reel_stand_in_run(const reel_stand_in_kernel &kernel);

#endif
