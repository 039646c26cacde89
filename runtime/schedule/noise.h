/* The noise of torch.randn on a CPU generator, bit for bit.
 *
 * A job's seed means the noise that PyTorch's CPU generator gives for it in float32 (the build for x86 with
 * AVX2, which is every current one): mt19937, uniforms of 24 bits, Box and Muller in blocks of 16. It depends
 * on neither the number of ranks nor the device, so every rank draws all of it and keeps what it needs.
 *
 *     struct reel_noise random;
 *     reel_noise_seed(&random, 42);
 *     reel_noise_normal(&random, 16 * 25 * 68 * 120, noise);    torch.randn(16, 25, 68, 120, generator=g)
 *
 * The generator is a value without pointers or padding: its bytes can go into a checkpoint and come back. */
#ifndef REEL_NOISE_H
#define REEL_NOISE_H

#include <stdint.h>

enum { REEL_MT_WORDS = 624 };

struct reel_noise {
    uint32_t state[REEL_MT_WORDS]; /* mt19937 */
    double cached;                 /* the second value of a pair that a draw of fewer than 16 left over */
    uint32_t next;                 /* first word of state that is not drawn yet; REEL_MT_WORDS: none left */
    uint32_t has_cached;           /* 0 or 1 */
};

/* Not collective. What torch.Generator().manual_seed(seed) sets; only the low 32 bits of seed count. */
void reel_noise_seed(struct reel_noise *random, uint64_t seed);

/* Not collective. out[count] <- what torch.randn(count, generator=random) gives in float32: mean 0, standard
 * deviation 1. count >= 0. Draws of 16 and more values are another algorithm than shorter ones, and a count
 * that is no multiple of 16 draws its last 16 values again, so two draws are not one draw of their sum.
 * Formulas: PyTorch, normal_fill of the CPU kernels and its Cephes polynomials; Matsumoto and Nishimura
 * 1998. */
void reel_noise_normal(struct reel_noise *random, int64_t count, float *out);

#endif
