/* Which SIMD table this processor supports, and whether its bf16_dot products are what simd.h says. */
#include "simd.h"
#include "float_convert.h"

#include <pthread.h>

#ifdef REEL_SIMD_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* A small product of two B panels, whose pairs do not fill whole pieces and whose rows do not fill whole
 * A panels. */
enum { TRIAL_ROWS = 33, TRIAL_PAIRS = 35, TRIAL_COLUMNS = 40, TRIAL_MAX = 64 };

struct trial {
    uint16_t x[TRIAL_ROWS][2 * TRIAL_PAIRS], weight[TRIAL_COLUMNS][2 * TRIAL_PAIRS];
};

/* Fills data with pseudo-random bfloat16 between -1 and 1. */
static void fill_bf16(uint16_t *data, int64_t count, uint32_t seed)
{
    for (int64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = reel_round_bf16((float)(seed >> 8) * 0x1p-23f - 1.0f);
    }
}

/* sums [TRIAL_MAX, TRIAL_MAX] = 2 x weight^T, as the sum of two equal products. */
static void multiply_by(const struct reel_simd *simd, const struct reel_simd_gemm *product,
                        const struct trial *trial, float *sums)
{
    static const struct reel_prefetch none[2];
    _Alignas(64) float a_panels[TRIAL_MAX * 2 * TRIAL_PAIRS + REEL_PACK_SLACK];
    _Alignas(64) float b_panel[REEL_B_PANEL_COLUMNS_MAX * 2 * TRIAL_PAIRS];
    int is_bf16_dot = product == &simd->bf16_dot;
    int64_t count = is_bf16_dot ? TRIAL_PAIRS : 2 * TRIAL_PAIRS, columns = simd->b_panel_columns;
    struct reel_operand x = {.scale = 1,
                             .data = trial->x,
                             .stride = count,
                             .rows = TRIAL_ROWS,
                             .dtype = is_bf16_dot ? REEL_F32 : REEL_BF16};
    product->pack_a(&x, count, a_panels);
    for (int64_t c = 0; c < TRIAL_COLUMNS; c += columns) {
        struct reel_operand weight = x;
        weight.data = trial->weight[c];
        weight.rows = TRIAL_COLUMNS - c < columns ? TRIAL_COLUMNS - c : columns;
        product->pack_b(&weight, count, b_panel);
        for (int adds = 0; adds < 2; adds++)
            product->multiply((TRIAL_ROWS + product->a_panel_rows - 1) / product->a_panel_rows, count,
                              a_panels, b_panel, sums + c, TRIAL_MAX, adds, none);
    }
}

int reel_simd_agree(const struct reel_simd *simd)
{
    _Alignas(64) struct trial trial;
    _Alignas(64) float floats[TRIAL_MAX * TRIAL_MAX], bf16_dot[TRIAL_MAX * TRIAL_MAX];
    fill_bf16(trial.x[0], TRIAL_ROWS * 2 * TRIAL_PAIRS, 1);
    fill_bf16(trial.weight[0], TRIAL_COLUMNS * 2 * TRIAL_PAIRS, 2);
    multiply_by(simd, &simd->floats, &trial, floats);
    multiply_by(simd, &simd->bf16_dot, &trial, bf16_dot);
    double error = 0, size = 0;
    for (int64_t r = 0; r < TRIAL_ROWS; r++)
        for (int64_t c = 0; c < TRIAL_COLUMNS; c++) {
            double right = (double)floats[r * TRIAL_MAX + c], found = (double)bf16_dot[r * TRIAL_MAX + c];
            error += (found - right) * (found - right);
            size += right * right;
        }
    return error < 1e-10 * size; /* false where error is NaN */
}

#ifdef REEL_SIMD_X86
/* For AMX: bits of cpuid leaf 7, the numbers of the tile states in XCR0 (what the system saves of a thread),
 * and Linux's request for permission to use AMX (arch_prctl). */
enum {
    AMX_BF16 = 1 << 22,
    AMX_TILE = 1 << 24,
    TILE_SHAPES = 17,
    TILE_DATA = 18,
    ARCH_REQ_XCOMP_PERM = 0x1023
};

int reel_amx_is_usable(void)
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

static const struct reel_simd *fastest(void)
{
#ifdef REEL_SIMD_X86
    if (reel_amx_is_usable() && reel_simd_agree(&reel_simd_amx))
        return &reel_simd_amx;
    if (__builtin_cpu_supports("x86-64-v4"))
        return __builtin_cpu_supports("avx512bf16") && reel_simd_agree(&reel_simd_16_bf16)
                   ? &reel_simd_16_bf16
                   : &reel_simd_16;
    if (__builtin_cpu_supports("x86-64-v3"))
        return &reel_simd_8;
#endif
    return &reel_simd_4;
}

static const struct reel_simd *chosen;

static void choose_simd(void)
{
    chosen = fastest();
}

const struct reel_simd *reel_simd_best(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_simd);
    return chosen;
}
