/* The instructions of a tensor core and what feeds them, each as one function: asynchronous copies into
 * shared memory (cp.async), loads of 8 x 8 matrices by a warp (ldmatrix) and the product of bfloat16
 * matrices (mma.sync).
 *
 *     reel_copy_16(tile + at, x + from, row < rows);          16 bytes, zeros where the row does not exist
 *     reel_copies_close(), reel_copies_await<0>();            a group of copies ends; none is under way now
 *     reel_load_matrices(a, tile + ...);                      a warp's part of a 16 x 16 matrix
 *     reel_multiply(sum, a, b);                               sum[16, 8] += a[16, 16] b[16, 8]
 *
 * Every thread of a warp calls together. Of a matrix a[16, 16] lane l holds, two numbers in each register,
 * a[l / 4 (+ 8 in registers 1 and 3)][l % 4 * 2, + 1 (+ 8 in registers 2 and 3)]; of b[16, 8] b[l % 4 * 2,
 * + 1 (+ 8 in register 1)][l / 4]; of sum[16, 8] sum[l / 4 (+ 8 in elements 2 and 3)][l % 4 * 2 + element %
 * 2].
 *
 * For sm_80 and later; on the stand-in, which runs kernels on the host, the same from the same registers. */
#ifndef REEL_TENSOR_CORE_H
#define REEL_TENSOR_CORE_H

#include <stdint.h>

#ifdef REEL_FAKE
#include "tensor_core_host.h"
#else

/* Where something lies within shared memory, as PTX wants it. */
static __device__ inline uint32_t reel_shared_address(const void *shared)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

/* 16 bytes, both sides aligned to them; where they are not there, zeros, and nothing is read. */
static __device__ inline void reel_copy_16(void *shared, const void *global, bool there)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(reel_shared_address(shared)),
                 "l"(__cvta_generic_to_global(global)), "r"(there ? 16 : 0)
                 : "memory");
}

static __device__ inline void reel_copies_close()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Waits for all groups of the calling thread but the last `pending`. */
template <int pending> static __device__ inline void reel_copies_await()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

/* Four 8 x 8 matrices of 16 bits: lanes 8 i .. 8 i + 7 say where the rows of matrix i begin, and register i
 * holds of it numbers 2 (l % 4) and 2 (l % 4) + 1 of row l / 4. */
static __device__ inline void reel_load_matrices(uint32_t registers[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(reel_shared_address(row))
                 : "memory");
}

/* The same of the transposed matrices: numbers l / 4 of rows 2 (l % 4) and 2 (l % 4) + 1. */
static __device__ inline void reel_load_transposed(uint32_t registers[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(reel_shared_address(row))
                 : "memory");
}

/* sum[16, 8] += a[16, 16] b[16, 8], sums in float. */
static __device__ inline void reel_multiply(float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* The same number, of which the compiler does not know that it is the same: what is computed from it in a
 * loop is then computed anew each time, and no register holds it meanwhile. */
static __device__ inline int reel_anew(int x)
{
    asm volatile("" : "+r"(x));
    return x;
}

/* Two floats rounded to bfloat16, the first in the lower half. */
static __device__ inline uint32_t reel_pack(float low, float high)
{
    uint32_t both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

/* 2^x, with the hardware's error of two units in the last place; 0 where that would not be a normal
 * number. */
static __device__ inline float reel_power_of_two(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

#endif

#endif
