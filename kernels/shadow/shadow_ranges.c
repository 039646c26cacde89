/* What the model's operations read and write: norms, GEMM, heads, attention. The other operations are in
 * shadow_steps.c. */
#include "shadow_ranges.h"

#include <stdlib.h>

/* Writes the stream's scratch memory, which a GEMM or an attention uses: two streams must not share it. */
static void write_scratch(const struct reel_shadow_step *step)
{
    if (!step->by->scratch)
        reel_shadow_abort("%s on stream %d, which is a side stream and has no scratch memory", step->what,
                          step->by->place);
    reel_shadow_write(step, dense("scratch", step->by->scratch, step->by->scratch_bytes));
}

void reel_shadow_gemm(const struct reel_shadow_step *step, const struct reel_gemm *a)
{
    reel_shadow_read(step, elements("x", a->x, a->rows * a->in, a->dtype));
    reel_shadow_read(step, elements("weight", a->weight, a->out * a->in, a->weight_dtype));
    if (a->bias)
        reel_shadow_read(step, elements("bias", a->bias, a->out, a->dtype));
    reel_shadow_write(step, elements("y", a->y, a->rows * a->out, a->y_dtype));
    write_scratch(step);
}

void reel_shadow_layer_norm(const struct reel_shadow_step *step, const struct reel_layer_norm *a)
{
    reel_shadow_read(step, elements("weight", a->weight, a->width, a->dtype));
    reel_shadow_read(step, elements("bias", a->bias, a->width, a->dtype));
    from_to(step, elements("x", a->x, a->rows * a->width, a->x_dtype),
            elements("y", a->y, a->rows * a->width, a->dtype));
}

/* Reads the elements [at, at + width) of the rows [first, first + count) of a table. */
static void read_rows(const struct reel_shadow_step *step, const struct reel_rows *table, int64_t first,
                      int64_t count, int64_t at, int64_t width)
{
    struct reel_shadow_range range =
        elements("table", table->table + first * table->stride + at, width, REEL_F32);
    range.rows = count;
    range.stride_bytes = table->stride * (int64_t)sizeof(float);
    reel_shadow_read(step, range);
}

static int compare_rows(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The sorted indices of the rows that the tokens use. They are in device memory, so reading them is checked
 * first. The caller frees them. */
static int32_t *rows_in_use(const struct reel_shadow_step *step, const struct reel_rows *table,
                            int64_t tokens)
{
    size_t bytes = (size_t)tokens * sizeof *table->of_token;
    reel_shadow_read(step, dense("of_token", table->of_token, (int64_t)bytes));
    int32_t *rows = malloc(bytes);
    if (!rows)
        reel_shadow_abort("no memory for the rows of %lld tokens", (long long)tokens);
    memcpy(rows, table->of_token, bytes);
    qsort(rows, (size_t)tokens, sizeof *rows, compare_rows);
    if (rows[0] < 0)
        reel_shadow_abort("%s: a token uses row %d of the table, expected 0 or more", step->what,
                          (int)rows[0]);
    return rows;
}

/* Reads the elements [at, at + width) of every row that one of the tokens uses. */
static void read_table(const struct reel_shadow_step *step, const struct reel_rows *table, int64_t tokens,
                       int64_t at, int64_t width)
{
    if (!table->of_token) {
        read_rows(step, table, 0, tokens, at, width);
        return;
    }
    int32_t *rows = rows_in_use(step, table, tokens);
    for (int64_t t = 0, next; t < tokens; t = next) { /* adjacent rows are one range */
        for (next = t + 1; next < tokens && rows[next] <= rows[next - 1] + 1;)
            next++;
        read_rows(step, table, rows[t], rows[next - 1] - rows[t] + 1, at, width);
    }
    free(rows);
}

void reel_shadow_modulate(const struct reel_shadow_step *step, const struct reel_modulate *a)
{
    reel_shadow_read(step, elements("shift", a->shift, a->width, a->dtype));
    reel_shadow_read(step, elements("scale", a->scale, a->width, a->dtype));
    read_table(step, &a->embedding, a->rows, a->shift_at, a->width);
    read_table(step, &a->embedding, a->rows, a->scale_at, a->width);
    from_to(step, elements("x", a->x, a->rows * a->width, REEL_F32),
            elements("y", a->y, a->rows * a->width, a->dtype));
}

void reel_shadow_gated_add(const struct reel_shadow_step *step, const struct reel_gated_add *a)
{
    reel_shadow_read(step, elements("y", a->y, a->rows * a->width, a->dtype));
    if (a->gate) {
        reel_shadow_read(step, elements("gate", a->gate, a->width, a->dtype));
        read_table(step, &a->embedding, a->rows, a->gate_at, a->width);
    }
    reel_shadow_update(step, elements("x", a->x, a->rows * a->width, REEL_F32));
}

void reel_shadow_expand(const struct reel_shadow_step *step, const struct reel_expand *a)
{
    read_table(step, &a->embedding, a->rows, 0, a->width);
    reel_shadow_write(step, elements("y", a->y, a->rows * a->width, REEL_F32));
}

void reel_shadow_rms_squares(const struct reel_shadow_step *step, const struct reel_rms_squares *a)
{
    reel_shadow_read(step, elements("x", a->x, a->rows * a->width, a->dtype));
    reel_shadow_write(step, dense("sums", a->sums, a->rows * (int64_t)sizeof *a->sums));
}

/* Reads the entries of the tokens' frames, and those of all rows and columns of the grid. */
static void read_rope(const struct reel_shadow_step *step, const struct reel_rope *rope, int64_t tokens)
{
    int64_t of_frame = rope->H * rope->W, first = rope->first_token / of_frame,
            frames = (rope->first_token + tokens - 1) / of_frame - first + 1;
    reel_shadow_host(step, "rope", rope, sizeof *rope);
    reel_shadow_read(step, elements("rope.frame", rope->frame + first * rope->frame_pairs * 2,
                                    frames * rope->frame_pairs * 2, REEL_F32));
    reel_shadow_read(step, elements("rope.row", rope->row, rope->H * rope->row_pairs * 2, REEL_F32));
    reel_shadow_read(step, elements("rope.column", rope->column, rope->W * rope->column_pairs * 2, REEL_F32));
}

void reel_shadow_split_heads(const struct reel_shadow_step *step, const struct reel_split_heads *a)
{
    int64_t width = a->heads * a->channels;
    reel_shadow_host(step, "first_head", a->first_head, (a->parts + 1) * (int64_t)sizeof *a->first_head);
    if (a->norm)
        reel_shadow_read(step, elements("norm", a->norm, width, a->dtype));
    if (a->norm && a->squares)
        reel_shadow_read(
            step, dense("squares", a->squares, a->square_parts * a->rows * (int64_t)sizeof *a->squares));
    if (a->rope)
        read_rope(step, a->rope, a->rows);
    from_to(step, elements("x", a->x, a->rows * width, a->dtype),
            elements("y", a->y, a->rows * width, a->dtype));
}

void reel_shadow_merge_heads(const struct reel_shadow_step *step, const struct reel_merge_heads *a)
{
    int64_t width = a->heads * a->channels;
    reel_shadow_host(step, "first_head", a->first_head, (a->parts + 1) * (int64_t)sizeof *a->first_head);
    reel_shadow_read(step, elements("x", a->x, a->rows * width, a->dtype));
    reel_shadow_write(step, elements("y", a->y, a->rows * width, a->dtype));
}

void reel_shadow_attention(const struct reel_shadow_step *step, const struct reel_attention *a)
{
    int64_t width = a->heads * a->channels;
    reel_shadow_read(step, strided("q", a->q, a->queries, width, a->q_stride, a->dtype));
    reel_shadow_read(step, strided("k", a->k, a->keys, width, a->kv_stride, a->dtype));
    reel_shadow_read(step, strided("v", a->v, a->keys, width, a->kv_stride, a->dtype));
    write_or_update(step, strided("out", a->out, a->queries, width, a->out_stride, a->dtype),
                    a->add || a->merge);
    if (a->lse)
        write_or_update(step, elements("lse", a->lse, a->queries * a->heads, REEL_F32), a->merge);
    write_scratch(step);
}
