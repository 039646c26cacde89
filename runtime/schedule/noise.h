/* The noise of torch.randn on a CPU generator, bit for bit.
 *
 * A job's seed means the float32 noise that PyTorch's CPU generator gives for it (in builds for x86 with
 * AVX2, as all current ones are): mt19937, uniform values of 24 bits, Box and Muller's transform in blocks
 * of 16. The noise depends on neither the number of ranks nor the device, so every rank draws all of it
 * and keeps what it needs.
 *
 *     struct reel_noise random;
 *     reel_noise_seed(&random, 42);
 *     reel_noise_normal(&random, 16 * 25 * 68 * 120, noise);    torch.randn(16, 25, 68, 120, generator=g)
 *
 * The generator is a value without pointers or padding: its bytes can be written to a checkpoint and read
 * back. */
#ifndef REEL_NOISE_H
#define REEL_NOISE_H

#include <stdint.h>

enum { REEL_MT_WORDS = 624 };

struct reel_noise {
    uint32_t state[REEL_MT_WORDS]; /* mt19937 */
    double cached;                 /* second value of a pair, left over from a draw of fewer than 16 values */
    uint32_t next;                 /* first word of state that is not drawn yet; REEL_MT_WORDS: none left */
    uint32_t has_cached;           /* 0 or 1 */
};

/* Not collective. Sets the generator as torch.Generator().manual_seed(seed) does; only the low 32 bits of
 * seed count. */
void reel_noise_seed(struct reel_noise *random, uint64_t seed);

/* Not collective. out[count] <- the float32 values of torch.randn(count, generator=random): mean 0,
 * standard deviation 1. count >= 0. A draw of 16 or more values uses another algorithm than a shorter one,
 * and a count that is not a multiple of 16 draws its last 16 values again, so two draws are not the same
 * as one draw of their sum. Formulas: PyTorch, normal_fill of the CPU kernels and its Cephes polynomials;
 * Matsumoto and Nishimura 1998. */
void reel_noise_normal(struct reel_noise *random, int64_t count, float *out);

#endif
