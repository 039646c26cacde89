/* Bytes sent, by traffic class. */
#include "traffic.h"

const char *reel_traffic_class_name(enum reel_traffic_class traffic_class)
{
    static const char *const names[REEL_TRAFFIC_CLASSES] = {"heads",    "tokens",  "keys",    "columns",
                                                            "partials", "norms",   "weights", "distances",
                                                            "output",   "velocity"};
    return names[traffic_class];
}

struct reel_range reel_context_bytes(const struct reel_layout *layout, int image)
{
    int64_t first = layout->offset[image ? REEL_CROSS_K_IMAGE_WEIGHT : REEL_CROSS_K_WEIGHT];
    int64_t text_end = layout->offset[REEL_CROSS_K_IMAGE_WEIGHT],
            end = layout->offset[REEL_CROSS_NORM_WEIGHT];
    if (!image && text_end >= 0)
        end = text_end;
    return (struct reel_range){first, end - first};
}

/* Adds what one pass of a branch through the blocks sends, without weights. */
static void add_blocks(const struct reel_plan *plan, int64_t rank, int64_t frames,
                       int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    const struct reel_model *m = &plan->model;
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, frames);
    int64_t b = reel_dtype_bytes(plan->work.dtype), C = reel_model_head_channels(m), D = m->width;
    int64_t others = plan->mesh.tensor - 1, layers = m->layers, keys = 0;
    int64_t n = reel_plan_own(plan, &tokens, coords).count, g = reel_plan_group(plan, &tokens, coords).count;
    int64_t l = reel_plan_segment(plan, &tokens, coords.ring).count;
    int64_t heads = reel_plan_tensor_heads(plan, coords).count, h = reel_plan_own_heads(plan, coords).count;
    for (int64_t by = 0; by < plan->mesh.ring; by++)
        if (by != coords.ring)
            keys += reel_plan_visible(plan, &tokens, by, coords.ring);
    bytes[REEL_TRAFFIC_HEADS] += layers * 3 * b * g * (heads - h) * C;
    bytes[REEL_TRAFFIC_TOKENS] += layers * b * (l - g) * h * C;
    bytes[REEL_TRAFFIC_KEYS] += layers * 2 * b * keys * h * C;
    bytes[REEL_TRAFFIC_COLUMNS] += layers * 3 * b * others * n * D;
    bytes[REEL_TRAFFIC_PARTIALS] += layers * 3 * b * (g - n) * D;
    bytes[REEL_TRAFFIC_NORMS] += layers * 3 * 8 * others * g;
}

/* Bytes sent to gather the `needed` bytes of every block. */
static int64_t gathering_bytes(const struct reel_plan *plan, int64_t rank, const struct reel_layout *layout,
                               struct reel_range needed)
{
    struct reel_range part = reel_range_intersect(reel_plan_share(plan, layout, rank), needed);
    if (!plan->mesh.gathered)
        return 0;
    return plan->model.layers * (plan->mesh.ring * plan->mesh.ulysses - 1) * part.count;
}

void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, struct reel_iteration iteration,
                            int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, iteration.frames);
    int64_t n = reel_plan_own(plan, &tokens, reel_plan_coords(plan, rank)).count,
            others = reel_plan_parts(plan) - 1;
    int64_t channels = plan->model.out_channels;
    for (int64_t branch = 0; branch < reel_plan_branches(plan); branch++) {
        if (iteration.computed)
            add_blocks(plan, rank, iteration.frames, bytes);
        bytes[REEL_TRAFFIC_OUTPUT] += 4 * others * n * 4 * channels;
    }
    if (iteration.computed)
        bytes[REEL_TRAFFIC_WEIGHTS] +=
            gathering_bytes(plan, rank, &layout, (struct reel_range){0, layout.block_bytes});
    if (plan->work.expanded && plan->work.signal_rows > 0)
        bytes[REEL_TRAFFIC_DISTANCES] += 16 * others * n;
    if (plan->mesh.cfg == 2)
        bytes[REEL_TRAFFIC_VELOCITY] += 4 * channels * iteration.frames * 4 * plan->work.H * plan->work.W;
}

void reel_traffic_prompts(const struct reel_plan *plan, int64_t rank, int64_t prompts,
                          int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    bytes[REEL_TRAFFIC_NORMS] +=
        prompts * plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.text_rows;
    bytes[REEL_TRAFFIC_WEIGHTS] += gathering_bytes(plan, rank, &layout, reel_context_bytes(&layout, 0));
}

void reel_traffic_image(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    bytes[REEL_TRAFFIC_NORMS] += plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.image_rows;
    bytes[REEL_TRAFFIC_WEIGHTS] += gathering_bytes(plan, rank, &layout, reel_context_bytes(&layout, 1));
}
