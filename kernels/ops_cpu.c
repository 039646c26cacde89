/* The CPU backend: its table and its scratch memory. */
#include "cpu.h"

#include <omp.h>

/* What one thread needs: the filled-up last tile of a GEMM, or the state of an attention tile; whole cache
 * lines. */
static int64_t thread_floats(const struct reel_scratch *most)
{
    int64_t gemm = REEL_TILE_ROWS * (most->in + REEL_PANEL);
    int64_t attention = REEL_QUERY_TILE * (2 * most->channels + REEL_KEY_TILE + 2);
    int64_t floats = gemm > attention ? gemm : attention;
    return (floats + 15) / 16 * 16;
}

static int64_t scratch_bytes(const struct reel_scratch *most)
{
    return thread_floats(most) * most->threads * (int64_t)sizeof(float);
}

float *reel_cpu_scratch(const struct reel_stream *stream)
{
    return (float *)stream->scratch + omp_get_thread_num() * stream->thread_floats;
}

static void open(struct reel_stream *stream, const struct reel_scratch *most)
{
    stream->thread_floats = thread_floats(most);
    reel_gemm_cpu_open(stream);
}

const struct reel_ops reel_ops_cpu = {
    .name = "cpu",
    .scratch_bytes = scratch_bytes,
    .open = open,
    .gemm = reel_gemm_cpu,
    .layer_norm = reel_layer_norm_cpu,
    .modulate = reel_modulate_cpu,
    .gated_add = reel_gated_add_cpu,
    .squares = reel_squares_cpu,
    .split_heads = reel_split_heads_cpu,
    .merge_heads = reel_merge_heads_cpu,
    .attention = reel_attention_cpu,
    .patchify = reel_patchify_cpu,
    .unpatchify = reel_unpatchify_cpu,
    .guide = reel_guide_cpu,
    .solve = reel_solve_cpu,
    .silu = reel_silu_cpu,
    .sum_parts = reel_sum_parts_cpu,
    .expand = reel_expand_cpu,
    .distances = reel_distances_cpu,
    .keep_residual = reel_keep_residual_cpu,
    .add_residual = reel_add_residual_cpu,
    .add_row = reel_add_row_cpu,
    .first_nonfinite = reel_first_nonfinite_cpu,
};
