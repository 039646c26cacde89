/* Tensor core instructions and the loads that feed them, one function each: asynchronous copies into shared
 * memory (cp.async), loads of 8 x 8 matrices by a warp (ldmatrix) and products of bfloat16 matrices
 * (mma.sync).
 *
 *     reel_copy_16(tile + at, x + from, row < rows);       copies 16 bytes; zeros if the row does not exist
 *     reel_copies_close();                                 closes a group of copies
 *     reel_copies_await<0>();                              waits until no copy is under way
 *     reel_load_matrices(a, tile + ...);                   loads a 16 x 16 matrix, each lane its elements
 *     reel_multiply(sum, a, b);                            sum[16, 8] += a[16, 16] b[16, 8]
 *
 * All threads of a warp call reel_load_* and reel_multiply together. A register of a or b holds two elements,
 * and sum has one float per element. Lane l holds, with r the index of the register and e that of the float:
 *
 *     a[16, 16]    row l / 4 + (8 if r is 1 or 3), columns l % 4 * 2 + (8 if r is 2 or 3) and the next
 *     b[16, 8]     rows l % 4 * 2 + (8 if r is 1) and the next, column l / 4
 *     sum[16, 8]   row l / 4 + (8 if e is 2 or 3), column l % 4 * 2 + e % 2
 *
 * For sm_80 and later. The fake of CUDA, which runs kernels on the host, does the same with the same
 * registers. */
#ifndef REEL_TENSOR_CORE_H
#define REEL_TENSOR_CORE_H

#include <stdint.h>

#ifdef REEL_FAKE
#include "tensor_core_host.h"
#else

/* The address within shared memory, in the form that PTX expects. */
static __device__ inline uint32_t reel_shared_address(const void *shared)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

/* Starts a copy of 16 bytes; both addresses are aligned to 16. Unless `there`, reads nothing and writes
 * zeros. */
static __device__ inline void reel_copy_16(void *shared, const void *global, bool there)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(reel_shared_address(shared)),
                 "l"(__cvta_generic_to_global(global)), "r"(there ? 16 : 0)
                 : "memory");
}

/* Closes a group: the copies that the calling thread started since the last group. */
static __device__ inline void reel_copies_close()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

/* Waits for all groups of the calling thread except the last `pending`. */
template <int pending> static __device__ inline void reel_copies_await()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(pending) : "memory");
}

/* Loads four 8 x 8 matrices of 16-bit elements. Lanes 8 i .. 8 i + 7 pass the addresses of the rows of matrix
 * i. Register i of lane l receives elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of matrix i. */
static __device__ inline void reel_load_matrices(uint32_t registers[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(reel_shared_address(row))
                 : "memory");
}

/* The same for the transposed matrices: register i receives element l / 4 of rows 2 (l % 4) and
 * 2 (l % 4) + 1. */
static __device__ inline void reel_load_transposed(uint32_t registers[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(reel_shared_address(row))
                 : "memory");
}

/* sum[16, 8] += a[16, 16] b[16, 8], summed in float. */
static __device__ inline void reel_multiply(float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Returns x, but hides from the compiler that the value is unchanged. Whatever a loop computes from it is
 * then computed again in each iteration and takes no register in between. */
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

/* 2^x by the hardware, with an error of two units in the last place; 0 where the result would be
 * subnormal. */
static __device__ inline float reel_power_of_two(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

#endif

#endif
