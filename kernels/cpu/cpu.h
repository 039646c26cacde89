/* What the CPU's operations share: their declarations, and the scratch memory of a thread. */
#ifndef REEL_CPU_H
#define REEL_CPU_H

#include "ops.h"
#include "tiles.h"

/* The row of the table that token t uses. */
static inline const float *reel_row_of(const struct reel_rows *rows, int64_t t)
{
    return rows->table + (rows->of_token ? rows->of_token[t] : t) * rows->stride;
}

/* The smallest multiple that is at least count. */
static inline int64_t reel_rounded_up(int64_t count, int64_t multiple)
{
    return (count + multiple - 1) / multiple * multiple;
}

/* The address of element `index` of an array of that dtype. */
static inline void *reel_at(const void *array, int64_t index, enum reel_dtype dtype)
{
    return (char *)array + index * reel_dtype_bytes(dtype);
}

/* Convert count elements: widen from any dtype to float, or round floats to REEL_F32 or REEL_BF16. */
void reel_widen_cpu(const void *from, int64_t count, enum reel_dtype dtype, float *to);
void reel_narrow_cpu(const float *from, int64_t count, enum reel_dtype dtype, void *to);

/* The scratch of the calling OpenMP thread. */
float *reel_cpu_scratch(const struct reel_stream *stream);

/* Entries that the tables of both backends on the host (cpu and shadow) share. */
int64_t reel_scratch_bytes_cpu(const struct reel_scratch *max);
void reel_open_cpu(struct reel_stream *stream, const struct reel_scratch *max);
const char *reel_arithmetic_cpu(void);
int reel_widens_cpu(void);

/* The scratch that a thread needs for a GEMM, and for attention. */
int64_t reel_gemm_scratch_floats(void);
int64_t reel_attention_scratch_floats(int64_t channels);

void reel_gemm_cpu(struct reel_stream *, const struct reel_gemm *);
void reel_attention_cpu(struct reel_stream *, const struct reel_attention *);
void reel_layer_norm_cpu(struct reel_stream *, const struct reel_layer_norm *);
void reel_modulate_cpu(struct reel_stream *, const struct reel_modulate *);
void reel_gated_add_cpu(struct reel_stream *, const struct reel_gated_add *);
void reel_rms_squares_cpu(struct reel_stream *, const struct reel_rms_squares *);
void reel_split_heads_cpu(struct reel_stream *, const struct reel_split_heads *);
void reel_merge_heads_cpu(struct reel_stream *, const struct reel_merge_heads *);
void reel_patchify_cpu(struct reel_stream *, const struct reel_patchify *);
void reel_unpatchify_cpu(struct reel_stream *, const struct reel_unpatchify *);
void reel_guide_cpu(struct reel_stream *, const struct reel_guide *);
void reel_solve_cpu(struct reel_stream *, const struct reel_solve *);
void reel_silu_cpu(struct reel_stream *, const struct reel_silu *);
void reel_sum_parts_cpu(struct reel_stream *, const struct reel_sum_parts *);
void reel_expand_cpu(struct reel_stream *, const struct reel_expand *);
void reel_distances_cpu(struct reel_stream *, const struct reel_distances *);
void reel_keep_residual_cpu(struct reel_stream *, const struct reel_keep_residual *);
void reel_add_residual_cpu(struct reel_stream *, const struct reel_add_residual *);
void reel_add_row_cpu(struct reel_stream *, const struct reel_add_row *);
void reel_convert_cpu(struct reel_stream *, const struct reel_convert *);
void reel_copy_cpu(struct reel_stream *, const struct reel_copy *);
void reel_clear_cpu(struct reel_stream *, const struct reel_clear *);
void reel_blend_cpu(struct reel_stream *, const struct reel_blend *);
int64_t reel_first_nonfinite_cpu(struct reel_stream *, const float *x, int64_t count);

/* Every operation's arithmetic on the host, for the tables that use it. */
#define REEL_CPU_OPERATIONS                                                                                  \
    .arithmetic = reel_arithmetic_cpu, .widens = reel_widens_cpu, .scratch_bytes = reel_scratch_bytes_cpu,   \
    .open = reel_open_cpu, .gemm = reel_gemm_cpu, .layer_norm = reel_layer_norm_cpu,                         \
    .modulate = reel_modulate_cpu, .gated_add = reel_gated_add_cpu, .rms_squares = reel_rms_squares_cpu,     \
    .split_heads = reel_split_heads_cpu, .merge_heads = reel_merge_heads_cpu,                                \
    .attention = reel_attention_cpu, .patchify = reel_patchify_cpu, .unpatchify = reel_unpatchify_cpu,       \
    .guide = reel_guide_cpu, .solve = reel_solve_cpu, .silu = reel_silu_cpu,                                 \
    .sum_parts = reel_sum_parts_cpu, .expand = reel_expand_cpu, .distances = reel_distances_cpu,             \
    .keep_residual = reel_keep_residual_cpu, .add_residual = reel_add_residual_cpu,                          \
    .add_row = reel_add_row_cpu, .convert = reel_convert_cpu, .first_nonfinite = reel_first_nonfinite_cpu,   \
    .clear = reel_clear_cpu, .blend = reel_blend_cpu

#endif
