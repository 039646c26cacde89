/* Which vectors this processor has, and whether its products of bfloat16 are what lanes.h says. */
#include "lanes.h"
#include "narrow.h"

#include <pthread.h>

#ifdef REEL_LANES_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* A small product, of two strips, whose pairs are not whole pieces and whose rows are not whole blocks. */
enum { TRIAL_ROWS = 33, TRIAL_PAIRS = 35, TRIAL_COLUMNS = 40, TRIAL_MOST = 64 };

struct trial {
    uint16_t x[TRIAL_ROWS][2 * TRIAL_PAIRS], weight[TRIAL_COLUMNS][2 * TRIAL_PAIRS];
};

/* Between -1 and 1. */
static void fill(uint16_t *numbers, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        numbers[i] = reel_round_bf16((float)(seed >> 8) * 0x1p-23f - 1.0f);
    }
}

/* sums [TRIAL_MOST, TRIAL_MOST] = 2 x weight^T, as the sum of two products. */
static void multiply_by(const struct reel_lanes *lanes, const struct reel_product *product,
                        const struct trial *trial, float *sums)
{
    static const struct reel_ahead none[2];
    _Alignas(64) float blocks[TRIAL_MOST * 2 * TRIAL_PAIRS + REEL_PACK_SLACK];
    _Alignas(64) float strip[REEL_STRIP_COLUMNS_MOST * 2 * TRIAL_PAIRS];
    int is_pairs = product == &lanes->pairs;
    int64_t count = is_pairs ? TRIAL_PAIRS : 2 * TRIAL_PAIRS, columns = lanes->strip_columns;
    struct reel_operand x = {.scale = 1,
                             .numbers = trial->x,
                             .stride = count,
                             .rows = TRIAL_ROWS,
                             .precision = is_pairs ? REEL_FP32 : REEL_BFLOAT16};
    product->pack_blocks(&x, count, blocks);
    for (int64_t c = 0; c < TRIAL_COLUMNS; c += columns) {
        struct reel_operand weight = x;
        weight.numbers = trial->weight[c];
        weight.rows = TRIAL_COLUMNS - c < columns ? TRIAL_COLUMNS - c : columns;
        product->pack_strip(&weight, count, strip);
        for (int adds = 0; adds < 2; adds++)
            product->multiply((TRIAL_ROWS + product->block_rows - 1) / product->block_rows, count, blocks,
                              strip, sums + c, TRIAL_MOST, adds, none);
    }
}

int reel_lanes_agree(const struct reel_lanes *lanes)
{
    _Alignas(64) struct trial trial;
    _Alignas(64) float floats[TRIAL_MOST * TRIAL_MOST], pairs[TRIAL_MOST * TRIAL_MOST];
    fill(trial.x[0], TRIAL_ROWS * 2 * TRIAL_PAIRS, 1);
    fill(trial.weight[0], TRIAL_COLUMNS * 2 * TRIAL_PAIRS, 2);
    multiply_by(lanes, &lanes->floats, &trial, floats);
    multiply_by(lanes, &lanes->pairs, &trial, pairs);
    double error = 0, size = 0;
    for (int64_t r = 0; r < TRIAL_ROWS; r++)
        for (int64_t c = 0; c < TRIAL_COLUMNS; c++) {
            double right = (double)floats[r * TRIAL_MOST + c], found = (double)pairs[r * TRIAL_MOST + c];
            error += (found - right) * (found - right);
            size += right * right;
        }
    return error < 1e-10 * size; /* not where it is no number */
}

#ifdef REEL_LANES_X86
/* Of AMX, in what cpuid says and in what the system keeps of a thread (XCR0): bits of cpuid leaf 7, the number
 * of the state of tiles, and Linux's word for being allowed it (arch_prctl). */
enum {
    AMX_BF16 = 1 << 22,
    AMX_TILE = 1 << 24,
    TILE_SHAPES = 17,
    TILE_DATA = 18,
    ARCH_REQ_XCOMP_PERM = 0x1023
};

int reel_tiles_are_here(void)
{
    unsigned a, b, c, d, low, high;
    if (!__builtin_cpu_supports("x86-64-v4") || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!(d & AMX_BF16) || !(d & AMX_TILE))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    unsigned kept = 1u << TILE_SHAPES | 1u << TILE_DATA;
    return (low & kept) == kept && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}
#endif

static const struct reel_lanes *fastest(void)
{
#ifdef REEL_LANES_X86
    if (reel_tiles_are_here() && reel_lanes_agree(&reel_lanes_amx))
        return &reel_lanes_amx;
    if (__builtin_cpu_supports("x86-64-v4"))
        return __builtin_cpu_supports("avx512bf16") && reel_lanes_agree(&reel_lanes_16_bf16)
                   ? &reel_lanes_16_bf16
                   : &reel_lanes_16;
    if (__builtin_cpu_supports("x86-64-v3"))
        return &reel_lanes_8;
#endif
    return &reel_lanes_4;
}

static const struct reel_lanes *here;

static void choose(void)
{
    here = fastest();
}

const struct reel_lanes *reel_lanes_here(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return here;
}
