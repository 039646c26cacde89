/* Rounding to 16 and to 8 bits, compared with a search for the nearest value. */
#include "dtype.h"
#include "test.h"

#include <math.h>
#include <string.h>

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The code of F8_E4M3 that is nearest to a finite value, and the even one of two equally near. Tries every
 * code. */
static uint8_t nearest_e4m3(float value)
{
    uint8_t nearest = 0;
    double min = (double)INFINITY, size = fabs((double)value);
    for (int code = 0; code < 0x7f; code++) {
        double away = fabs((double)reel_float_from_f8_e4m3((uint8_t)code) - size);
        if (away < min || (away <= min && code % 2 == 0)) {
            min = away;
            nearest = (uint8_t)code;
        }
    }
    return (uint8_t)(nearest | (signbit(value) ? 0x80 : 0));
}

static void every_code_is_rounded_to_itself(void)
{
    for (int code = 0; code < 256; code++) {
        uint8_t found = reel_f8_e4m3_from_float(reel_float_from_f8_e4m3((uint8_t)code));
        CHECK(found == code, "%02x becomes %02x", (unsigned)code, (unsigned)found);
    }
}

static void halfway_between_two_codes_the_even_one_is_taken(void)
{
    for (int code = 0; code < 0x7e; code++) {
        float low = reel_float_from_f8_e4m3((uint8_t)code),
              high = reel_float_from_f8_e4m3((uint8_t)(code + 1));
        float middle = 0.5f * (low + high);
        int even = code % 2 ? code + 1 : code;
        for (int sign = 0; sign < 2; sign++) {
            float turn = sign ? -1.0f : 1.0f;
            int at = reel_f8_e4m3_from_float(turn * middle),
                below = reel_f8_e4m3_from_float(turn * nextafterf(middle, 0)),
                above = reel_f8_e4m3_from_float(turn * nextafterf(middle, 1000));
            CHECK(at == (even | sign << 7), "halfway after %02x is %02x", (unsigned)code, (unsigned)at);
            CHECK(below == (code | sign << 7), "below halfway after %02x is %02x", (unsigned)code,
                  (unsigned)below);
            CHECK(above == ((code + 1) | sign << 7), "above halfway after %02x is %02x", (unsigned)code,
                  (unsigned)above);
        }
    }
}

/* Tests every 4099th float: these have all exponents, and fractions without a pattern. */
static void floats_are_rounded_to_the_nearest_code(void)
{
    int64_t wrong = 0, finite = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 4099) {
        float value = float_of((uint32_t)bits);
        if (!isfinite(value))
            continue;
        finite++;
        if (reel_f8_e4m3_from_float(value) != nearest_e4m3(value) && wrong++ == 0)
            CHECK(0, "%a becomes %02x, not %02x", (double)value, (unsigned)reel_f8_e4m3_from_float(value),
                  (unsigned)nearest_e4m3(value));
    }
    CHECK(wrong == 0 && finite > 1000000, "%lld of %lld are wrong", (long long)wrong, (long long)finite);
    CHECK(nearest_e4m3(0.3f) != reel_f8_e4m3_from_float(0.35f), "a perturbed number passes");
}

static void beyond_the_largest_it_is_the_largest_and_nan_stays_nan(void)
{
    CHECK(reel_f8_e4m3_from_float(INFINITY) == 0x7e && reel_f8_e4m3_from_float(-INFINITY) == 0xfe,
          "infinity");
    CHECK(reel_f8_e4m3_from_float(1e30f) == 0x7e && reel_f8_e4m3_from_float(-449) == 0xfe, "large");
    CHECK(isnan(reel_float_from_f8_e4m3(reel_f8_e4m3_from_float(NAN))), "NaN");
    CHECK(isnan(reel_float_from_f8_e4m3(reel_f8_e4m3_from_float(float_of(0x7f800001u)))), "signalling NaN");
}

/* A float lies between two bfloat16 values: the nearer one is right, and of two equally near the even one. */
static void floats_are_rounded_to_the_nearest_bfloat16(void)
{
    int64_t wrong = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 257) {
        float value = float_of((uint32_t)bits);
        uint16_t down = (uint16_t)(bits >> 16), found = reel_bf16_from_float(value);
        if (isnan(value)) {
            wrong += !isnan(reel_float_from_bf16(found));
            continue;
        }
        uint64_t rest = bits & 0xffffu;
        int up = rest > 0x8000u || (rest == 0x8000u && down % 2 == 1);
        wrong += isfinite(value) && found != (uint16_t)(down + up);
        wrong += isinf(value) && found != down;
    }
    CHECK(wrong == 0, "%lld are wrong", (long long)wrong);
    CHECK(reel_bf16_from_float(float_of(0x3f808000u)) == 0x3f80 &&
              reel_bf16_from_float(float_of(0x3f818000u)) == 0x3f82,
          "halfway");
}

int main(void)
{
    RUN(every_code_is_rounded_to_itself);
    RUN(halfway_between_two_codes_the_even_one_is_taken);
    RUN(floats_are_rounded_to_the_nearest_code);
    RUN(beyond_the_largest_it_is_the_largest_and_nan_stays_nan);
    RUN(floats_are_rounded_to_the_nearest_bfloat16);
    return test_end();
}
