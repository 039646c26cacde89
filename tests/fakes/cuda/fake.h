/* A stand-in for CUDA on the host: the project's *_cuda.cu compiled by a C++ compiler, their kernels run by the CPU.
 *
 *     reel_cuda_on_host(reel_test_cuda ../kernels/ops_cuda.cu ...)     in CMake: the headers of this folder come first
 *     REEL_FAKE_SEED=7 REEL_FAKE_GPUS=2 ./kernels_cuda_test
 *
 * The blocks of a launch run one after the other, the threads of a block are fibers that take turns at barriers and at
 * the collectives of a warp. A barrier that some thread of its block never reaches, and a collective that some lane of its
 * mask never reaches, end the process with a message that names the kernel. Shared memory is 0xff (a NaN) when a block
 * begins, and so is memory that was just allocated.
 *
 * Device memory is the device's: the host faults when it touches it outside a kernel, a copy or a library call. Streams
 * are late: work is done when something waits for it and not before, so that a wait that was forgotten shows. With a seed,
 * blocks and threads run in an order that is drawn anew each time, and so do streams, as far as events allow.
 *
 * What differs from a device: blocks never run beside each other, so that one which waits for another hangs; functions
 * that a device approximates (__expf, rsqrtf, tanhf, ...) are the host's; a * b + c is rounded twice unless it is fmaf. */
#ifndef REEL_FAKE_H
#define REEL_FAKE_H

#include <stddef.h>
#include <stdint.h>

#define REEL_FAKE 1 /* what tells a header that its PTX has no place here */

#ifdef __cplusplus
extern "C" {
#endif

/* The environment says, when the first call of CUDA is made:
 *     REEL_FAKE_GPUS          how many there are: 1
 *     REEL_FAKE_UUID          a word that UUIDs are made of besides the hostname and the index: ranks whose words
 *                                 differ have GPUs of their own
 *     REEL_FAKE_CAPABILITY    "9.0"
 *     REEL_FAKE_MEMORY_BYTES  of one GPU: 8 GiB
 *     REEL_FAKE_SEED          0: everything in order and as late as possible; else the orders that are drawn */

/* The orders from now on, as REEL_FAKE_SEED. */
void reel_fake_seed(uint64_t seed);

/* The next call of that name, after so many others of it, does nothing but return the code, a cudaError_t or a
 * cublasStatus_t: "cudaMalloc", "cudaLaunchKernel", "cublasLtMatmul". NULL: none does any more. */
void reel_fake_refuse(const char *call, int64_t after, int code);

/* Work of the host in the order of a stream, which may touch device memory: what a library such as NCCL does. */
struct CUstream_st;
void reel_fake_enqueue(struct CUstream_st *queue, void (*work)(void *), void *argument);

/* ---- Inside kernels: collectives of the calling thread's warp.
 *
 * Every lane brings bytes and gets those of all: all is [32][bytes], in the order of lanes. Every thread of a whole warp
 * must come, as to mma.sync and ldmatrix, which are .aligned. */
void reel_fake_warp_exchange(const void *mine, size_t bytes, void *all);

/* The same done once for the whole warp, which is faster: `together` is called by the last lane to come, with what every
 * lane gave and where every lane wants its result, and all lanes go on when it has returned:
 *
 *     static void multiply(const void *const in[32], void *const out[32]) { ... }
 *     reel_fake_warp_together("mma.m16n8k16", &fragments, sums, multiply);
 *
 * `in` and `out` may lie on the stack of the caller. The name is that of a string literal. */
void reel_fake_warp_together(const char *name, const void *in, void *out,
                             void (*together)(const void *const in[32], void *const out[32]));

/* The same among the lanes of a mask, for shuffles: those of its lanes which have not left the kernel must come. Lanes
 * which do not take part have NULL in `in` and `out`. */
void reel_fake_warp_among(const char *name, unsigned mask, const void *in, void *out,
                          void (*together)(const void *const in[32], void *const out[32]));

/* ---- Inside kernels: named barriers, bar.sync and bar.arrive: id 1 .. 15, threads a multiple of 32. __syncthreads is not
 * one of them: it waits for every thread of the block that has not left. */
void reel_fake_barrier_wait(int id, int threads);
void reel_fake_barrier_arrive(int id, int threads);

/* ---- Inside kernels: the asynchronous copies of the calling thread (cp.async). The bytes (4, 8 or 16, both sides aligned
 * to them; those beyond `from_bytes` become 0) are there when the copying thread has waited, not before: commit makes the
 * copies since the last one a group, wait returns when all groups but the last `pending` are done. What a thread has not
 * waited for when it leaves is never copied. */
void reel_fake_copy_async(void *shared, const void *global, size_t bytes, size_t from_bytes);
void reel_fake_copy_commit(void);
void reel_fake_copy_wait(int pending);

#ifdef __cplusplus
}
#endif

#endif
