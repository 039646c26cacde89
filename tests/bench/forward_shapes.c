/* The matrix products of a forward. */
#include "forward_shapes.h"

#include "measure.h"
#include "slice.h"

#include <string.h>

const char *forward_part_name(enum forward_part part)
{
    static const char *const names[] = {"self attention", "cross attention", "feed forward", "ends"};
    return names[part];
}

static void add(struct forward_shapes *shapes, const struct forward_shape *shape)
{
    if (shape->work.rows > 0 && shape->work.out > 0 && shape->work.in > 0)
        shapes->all[shapes->count++] = *shape;
}

void forward_shapes_open(struct forward_shapes *shapes, const struct reel_plan *plan, int64_t rank, int bf16)
{
    const struct reel_model *m = &plan->model;
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, plan->work.window_frames),
                    inner = reel_plan_inner(plan);
    int64_t C = reel_model_head_channels(m), D = m->width, n = reel_plan_own(plan, &tokens, coords).count,
            g = reel_plan_group(plan, &tokens, coords).count,
            l = reel_plan_segment(plan, &tokens, coords.ring).count,
            L = plan->work.window_frames * plan->work.H * plan->work.W,
            heads = reel_plan_tensor_heads(plan, coords).count, d = heads * C,
            f = reel_cut_count(&inner, coords.tensor), h = reel_plan_own_heads(plan, coords).count;
    int64_t patch = reel_model_patch_latents(m);
    double layers = (double)m->layers;
    const struct forward_shape all[] = {
        {"patch", FORWARD_ENDS, {n, patch * m->in_channels, D, 0}, .times = 1},
        {"self q k v", FORWARD_SELF, {g, D, d, 0}, .times = 3 * layers},
        {"self attention", FORWARD_SELF, {l, C, L, h}, .times = layers},
        {"self o", FORWARD_SELF, {g, d, D, 0}, .times = layers},
        {"cross q", FORWARD_CROSS, {g, D, d, 0}, .times = layers},
        {"cross attention", FORWARD_CROSS, {g, C, m->text_rows + m->image_rows, heads}, .times = layers},
        {"cross o", FORWARD_CROSS, {g, d, D, 0}, .times = layers},
        {"ffn in", FORWARD_FFN, {g, D, f, 0}, .times = layers},
        {"ffn out", FORWARD_FFN, {g, f, D, 0}, .times = layers},
        {"head", FORWARD_ENDS, {n, D, patch * m->out_channels, 0}, .times = 1},
    };
    memset(shapes, 0, sizeof *shapes);
    for (size_t s = 0; s < sizeof all / sizeof all[0]; s++)
        add(shapes, &all[s]);
    for (int64_t s = 0; s < shapes->count; s++)
        baseline_open(&shapes->all[s].baseline, &shapes->all[s].work, bf16);
}

void forward_shapes_close(struct forward_shapes *shapes)
{
    for (int64_t s = 0; s < shapes->count; s++)
        baseline_close(&shapes->all[s].baseline);
    shapes->count = 0;
}

double forward_shapes_flops(const struct forward_shapes *shapes)
{
    double sum = 0;
    for (int64_t s = 0; s < shapes->count; s++)
        sum += shapes->all[s].times * baseline_flops(&shapes->all[s].work);
    return sum;
}

double forward_shapes_floor(const struct forward_shapes *shapes, enum forward_part part)
{
    double sum = 0, sorted[SHAPES_ROUNDS_MAX];
    for (int64_t s = 0; s < shapes->count; s++) {
        if (part != FORWARD_PARTS && shapes->all[s].part != part)
            continue;
        memcpy(sorted, shapes->all[s].seconds, sizeof sorted);
        sum += shapes->all[s].times * measure_median(sorted, shapes->rounds);
    }
    return sum;
}
