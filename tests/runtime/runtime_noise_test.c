/* The noise is torch's, bit for bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noise.h"
#include "reference_file.h"
#include "test.h"

enum { LONGEST = 4099 };

/* The number of elements whose bits differ. */
static int64_t differing(const float *a, const float *b, int64_t count)
{
    int64_t differ = 0;
    for (int64_t i = 0; i < count; i++)
        differ += memcmp(a + i, b + i, sizeof *a) != 0;
    return differ;
}

static void successive_draws_are_those_of_torch(void)
{
    static const uint64_t seeds[] = {0, 42, 1234567890123};
    static const int64_t counts[] = {1, 5, 15, 16, 17, 31, 32, 100, 4096, LONGEST, 7};
    struct reference_file *file = reference_open_named("torch_randn.safetensors");
    int64_t met = 0;
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        struct reel_noise random;
        reel_noise_seed(&random, seeds[s]);
        for (size_t d = 0; d < sizeof counts / sizeof *counts; d++, met++) {
            char name[64];
            float drawn[LONGEST];
            snprintf(name, sizeof name, "seed%llu.draw%zu.n%lld", (unsigned long long)seeds[s], d,
                     (long long)counts[d]);
            const float *expected = reference_data(file, name, REEL_F32);
            reel_noise_normal(&random, counts[d], drawn);
            CHECK(differing(drawn, expected, counts[d]) == 0, "%s: %lld values differ", name,
                  (long long)differing(drawn, expected, counts[d]));
            drawn[counts[d] - 1] = nextafterf(drawn[counts[d] - 1], 9);
            CHECK(differing(drawn, expected, counts[d]) == 1, "%s: a last bit goes unnoticed", name);
        }
    }
    CHECK(met == reference_tensors(file), "%lld draws of %lld", (long long)met,
          (long long)reference_tensors(file));
    reference_close(file);
}

static void check_bits(uint64_t seed, int64_t count, const uint32_t *bits, int64_t known)
{
    struct reel_noise random;
    float drawn[16];
    reel_noise_seed(&random, seed);
    reel_noise_normal(&random, count, drawn);
    for (int64_t i = 0; i < known; i++) {
        uint32_t got;
        memcpy(&got, drawn + i, sizeof got);
        CHECK(got == bits[i], "seed %llu, element %lld of %lld: %08x, expected %08x",
              (unsigned long long)seed, (long long)i, (long long)count, got, bits[i]);
    }
}

static void known_seeds_give_known_bits(void)
{
    static const uint32_t block[16] = {0x3ff6a529, 0x3fbe5f53, 0x3f669567, 0xc006c0db, 0x3f2dacd5, 0xbf9e0591,
                                       0xbd306786, 0xbfcd65ba, 0xbf408bf0, 0x3fd3095b, 0xbec8f2f6, 0xbfb3a966,
                                       0xbf3a566e, 0xbf0f36d1, 0xbf44d2a0, 0x3f432f9f};
    static const uint32_t few[5] = {0x3eac62ae, 0x3e03e69d, 0x3e7016e7, 0x3e6bdc6c, 0xbf8fb9c2};
    static const uint32_t one[1] = {0xbe165174};
    check_bits(42, 16, block, 16);
    check_bits(42, 15, few, 5);
    check_bits(7, 1, one, 1);
}

static void only_the_low_32_bits_of_a_seed_count(void)
{
    struct reel_noise low, high, other;
    reel_noise_seed(&low, 42);
    reel_noise_seed(&high, 42 + (UINT64_C(7) << 32));
    reel_noise_seed(&other, 43);
    CHECK(memcmp(&low, &high, sizeof low) == 0, "seeds equal mod 2^32 differ");
    CHECK(memcmp(&low, &other, sizeof low) != 0, "seeds 42 and 43 agree");
}

static void a_saved_generator_goes_on_where_it_was(void)
{
    struct reel_noise random, saved;
    float ahead[53], again[53];
    reel_noise_seed(&random, 5);
    reel_noise_normal(&random, 3, ahead); /* leaves the second value of a pair in the cache */
    memcpy(&saved, &random, sizeof saved);
    reel_noise_normal(&random, 33, ahead);
    reel_noise_normal(&random, 7, ahead + 33);
    reel_noise_normal(&saved, 33, again);
    reel_noise_normal(&saved, 7, again + 33);
    CHECK(differing(ahead, again, 40) == 0, "%lld values differ", (long long)differing(ahead, again, 40));
    CHECK(memcmp(&random, &saved, sizeof saved) == 0, "the generators end in different states");
    reel_noise_normal(&saved, 0, again);
    CHECK(memcmp(&random, &saved, sizeof saved) == 0, "drawing nothing moves the generator");
}

static void a_latent_of_noise_has_mean_0_and_variance_1(void)
{
    int64_t count = 16 * 25 * 34 * 60;
    float *noise = malloc((size_t)count * sizeof *noise);
    struct reel_noise random;
    double sum = 0, squares = 0;
    reel_noise_seed(&random, 1);
    reel_noise_normal(&random, count, noise);
    for (int64_t i = 0; i < count; i++) {
        sum += (double)noise[i];
        squares += (double)noise[i] * (double)noise[i];
    }
    CHECK(fabs(sum / (double)count) < 5e-3, "mean %g", sum / (double)count);
    CHECK(fabs(squares / (double)count - 1) < 1e-2, "variance %g", squares / (double)count);
    free(noise);
}

int main(void)
{
    RUN(successive_draws_are_those_of_torch);
    RUN(known_seeds_give_known_bits);
    RUN(only_the_low_32_bits_of_a_seed_count);
    RUN(a_saved_generator_goes_on_where_it_was);
    RUN(a_latent_of_noise_has_mean_0_and_variance_1);
    return test_end();
}
