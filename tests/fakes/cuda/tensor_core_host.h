/* kernels/cuda/tensor_core.h for the fake: the instructions of tensor cores, with the same registers. */
#ifndef REEL_FAKE_TENSOR_CORE_HOST_H
#define REEL_FAKE_TENSOR_CORE_HOST_H

#include "float_convert.h"
#include "fake.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

inline void reel_copy_16(void *shared, const void *global, bool there)
{
    reel_fake_copy_async(shared, global, 16, there ? 16 : 0);
}

inline void reel_copies_close()
{
    reel_fake_copy_commit();
}

template <int pending> inline void reel_copies_await()
{
    reel_fake_copy_wait(pending);
}

/* Each lane passes the address of a row and gets four registers. */
inline void reel_host_load_matrices(const void *const in[32], void *const out[32])
{
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < 4; matrix++) {
            const void *row;
            memcpy(&row, in[8 * matrix + lane / 4], sizeof row);
            memcpy(static_cast<char *>(out[lane]) + 4 * matrix,
                   static_cast<const char *>(row) + 4 * (lane % 4), 4);
        }
}

inline void reel_load_matrices(uint32_t registers[4], const void *row)
{
    reel_fake_warp_together("ldmatrix.x4", &row, registers, reel_host_load_matrices);
}

inline void reel_host_load_transposed(const void *const in[32], void *const out[32])
{
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < 4; matrix++)
            for (int half = 0; half < 2; half++) {
                const void *row;
                memcpy(&row, in[8 * matrix + 2 * (lane % 4) + half], sizeof row);
                memcpy(static_cast<char *>(out[lane]) + 4 * matrix + 2 * half,
                       static_cast<const char *>(row) + 2 * (lane / 4), 2);
            }
}

inline void reel_load_transposed(uint32_t registers[4], const void *row)
{
    reel_fake_warp_together("ldmatrix.x4.trans", &row, registers, reel_host_load_transposed);
}

/* The operands of a lane in a product. */
struct reel_host_fragments {
    uint32_t a[4], b[2];
    float sum[4];
};

inline float reel_host_half(uint32_t both, int half)
{
    return reel_widen_bf16(static_cast<uint16_t>(both >> (16 * half)));
}

inline void reel_host_multiply(const void *const in[32], void *const out[32])
{
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const reel_host_fragments *brought = static_cast<const reel_host_fragments *>(in[lane]);
        int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 8; i++)
            a[group + i / 2 % 2 * 8][pair + i / 4 * 8 + i % 2] = reel_host_half(brought->a[i / 2], i % 2);
        for (int i = 0; i < 4; i++)
            b[pair + i / 2 * 8 + i % 2][group] = reel_host_half(brought->b[i / 2], i % 2);
    }
    for (int lane = 0; lane < 32; lane++) {
        const reel_host_fragments *brought = static_cast<const reel_host_fragments *>(in[lane]);
        float sum[4];
        for (int i = 0; i < 4; i++) {
            sum[i] = brought->sum[i];
            for (int k = 0; k < 16; k++)
                sum[i] += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
        }
        memcpy(out[lane], sum, sizeof sum);
    }
}

inline void reel_multiply(float sum[4], const uint32_t a[4], const uint32_t b[2])
{
    reel_host_fragments brought;
    memcpy(brought.a, a, sizeof brought.a);
    memcpy(brought.b, b, sizeof brought.b);
    memcpy(brought.sum, sum, sizeof brought.sum);
    reel_fake_warp_together("mma.m16n8k16", &brought, sum, reel_host_multiply);
}

inline int reel_anew(int x)
{
    return x;
}

inline uint32_t reel_pack(float low, float high)
{
    return static_cast<uint32_t>(reel_round_bf16(high)) << 16 | reel_round_bf16(low);
}

inline float reel_power_of_two(float x)
{
    return exp2f(x);
}

#endif
