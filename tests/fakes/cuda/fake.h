/* A fake of CUDA on the host: a C++ compiler compiles the project's *_cuda.cu, and the CPU runs their
 * kernels.
 *
 *     reel_cuda_on_host(reel_test_cuda kernels/cuda/ops_cuda.cu ...)   in CMake: the headers here come first
 *     REEL_FAKE_SEED=7 REEL_FAKE_GPUS=2 ./kernels_cuda_test
 *
 * The blocks of a launch run one after the other. The threads of a block are fibers that take turns at
 * barriers and at the collectives of a warp. A barrier that some thread of its block never reaches, and a
 * collective that some lane of its mask never reaches, end the process with a message that names the kernel.
 * Shared memory holds 0xff (a NaN) when a block begins, and so does memory that was just allocated.
 *
 * The host faults when it touches device memory outside a kernel, a copy or a library call. Streams are late:
 * their work is done when something waits for it and not before, so that a forgotten wait shows. With a seed,
 * blocks, threads and streams run in random orders, as far as events allow.
 *
 * The fake differs from a device: blocks never run beside each other, so that one which waits for another
 * hangs; functions that a device approximates (__expf, rsqrtf, tanhf, ...) are the host's; a * b + c is
 * rounded twice unless it is fmaf. */
#ifndef REEL_FAKE_H
#define REEL_FAKE_H

#include <stddef.h>
#include <stdint.h>

#define REEL_FAKE 1 /* tells a header to leave out its PTX */

#ifdef __cplusplus
extern "C" {
#endif

/* Variables of the environment, read at the first call of CUDA, and their defaults:
 *
 *     REEL_FAKE_GPUS          number of GPUs: 1
 *     REEL_FAKE_UUID          a word from which UUIDs are made, with the hostname and the index: ranks with
 *                             different words have GPUs of their own
 *     REEL_FAKE_CAPABILITY    "9.0"
 *     REEL_FAKE_MEMORY_BYTES  of one GPU: 8 GiB
 *     REEL_FAKE_SEED          0: everything in order and late; else the seed of random orders */

/* Sets the seed of the orders from now on, as REEL_FAKE_SEED does. */
void reel_fake_seed(uint64_t seed);

/* After `after` more calls of that name, the next one does nothing but return the code, a cudaError_t or a
 * cublasStatus_t: "cudaMalloc", "cudaLaunchKernel", "cublasLtMatmul". NULL: no call is refused any more. */
void reel_fake_refuse(const char *call, int64_t after, int code);

/* Issues work of the host to a stream. It may touch device memory, as that of a library such as NCCL does. */
struct CUstream_st;
void reel_fake_enqueue(struct CUstream_st *queue, void (*work)(void *), void *argument);

/* Called by such work while it waits for another rank: where the order of streams is drawn, other streams go
 * on, as they do on a device. Otherwise two ranks that drew different exchanges first would wait for ever. */
void reel_fake_yield(void);

/* ---- Inside kernels: collectives of the calling thread's warp.
 *
 * Every lane passes bytes and gets those of all: all is [32][bytes], in the order of lanes. Every thread of a
 * full warp must call it, as with mma.sync and ldmatrix, which are .aligned. */
void reel_fake_warp_exchange(const void *mine, size_t bytes, void *all);

/* The same, done once for the whole warp, which is faster. The last lane to arrive calls `together` with the
 * input of every lane and the place for its result; then all lanes continue:
 *
 *     static void multiply(const void *const in[32], void *const out[32]) { ... }
 *     reel_fake_warp_together("mma.m16n8k16", &fragments, sums, multiply);
 *
 * `in` and `out` may lie on the caller's stack. The name is a string literal. */
void reel_fake_warp_together(const char *name, const void *in, void *out,
                             void (*together)(const void *const in[32], void *const out[32]));

/* The same among the lanes of a mask, for shuffles: all lanes of the mask that have not left the kernel must
 * call it. Lanes that do not take part have NULL in `in` and `out`. */
void reel_fake_warp_among(const char *name, unsigned mask, const void *in, void *out,
                          void (*together)(const void *const in[32], void *const out[32]));

/* ---- Inside kernels: named barriers, bar.sync and bar.arrive: id 1 .. 15, threads a multiple of 32.
 * __syncthreads is not one of them: it waits for every thread of the block that has not left. */
void reel_fake_barrier_wait(int id, int threads);
void reel_fake_barrier_arrive(int id, int threads);

/* ---- Inside kernels: the asynchronous copies of the calling thread (cp.async). The bytes (4, 8 or 16, with
 * both sides aligned to them; those beyond `from_bytes` become 0) arrive when the copying thread has waited,
 * not before. commit makes the copies since the last commit a group; wait returns when all groups but the
 * last `pending` are done. Copies for which a thread has not waited when it leaves are never done. */
void reel_fake_copy_async(void *shared, const void *global, size_t bytes, size_t from_bytes);
void reel_fake_copy_commit(void);
void reel_fake_copy_wait(int pending);

#ifdef __cplusplus
}
#endif

#endif
