/* Matrix products on the host with SIMD vectors of 4, 8 or 16 lanes, shared by GEMM and attention.
 *
 *     const struct reel_simd *simd = reel_simd_best();
 *     simd->floats.pack_a(&x, count, a_panels);
 *     simd->floats.pack_b(&weight, count, b_panel);
 *     simd->floats.multiply(a_panel_count, count, a_panels, b_panel, y, y_stride, 0, prefetch);
 *
 * Operands are packed for the processor's caches and registers (Goto and van de Geijn, Anatomy of
 * High-Performance Matrix Multiplication, 2008). An A panel holds a_panel_rows rows of the left operand as
 * [count][a_panel_rows]. A B panel holds b_panel_columns rows of the right operand, which are columns of the
 * result, as [count][b_panel_columns]. Rows that are missing in the last panel are zero. Packing converts
 * every dtype to float, so these products know only floats.
 *
 * Every element of a result is one chain of fma over k, in order. So it depends neither on the rows and
 * columns beside it nor on the number of lanes: 8 and 16 lanes give the same bits.
 *
 * Some processors have instructions that multiply bfloat16 directly (bf16_dot). For them, two neighbours of a
 * row, k and k + 1, are one element of 32 bits. Such pairs are packed like floats, half as many of them:
 *
 *     x.dtype = REEL_F32; x.stride /= 2; count /= 2;
 *     simd->bf16_dot.pack_a(&x, count, a_panels);
 *
 * These instructions sum in an order of their own and treat denormals as 0. The bits differ from those of the
 * float products, but they too do not depend on the rows and columns beside an element. */
#ifndef REEL_SIMD_H
#define REEL_SIMD_H

#include "ops.h"

enum {
    REEL_A_PANEL_ROWS_MAX = 12, /* of `floats` */
    REEL_B_PANEL_COLUMNS_MAX = 32,
    REEL_BF16_DOT_PAIRS = 16,
    REEL_PACK_SLACK = 16, /* floats that pack_a may write beyond the last A panel */
};

/* Rows of elements; each row begins `stride` elements after the one before. */
struct reel_operand {
    const void *data;
    int64_t stride, rows;
    enum reel_dtype dtype;
    int rounds_to_fp8; /* for pack_a: rounds each element to F8_E4M3, to the nearest */
    float scale;       /* for pack_b: a factor for each element; 1 leaves them as they are */
};

/* What to prefetch during a product, because it is packed next: `count` rows of `bytes` bytes; each begins
 * `stride` bytes after the one before. A row is too short for the processor's own prefetcher. */
struct reel_prefetch {
    const void *rows;
    int64_t stride, bytes, count;
};

/* A product, and how its operands are packed. Its A panels may have a layout of its own. bf16_dot needs room
 * for `count` rounded up to a multiple of REEL_BF16_DOT_PAIRS. The B panels of both products of a table have
 * the same width. */
struct reel_simd_gemm {
    int64_t a_panel_rows;

    /* Packs the first `count` elements of each row as A panels. Packed arrays are aligned to 64 bytes. */
    void (*pack_a)(const struct reel_operand *a, int64_t count, float *a_panels);

    /* Packs the first `count` elements of at most b_panel_columns rows as a B panel. */
    void (*pack_b)(const struct reel_operand *b, int64_t count, float *b_panel);

    /* y = a b^T, or y += a b^T when `adds`. y has a_panel_count * a_panel_rows rows of b_panel_columns
     * elements. a_panel_count >= 1. prefetch may be NULL. */
    void (*multiply)(int64_t a_panel_count, int64_t count, const float *a_panels, const float *b_panel,
                     float *y, int64_t y_stride, int adds, const struct reel_prefetch prefetch[2]);
};

struct reel_simd {
    const char *name; /* of the instruction set */
    int64_t b_panel_columns;
    struct reel_simd_gemm floats;
    struct reel_simd_gemm bf16_dot; /* pairs of bfloat16; multiply is NULL where no instruction does it */

    /* Packs the transpose: the rows' first `columns` columns become the rows of A panels, in the layout of
     * `floats`. */
    void (*pack_a_transposed)(const struct reel_operand *a, int64_t columns, float *a_panels);

    /* One tile of an online softmax (Milakov and Gimelshein 2018) for a B panel of queries, in powers of two.
     * It raises maximum [b_panel_columns] to the largest of scores [keys, b_panel_columns] and replaces each
     * score by 2^(score - maximum). It rescales weight [b_panel_columns], the sum of the powers so far, to
     * the new maximum and adds the new powers to it. It rescales sums [channels, b_panel_columns] too. */
    void (*online_softmax)(int64_t keys, int64_t channels, float *scores, float *maximum, float *weight,
                           float *sums);
};

/* The fastest table that this processor supports, of those whose bf16_dot agrees with their floats. Every
 * call returns the same one. Any thread may call it. */
const struct reel_simd *reel_simd_best(void);

/* Whether the bf16_dot product of a test matrix equals the float product, up to rounding. */
int reel_simd_agree(const struct reel_simd *simd);

/* The tables of all instruction sets that the program was built for. reel_simd_best knows which of them the
 * processor supports. */
extern const struct reel_simd reel_simd_4;
#ifdef REEL_SIMD_X86
extern const struct reel_simd reel_simd_8, reel_simd_16, reel_simd_16_bf16, reel_simd_amx;

/* Whether the processor has AMX for bfloat16 and the system lets this process use it. The first call asks the
 * system. */
int reel_amx_is_usable(void);
#endif

#endif
