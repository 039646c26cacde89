/* Seeded random weights from a counter-based generator. */
#include "synthetic.h"

#include <math.h>
#include <string.h>

/* Eight values per counter: each of the four words gives two 16-bit pieces. */
enum { VALUES = 8 };

/* A uniform distribution on -spread .. spread has standard deviation spread / SQRT_3. */
#define SQRT_3 1.7320508075688772

static inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xD2511F53) * c[0], b = UINT64_C(0xCD9E8D57) * c[2];
        c[0] = (uint32_t)(b >> 32) ^ c[1] ^ k0;
        c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

void reel_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    memcpy(words, counter, 4 * sizeof *words);
    philox(words, key[0], key[1]);
}

/* 64-bit FNV-1a of the tensor's native name. */
static uint64_t key_of(const struct reel_network *network, int tensor, int64_t layer)
{
    char name[REEL_TENSOR_NAME_BYTES];
    reel_tensor_name(network, REEL_NAMING_NATIVE, tensor, layer, name);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return hash;
}

struct distribution {
    float centre, spread; /* uniform in centre - spread .. centre + spread */
};

static struct distribution distribution_of(const struct reel_network *network, int tensor)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    double centre = spec->random == REEL_RANDOM_NORM ? 1 : 0, deviation = 0;
    switch (spec->random) {
    case REEL_RANDOM_LINEAR:
        deviation = 1 / sqrt((double)(reel_tensor_elements(network, tensor) / spec->shape[0]));
        break;
    case REEL_RANDOM_BIAS:
        deviation = 0.02;
        break;
    case REEL_RANDOM_NORM:
        deviation = 0.05;
        break;
    case REEL_RANDOM_MODULATION:
        deviation = 0.2;
        break;
    case REEL_RANDOM_ROWS:
        deviation = 1;
        break;
    }
    return (struct distribution){(float)centre, (float)(deviation * SQRT_3)};
}

/* The value of a 16-bit piece, rounded to bfloat16 (it is never NaN or near overflow). */
static inline float value_of(uint32_t piece, struct distribution distribution)
{
    float unit = (float)(2 * (int32_t)piece - 65535) * 0x1p-16f;
    float value = distribution.centre + unit * distribution.spread;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Fills the blocks [first_block, first_block + blocks) of VALUES elements each. */
static void fill_blocks(uint64_t key, uint64_t first_block, int64_t blocks, struct distribution distribution,
                        float *restrict out)
{
    const uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int64_t b = 0; b < blocks; b++) {
        uint64_t block = first_block + (uint64_t)b;
        uint32_t words[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
        philox(words, k0, k1);
        for (int w = 0; w < 4; w++) {
            out[b * VALUES + 2 * w] = value_of(words[w] & 0xffffu, distribution);
            out[b * VALUES + 2 * w + 1] = value_of(words[w] >> 16, distribution);
        }
    }
}

void reel_synthetic_fill(const struct reel_network *network, int tensor, int64_t layer, int64_t first,
                         int64_t count, float *out)
{
    uint64_t key = key_of(network, tensor, layer);
    struct distribution distribution = distribution_of(network, tensor);
    while (count > 0) {
        int64_t lane = first % VALUES, done;
        if (lane == 0 && count >= VALUES) {
            done = count - count % VALUES;
            fill_blocks(key, (uint64_t)(first / VALUES), done / VALUES, distribution, out);
        } else {
            float block[VALUES];
            done = count < VALUES - lane ? count : VALUES - lane;
            fill_blocks(key, (uint64_t)(first / VALUES), 1, distribution, block);
            memcpy(out, block + lane, (size_t)done * sizeof *out);
        }
        first += done;
        count -= done;
        out += done;
    }
}
