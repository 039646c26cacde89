/* CUDA's short vectors, with CUDA's alignment. */
#ifndef REEL_FAKE_VECTORS_H
#define REEL_FAKE_VECTORS_H

#include <stdint.h>

/* A vector of 1 to 4 elements and the function that makes it. */
#define REEL_FAKE_VECTOR(type, prefix, alignment2, alignment4)                                               \
    struct prefix##1                                                                                         \
    {                                                                                                        \
        type x;                                                                                              \
    };                                                                                                       \
    struct alignas(alignment2) prefix##2                                                                     \
    {                                                                                                        \
        type x, y;                                                                                           \
    };                                                                                                       \
    struct prefix##3                                                                                         \
    {                                                                                                        \
        type x, y, z;                                                                                        \
    };                                                                                                       \
    struct alignas(alignment4) prefix##4                                                                     \
    {                                                                                                        \
        type x, y, z, w;                                                                                     \
    };                                                                                                       \
    inline prefix##1 make_##prefix##1(type x)                                                                \
    {                                                                                                        \
        return {x};                                                                                          \
    }                                                                                                        \
    inline prefix##2 make_##prefix##2(type x, type y)                                                        \
    {                                                                                                        \
        return {x, y};                                                                                       \
    }                                                                                                        \
    inline prefix##3 make_##prefix##3(type x, type y, type z)                                                \
    {                                                                                                        \
        return {x, y, z};                                                                                    \
    }                                                                                                        \
    inline prefix##4 make_##prefix##4(type x, type y, type z, type w)                                        \
    {                                                                                                        \
        return {x, y, z, w};                                                                                 \
    }

REEL_FAKE_VECTOR(signed char, char, 2, 4)
REEL_FAKE_VECTOR(unsigned char, uchar, 2, 4)
REEL_FAKE_VECTOR(short, short, 4, 8)
REEL_FAKE_VECTOR(unsigned short, ushort, 4, 8)
REEL_FAKE_VECTOR(int, int, 8, 16)
REEL_FAKE_VECTOR(unsigned, uint, 8, 16)
REEL_FAKE_VECTOR(long long, longlong, 16, 16)
REEL_FAKE_VECTOR(unsigned long long, ulonglong, 16, 16)
REEL_FAKE_VECTOR(float, float, 8, 16)
REEL_FAKE_VECTOR(double, double, 16, 16)
#undef REEL_FAKE_VECTOR

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned along_x = 1, unsigned along_y = 1, unsigned along_z = 1)
        : x(along_x), y(along_y), z(along_z)
    {
    }
};

#endif
