/* What the operations around the model read and write: latents, solver steps, residuals, copies. */
#include "shadow_ranges.h"

/* Reads, in every channel, the lines of pixels that hold the tokens: `patch` for every row of tokens, and
 * whole lines even where the tokens fill only a part. */
void reel_shadow_patchify(const struct reel_shadow_step *step, const struct reel_patchify *a)
{
    int64_t latents = a->patch * a->patch, line = latents * a->W, first = a->first_token / a->W,
            lines = (a->first_token + a->tokens - 1) / a->W - first + 1;
    reel_shadow_read(step, strided("latents", a->latents + first * line, a->channels, lines * line,
                                   a->F * a->H * line, REEL_F32));
    reel_shadow_write(step, elements("columns", a->columns, a->tokens * latents * a->channels, a->dtype));
}

void reel_shadow_unpatchify(const struct reel_shadow_step *step, const struct reel_unpatchify *a)
{
    int64_t count = a->F * a->H * a->W * a->patch * a->patch * a->channels;
    reel_shadow_read(step, elements("tokens", a->tokens, count, REEL_F32));
    reel_shadow_write(step, elements("velocity", a->velocity, count, REEL_F32));
}

void reel_shadow_guide(const struct reel_shadow_step *step, const struct reel_guide *a)
{
    int over_conditional = a->out == a->conditional, over_unconditional = a->out == a->unconditional;
    if (!over_conditional)
        reel_shadow_read(step, elements("conditional", a->conditional, a->count, REEL_F32));
    if (!over_unconditional)
        reel_shadow_read(step, elements("unconditional", a->unconditional, a->count, REEL_F32));
    write_or_update(step, elements("out", a->out, a->count, REEL_F32),
                    over_conditional || over_unconditional);
}

void reel_shadow_solve(const struct reel_shadow_step *step, const struct reel_solve *a)
{
    int64_t at = a->frame * a->plane, stride = a->frames * a->plane, v_stride = a->v_frames * a->plane;
    reel_shadow_read(step,
                     strided("v", a->v + a->v_frame * a->plane, a->channels, a->plane, v_stride, REEL_F32));
    reel_shadow_update(step, strided("x", a->x + at, a->channels, a->plane, stride, REEL_F32));
    reel_shadow_update(step, strided("m0", a->m0 + at, a->channels, a->plane, stride, REEL_F32));
    write_or_update(step, strided("m1", a->m1 + at, a->channels, a->plane, stride, REEL_F32), a->corrects);
    write_or_update(step, strided("last", a->last + at, a->channels, a->plane, stride, REEL_F32),
                    a->corrects);
}

void reel_shadow_silu(const struct reel_shadow_step *step, const struct reel_silu *a)
{
    from_to(step, elements("x", a->x, a->count, REEL_F32), elements("y", a->y, a->count, REEL_F32));
}

void reel_shadow_sum_parts(const struct reel_shadow_step *step, const struct reel_sum_parts *a)
{
    int64_t part_bytes = a->part_stride * reel_dtype_bytes(a->dtype);
    for (int64_t p = 0; p < a->parts; p++)
        reel_shadow_read(step,
                         elements("x", (const char *)a->x + p * part_bytes, a->rows * a->width, a->dtype));
    reel_shadow_read(step, elements("row", a->row, a->width, a->dtype));
    reel_shadow_write(step, elements("y", a->y, a->rows * a->width, a->dtype));
}

void reel_shadow_distances(const struct reel_shadow_step *step, const struct reel_distances *a)
{
    struct reel_shadow_range sums = {.name = "difference",
                                     .at = a->difference,
                                     .rows = a->rows,
                                     .row_bytes = sizeof *a->difference,
                                     .stride_bytes = a->stride * (int64_t)sizeof *a->difference};
    reel_shadow_read(step, elements("x", a->x, a->rows * a->width, REEL_F32));
    reel_shadow_update(step, elements("previous", a->previous, a->rows * a->width, REEL_F32));
    reel_shadow_write(step, sums);
    sums.name = "magnitude";
    sums.at = a->magnitude;
    reel_shadow_write(step, sums);
}

void reel_shadow_keep_residual(const struct reel_shadow_step *step, const struct reel_keep_residual *a)
{
    reel_shadow_read(step, elements("after", a->after, a->count, REEL_F32));
    reel_shadow_read(step, elements("before", a->before, a->count, REEL_F32));
    reel_shadow_write(step, dense("residual", a->residual, a->count * reel_dtype_bytes(a->dtype)));
}

void reel_shadow_add_residual(const struct reel_shadow_step *step, const struct reel_add_residual *a)
{
    reel_shadow_read(step, dense("residual", a->residual, a->count * reel_dtype_bytes(a->dtype)));
    reel_shadow_update(step, elements("x", a->x, a->count, REEL_F32));
}

void reel_shadow_add_row(const struct reel_shadow_step *step, const struct reel_add_row *a)
{
    reel_shadow_read(step, elements("row", a->row, a->width, a->dtype));
    reel_shadow_update(step, elements("y", a->y, a->rows * a->width, a->dtype));
}

void reel_shadow_convert(const struct reel_shadow_step *step, const struct reel_convert *a)
{
    reel_shadow_read(step, elements("x", a->x, a->count, REEL_F32));
    reel_shadow_write(step, elements("y", a->y, a->count, a->dtype));
}

/* A copy in the wrong direction would work here, but not on a device. When a copy from the device returns,
 * the host has waited for it. */
void reel_shadow_copy(const struct reel_shadow_step *step, const struct reel_copy *a)
{
    struct reel_shadow_range from = {.name = "from",
                                     .at = a->from,
                                     .rows = a->rows,
                                     .row_bytes = a->row_bytes,
                                     .stride_bytes = a->from_stride},
                             to = {.name = "to",
                                   .at = a->to,
                                   .rows = a->rows,
                                   .row_bytes = a->row_bytes,
                                   .stride_bytes = a->to_stride};
    if (a->direction == REEL_TO_DEVICE)
        reel_shadow_host(step, "from", a->from, (a->rows - 1) * a->from_stride + a->row_bytes);
    else
        reel_shadow_read(step, from);
    if (a->direction == REEL_FROM_DEVICE)
        reel_shadow_host(step, "to", a->to, (a->rows - 1) * a->to_stride + a->row_bytes);
    else
        reel_shadow_write(step, to);
    if (a->direction == REEL_FROM_DEVICE)
        reel_shadow_wait(step);
}

void reel_shadow_clear(const struct reel_shadow_step *step, const struct reel_clear *a)
{
    reel_shadow_write(step, dense("to", a->to, a->bytes));
}

void reel_shadow_blend(const struct reel_shadow_step *step, const struct reel_blend *a)
{
    reel_shadow_read(step, elements("z", a->z, a->rows * a->width, REEL_F32));
    reel_shadow_update(step, strided("x", a->x, a->rows, a->width, a->x_stride, REEL_F32));
}
