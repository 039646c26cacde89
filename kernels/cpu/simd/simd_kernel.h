/* simd.h for one number of lanes. A file includes this one after it has defined LANES, ROWS, NAME and TABLE;
 * it is compiled for one instruction set. A product holds its sums in ROWS * 2 vectors; the processor needs
 * registers for these and three more. For bf16_dot products the file also defines either BF16_DOT(sum, x, y),
 * which returns sum plus both products of each lane's pairs, or the macros of simd_amx.h. */
#include "elements.h"
#include "simd.h"
#include "tiles.h"

#if defined(__SSE__)
#include <immintrin.h>
#endif

enum { COLUMNS = 2 * LANES, LINE_BYTES = 64 };

_Static_assert(ROWS <= LANES && LANES <= (int)REEL_PACK_SLACK && ROWS <= (int)REEL_A_PANEL_ROWS_MAX &&
                   (int)COLUMNS <= (int)REEL_B_PANEL_COLUMNS_MAX,
               "a vector holds an A panel's rows");
_Static_assert(REEL_TILE_ROWS % ROWS == 0 && REEL_KEY_TILE % ROWS == 0 && REEL_A_PANEL_ROWS_MAX % ROWS == 0 &&
                   (int)REEL_TILE_COLUMNS % (int)COLUMNS == 0 && (int)REEL_QUERY_TILE % (int)COLUMNS == 0,
               "the scratch has room for tiles of whole A and B panels");

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef float vector_anywhere __attribute__((vector_size(4 * LANES), aligned(4)));
typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2)));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *from)
{
    return *(const vector_anywhere *)from;
}

INLINE void store(float *to, vector x)
{
    *(vector_anywhere *)to = x;
}

INLINE vector broadcast(float x)
{
    return x - (vector){0};
}

/* The maximum of each lane; b where either is NaN. */
INLINE vector vmax(vector a, vector b)
{
#if LANES == 16 && defined(__AVX512F__)
    return (vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif LANES == 8 && defined(__AVX__)
    return (vector)_mm256_max_ps((__m256)a, (__m256)b);
#elif LANES == 4 && defined(__SSE__)
    return (vector)_mm_max_ps((__m128)a, (__m128)b);
#else
    bits takes_a = (bits)(a > b);
    return (vector)(((bits)a & takes_a) | ((bits)b & ~takes_a));
#endif
}

#if LANES == 16
#define EVERY(f, s)                                                                                          \
    {                                                                                                        \
        f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s), f(8, s), f(9, s), f(10, s),  \
            f(11, s), f(12, s), f(13, s), f(14, s), f(15, s)                                                 \
    }
#elif LANES == 8
#define EVERY(f, s)                                                                                          \
    {                                                                                                        \
        f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s)                               \
    }
#else
#define EVERY(f, s)                                                                                          \
    {                                                                                                        \
        f(0, s), f(1, s), f(2, s), f(3, s)                                                                   \
    }
#endif
#define LOWER(p, s) ((p) & (s) ? LANES + (p) - (s) : (p))
#define UPPER(p, s) ((p) & (s) ? LANES + (p) : (p) + (s))

/* One step of a transpose: swaps bit s of the row index with bit s of the column index. */
#define EXCHANGE(t, s)                                                                                       \
    for (int i = 0; i < LANES; i++)                                                                          \
        if (!(i & (s))) {                                                                                    \
            vector a = (t)[i], b = (t)[i + (s)];                                                             \
            (t)[i] = __builtin_shuffle(a, b, (bits)EVERY(LOWER, s));                                         \
            (t)[i + (s)] = __builtin_shuffle(a, b, (bits)EVERY(UPPER, s));                                   \
        }

INLINE void transpose(vector t[LANES])
{
    EXCHANGE(t, 1)
    EXCHANGE(t, 2)
#if LANES >= 8
    EXCHANGE(t, 4)
#endif
#if LANES >= 16
    EXCHANGE(t, 8)
#endif
}

/* LANES elements of a row, as floats. */
INLINE vector numbers_at(const void *data, enum reel_dtype dtype, int64_t at)
{
    float some[LANES];
    if (dtype == REEL_F32)
        return load((const float *)data + at);
    if (dtype == REEL_BF16)
        return (vector)(__builtin_convertvector(*(const halves *)((const uint16_t *)data + at), bits) << 16);
    for (int64_t i = 0; i < LANES; i++)
        some[i] = reel_number(data, at + i, dtype);
    return load(some);
}

/* to[i * step + r] = element k + i of row first + r, for LANES elements of `rows` rows. It stores whole
 * vectors: the lanes beyond `rows` overwrite what follows. */
INLINE void transpose_whole(const struct reel_operand *a, enum reel_dtype dtype, int64_t first, int rows,
                            int64_t k, float *to, int64_t step)
{
    vector t[LANES];
    int64_t at = first * a->stride + k;
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) {
        t[r] = r < rows ? numbers_at(a->data, dtype, at) : (vector){0};
        at += a->stride;
    }
    transpose(t);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        store(to + i * step, t[i]);
}

/* The same for `count` elements, where rows or elements are missing: missing rows are zero. A function of its
 * own, to keep it out of the way of the frequent case. */
static __attribute__((noinline)) void transpose_part(const struct reel_operand *a, int64_t first, int rows,
                                                     int64_t k, int64_t count, float *to, int64_t step)
{
    for (int64_t i = 0; i < count; i++)
        for (int r = 0; r < rows; r++)
            to[i * step + r] =
                first + r < a->rows ? reel_number(a->data, (first + r) * a->stride + k + i, a->dtype) : 0;
}

/* transpose_whole stores a whole vector for each k; the store of the next k overwrites the lanes beyond
 * `rows`. */
INLINE void transpose_rows(const struct reel_operand *a, enum reel_dtype dtype, int64_t first, int rows,
                           int64_t count, float *to, int64_t step)
{
    int64_t whole = first + rows <= a->rows ? count - count % LANES : 0;
    for (int64_t k = 0; k < whole; k += LANES)
        transpose_whole(a, dtype, first, rows, k, to + k * step, step);
    transpose_part(a, first, rows, whole, count - whole, to + whole * step, step);
}

INLINE void a_panels_of(const struct reel_operand *a, enum reel_dtype dtype, int64_t count, float *a_panels)
{
    for (int64_t first = 0; first < a->rows; first += ROWS)
        transpose_rows(a, dtype, first, ROWS, count, a_panels + first * count, ROWS);
}

INLINE void b_panel_of(const struct reel_operand *b, enum reel_dtype dtype, int64_t count, float *b_panel)
{
    for (int first = 0; first < COLUMNS; first += LANES)
        transpose_rows(b, dtype, first, LANES, count, b_panel + first, COLUMNS);
}

/* The loop over rows is the outer one, because rows are read from far memory. A vector is stored for each row
 * of an A panel, and the next store overwrites its excess lanes. The excess of the last row would overwrite
 * the beginning of the next A panel, so that row is not stored by vectors. */
INLINE void a_panels_transposed(const struct reel_operand *a, enum reel_dtype dtype, int64_t columns,
                                float *a_panels)
{
    int64_t whole = columns < LANES ? 0 : (columns - LANES) / ROWS * ROWS + ROWS;
    for (int64_t k = 0; k < a->rows; k++)
        for (int64_t first = 0; first < columns; first += ROWS) {
            float *to = a_panels + first * a->rows + k * ROWS;
            if (first < whole && k + 1 < a->rows)
                store(to, numbers_at(a->data, dtype, k * a->stride + first));
            else
                for (int r = 0; r < ROWS; r++)
                    to[r] =
                        first + r < columns ? reel_number(a->data, k * a->stride + first + r, a->dtype) : 0;
        }
}

#define BY_DTYPE(function, operand, ...)                                                                     \
    do {                                                                                                     \
        if ((operand)->dtype == REEL_F32)                                                                    \
            function(operand, REEL_F32, __VA_ARGS__);                                                        \
        else if ((operand)->dtype == REEL_BF16)                                                              \
            function(operand, REEL_BF16, __VA_ARGS__);                                                       \
        else                                                                                                 \
            function(operand, REEL_F8_E4M3, __VA_ARGS__);                                                    \
    } while (0)

static void pack_a(const struct reel_operand *a, int64_t count, float *a_panels)
{
    BY_DTYPE(a_panels_of, a, count, a_panels);
    int64_t data = (a->rows + ROWS - 1) / ROWS * ROWS * count;
    for (int64_t i = 0; i < data && a->rounds_to_fp8; i++)
        a_panels[i] = reel_widen_e4m3(reel_round_e4m3(a_panels[i]));
}

static void pack_a_transposed(const struct reel_operand *a, int64_t columns, float *a_panels)
{
    BY_DTYPE(a_panels_transposed, a, columns, a_panels);
}

static void pack_b(const struct reel_operand *b, int64_t count, float *b_panel)
{
    BY_DTYPE(b_panel_of, b, count, b_panel);
    for (int64_t i = 0; i < count * COLUMNS && b->scale != 1; i++)
        b_panel[i] *= b->scale;
}

/* x y + sum, rounded once where the instruction set has fma. Explicit, because the compiler would fuse some
 * products and not others, and other numbers of lanes would give other bits. */
INLINE vector vfma(vector x, vector y, vector sum)
{
#if LANES == 16 && defined(__AVX512F__)
    return (vector)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)sum);
#elif LANES == 8 && defined(__FMA__)
    return (vector)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)sum);
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    for (int i = 0; i < LANES; i++)
        sum[i] = __builtin_fmaf(x[i], y[i], sum[i]);
    return sum;
#else
    return x * y + sum;
#endif
}

INLINE vector add_product(vector sum, vector x, vector y)
{
    return vfma(x, y, sum);
}

/* Adds the products of one k of an A panel and a B panel to the sums. */
INLINE void step(const float *a_panel, const float *b_panel, vector sum[ROWS][2],
                 vector (*add)(vector sum, vector x, vector y))
{
    vector left = load(b_panel), right = load(b_panel + LANES);
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
        vector x = broadcast(a_panel[r]);
        sum[r][0] = add(sum[r][0], x, left);
        sum[r][1] = add(sum[r][1], x, right);
    }
}

INLINE void multiply_panels(int64_t count, const float *a_panel, const float *b_panel, float *y,
                            int64_t stride, int adds, vector (*add)(vector sum, vector x, vector y))
{
    vector sum[ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
        sum[r][0] = adds ? load(y + r * stride) : (vector){0};
        sum[r][1] = adds ? load(y + r * stride + LANES) : (vector){0};
    }
    int64_t k = 0;
    for (; k + 2 <= count; k += 2) {
        step(a_panel + k * ROWS, b_panel + k * COLUMNS, sum, add);
        step(a_panel + (k + 1) * ROWS, b_panel + (k + 1) * COLUMNS, sum, add);
    }
    if (k < count)
        step(a_panel + k * ROWS, b_panel + k * COLUMNS, sum, add);
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
        store(y + r * stride, sum[r][0]);
        store(y + r * stride + LANES, sum[r][1]);
    }
}

/* How far rows have been prefetched, and how many cache lines to prefetch at a time. */
struct prefetching {
    const struct reel_prefetch *prefetch;
    int64_t row, byte, lines;
};

INLINE struct prefetching prefetching_of(const struct reel_prefetch *prefetch, int64_t times)
{
    int64_t lines = (prefetch->bytes + LINE_BYTES - 1) / LINE_BYTES * prefetch->count;
    return (struct prefetching){.prefetch = prefetch, .lines = (lines + times - 1) / times};
}

INLINE void prefetch_some(struct prefetching *b)
{
    for (int64_t l = 0; l < b->lines && b->row < b->prefetch->count; l++) {
        __builtin_prefetch((const char *)b->prefetch->rows + b->row * b->prefetch->stride + b->byte, 0, 2);
        b->byte += LINE_BYTES;
        if (b->byte >= b->prefetch->bytes) {
            b->byte = 0;
            b->row++;
        }
    }
}

INLINE void multiply_by(vector (*add)(vector sum, vector x, vector y), int64_t a_panel_count, int64_t count,
                        const float *a_panels, const float *b_panel, float *y, int64_t y_stride, int adds,
                        const struct reel_prefetch prefetch[2])
{
    static const struct reel_prefetch nothing[2];
    if (!prefetch)
        prefetch = nothing;
    struct prefetching first = prefetching_of(&prefetch[0], a_panel_count),
                       second = prefetching_of(&prefetch[1], a_panel_count);
    for (int64_t b = 0; b < a_panel_count; b++) {
        prefetch_some(&first);
        prefetch_some(&second);
        if (adds)
            multiply_panels(count, a_panels + b * count * ROWS, b_panel, y + b * ROWS * y_stride, y_stride, 1,
                            add);
        else
            multiply_panels(count, a_panels + b * count * ROWS, b_panel, y + b * ROWS * y_stride, y_stride, 0,
                            add);
    }
}

static void multiply(int64_t a_panel_count, int64_t count, const float *a_panels, const float *b_panel,
                     float *y, int64_t y_stride, int adds, const struct reel_prefetch prefetch[2])
{
    multiply_by(add_product, a_panel_count, count, a_panels, b_panel, y, y_stride, adds, prefetch);
}

#if defined(BF16_DOT)
INLINE vector add_bf16_dot(vector sum, vector x, vector y)
{
    return BF16_DOT(sum, x, y);
}

static void multiply_bf16_dot(int64_t a_panel_count, int64_t count, const float *a_panels,
                              const float *b_panel, float *y, int64_t y_stride, int adds,
                              const struct reel_prefetch prefetch[2])
{
    multiply_by(add_bf16_dot, a_panel_count, count, a_panels, b_panel, y, y_stride, adds, prefetch);
}

#define BF16_DOT_TABLE                                                                                       \
    {                                                                                                        \
        .a_panel_rows = ROWS, .pack_a = pack_a, .pack_b = pack_b, .multiply = multiply_bf16_dot              \
    }
#elif defined(TILE_MULTIPLY)
#include "simd_amx.h"
#define BF16_DOT_TABLE                                                                                       \
    {                                                                                                        \
        .a_panel_rows = TILE_A_PANEL_ROWS, .pack_a = pack_a_tiles, .pack_b = pack_b_tiles,                   \
        .multiply = multiply_tiles                                                                           \
    }
#else
#define BF16_DOT_TABLE                                                                                       \
    {                                                                                                        \
        0                                                                                                    \
    }
#endif

/* 2^x for x <= 0; 0 below 2^-126.5. Adding 1.5 * 2^23 gives the nearest integer n. The polynomial for x - n
 * has the least relative error (1.0e-7, by Lawson's method) of all that are exactly 1 at 0, so sums
 * whose maximum stays the same over many tiles do not drift. n = -127 gives the exponent of 0. NaN stays
 * NaN. */
INLINE vector power_of_two(vector x)
{
    const float shift = 12583039.0f; /* 1.5 * 2^23 + 127: the lowest bits of the sum are the exponent's */
    vector bounded = vmax(broadcast(-127.0f), x), shifted = bounded + shift, f = bounded - (shifted - shift);
    vector p = broadcast(0x1.5bba08p-10f);
    p = vfma(p, f, broadcast(0x1.3cea84p-7f));
    p = vfma(p, f, broadcast(0x1.c6b746p-5f));
    p = vfma(p, f, broadcast(0x1.ebf9bep-3f));
    p = vfma(p, f, broadcast(0x1.62e42ap-1f));
    p = vfma(p, f, broadcast(1.0f));
    return p * (vector)((bits)shifted << 23);
}

/* Whether any lane of x is not 1. */
INLINE int is_not_one(vector x)
{
    bits other = (bits)(x != broadcast(1));
    uint32_t any = 0;
    for (int i = 0; i < LANES; i++)
        any |= other[i];
    return any != 0;
}

/* online_softmax for one vector of queries. */
INLINE void online_softmax_vector(int64_t keys, int64_t channels, float *scores, float *maximum,
                                  float *weight, float *sums)
{
    vector before = load(maximum), max = before, total = {0};
    for (int64_t k = 0; k < keys; k++)
        max = vmax(load(scores + k * COLUMNS), max);
    for (int64_t k = 0; k < keys; k++) {
        vector e = power_of_two(load(scores + k * COLUMNS) - max);
        store(scores + k * COLUMNS, e);
        total += e;
    }
    vector shrink = power_of_two(before - max);
    store(maximum, max);
    store(weight, vfma(load(weight), shrink, total));
    if (is_not_one(shrink))
        for (int64_t c = 0; c < channels; c++)
            store(sums + c * COLUMNS, load(sums + c * COLUMNS) * shrink);
}

static void online_softmax(int64_t keys, int64_t channels, float *scores, float *maximum, float *weight,
                           float *sums)
{
    for (int64_t i = 0; i < COLUMNS; i += LANES)
        online_softmax_vector(keys, channels, scores + i, maximum + i, weight + i, sums + i);
}

const struct reel_simd TABLE = {
    .name = NAME,
    .b_panel_columns = COLUMNS,
    .floats = {.a_panel_rows = ROWS, .pack_a = pack_a, .pack_b = pack_b, .multiply = multiply},
    .bf16_dot = BF16_DOT_TABLE,
    .pack_a_transposed = pack_a_transposed,
    .online_softmax = online_softmax};
