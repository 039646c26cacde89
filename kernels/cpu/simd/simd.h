/* Matrix products on the host by vectors of 4, 8 or 16 numbers, their lanes: what GEMM and attention share.
 *
 *     const struct reel_simd *lanes = reel_simd_best();
 *     lanes->floats.pack_blocks(&x, count, blocks);
 *     lanes->floats.pack_strip(&weight, count, strip);
 *     lanes->floats.multiply(block_count, count, blocks, strip, y, stride, 0, ahead);
 *
 * Operands are packed for the processor's caches and registers (Goto and van de Geijn, Anatomy of
 * High-Performance Matrix Multiplication, 2008): `block_rows` rows of one as a block [count][block_rows],
 * `strip_columns` rows of the other, which are columns of the result, as a strip [count][strip_columns]. What
 * is missing to a whole block or strip is zero. Packing widens and rounds, so these products know only floats.
 *
 * Every number of a result is one chain of fused multiplications and additions over k, in order, so it does
 * not depend on the rows and columns beside it, nor on the number of lanes: 8 and 16 give the same bits.
 *
 * Processors with instructions for bfloat16 multiply it as it is: two neighbours of a row, k and k + 1, are
 * one number of 32 bits, and so are packed as floats are, half as many of them:
 *
 *     x.precision = REEL_FP32; x.stride /= 2; count /= 2;
 *     lanes->pairs.pack_blocks(&x, count, blocks);
 *
 * These sums are in the processor's own order, and what is denormal is 0 to them: their bits are not those of
 * floats, but as much a row's own. */
#ifndef REEL_SIMD_H
#define REEL_SIMD_H

#include "ops.h"

enum {
    REEL_A_PANEL_ROWS_MAX = 12, /* of floats */
    REEL_B_PANEL_COLUMNS_MAX = 32,
    REEL_BF16_DOT_PAIRS = 16,
    REEL_PACK_SLACK = 16, /* floats that pack_blocks may write behind its blocks */
};

/* Rows of numbers, each from `stride` numbers behind the one before. */
struct reel_operand {
    const void *data;
    int64_t stride, rows;
    enum reel_precision precision;
    int rounds_to_fp8; /* of blocks, each number to the nearest of F8_E4M3 */
    float scale;       /* of a strip: what its numbers are multiplied by; 1 leaves them */
};

/* What is packed next, to be brought near meanwhile: `count` rows of so many bytes, each from `stride` bytes
 * behind the one before. Rows of a matrix are too short for the processor to foresee. */
struct reel_prefetch {
    const void *rows;
    int64_t stride, bytes, count;
};

/* A product, and how its operands are packed: blocks may lie in an order of its own, and pairs need room for
 * `count` rounded up to a multiple of REEL_BF16_DOT_PAIRS. Strips of both products of a table are of one width. */
struct reel_simd_gemm {
    int64_t a_panel_rows;

    /* The first `count` numbers of each row, as blocks. Arrays of packed numbers are aligned to 64 bytes. */
    void (*pack_a)(const struct reel_operand *a, int64_t count, float *a_panels);

    /* At most strip_columns rows. */
    void (*pack_b)(const struct reel_operand *b, int64_t count, float *b_panel);

    /* y = a b^T, or y += a b^T: y has block_count * block_rows rows of strip_columns numbers. block_count >= 1;
     * ahead may be NULL. */
    void (*multiply)(int64_t a_panel_count, int64_t count, const float *a_panels, const float *b_panel,
                     float *y, int64_t y_stride, int adds, const struct reel_prefetch prefetch[2]);
};

struct reel_simd {
    const char *name; /* of the instruction set */
    int64_t b_panel_columns;
    struct reel_simd_gemm floats;
    struct reel_simd_gemm bf16_dot; /* of bfloat16; multiply is NULL where there is no instruction for them */

    /* The rows' first `columns` columns as rows of the blocks of floats: the transpose. */
    void (*pack_a_transposed)(const struct reel_operand *a, int64_t columns, float *a_panels);

    /* One tile of an online softmax (Milakov and Gimelshein 2018) for a strip of queries, in powers of two:
     * takes the largest of scores [keys, strip_columns] into maximum [strip_columns], turns scores into
     * 2^(score - maximum), and brings weight [strip_columns], their sum so far, and the sums
     * [channels, strip_columns] to the new maximum. */
    void (*online_softmax)(int64_t keys, int64_t channels, float *scores, float *maximum, float *weight,
                           float *sums);
};

/* The fastest that this processor has, of those whose pairs agree with their floats; the same at every call.
 * Any number of threads may call it. */
const struct reel_simd *reel_simd_best(void);

/* Whether a product of pairs is that of the same numbers as floats, up to rounding. */
int reel_simd_agree(const struct reel_simd *simd);

/* Those of every instruction set that the program was built for; whether the processor has it is
 * reel_simd_best's to know. */
extern const struct reel_simd reel_simd_4;
#ifdef REEL_SIMD_X86
extern const struct reel_simd reel_simd_8, reel_simd_16, reel_simd_16_bf16, reel_simd_amx;

/* Whether it has AMX for bfloat16 and the system lets this process use it. The first call asks the system. */
int reel_amx_is_usable(void);
#endif

#endif
