/* Bytes sent, by purpose. */
#include "traffic.h"

const char *reel_purpose_name(enum reel_purpose purpose)
{
    static const char *const names[REEL_PURPOSES] = {"heads", "tokens",  "keys",      "columns", "partials",
                                                     "norms", "weights", "distances", "output",  "velocity"};
    return names[purpose];
}

struct reel_run reel_context_bytes(const struct reel_layout *layout, int image)
{
    int64_t first = layout->offset[image ? REEL_CROSS_K_IMAGE_WEIGHT : REEL_CROSS_K_WEIGHT];
    int64_t text_end = layout->offset[REEL_CROSS_K_IMAGE_WEIGHT],
            end = layout->offset[REEL_CROSS_NORM_WEIGHT];
    if (!image && text_end >= 0)
        end = text_end;
    return (struct reel_run){first, end - first};
}

/* What one pass of a branch through the blocks sends, apart from weights. */
static void blocks(const struct reel_plan *plan, int64_t rank, int64_t frames, int64_t bytes[REEL_PURPOSES])
{
    const struct reel_model *m = &plan->model;
    struct reel_seat seat = reel_plan_seat(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, frames);
    int64_t b = plan->work.number_bytes, C = reel_model_head_channels(m), D = m->width;
    int64_t others = plan->mesh.tensor - 1, layers = m->layers, keys = 0;
    int64_t n = reel_plan_own(plan, &tokens, seat).count, g = reel_plan_group(plan, &tokens, seat).count;
    int64_t l = reel_plan_segment(plan, &tokens, seat.ring).count;
    int64_t heads = reel_plan_tensor_heads(plan, seat).count, h = reel_plan_own_heads(plan, seat).count;
    for (int64_t by = 0; by < plan->mesh.ring; by++)
        if (by != seat.ring)
            keys += reel_plan_visible(plan, &tokens, by, seat.ring);
    bytes[REEL_SENT_HEADS] += layers * 3 * b * g * (heads - h) * C;
    bytes[REEL_SENT_TOKENS] += layers * b * (l - g) * h * C;
    bytes[REEL_SENT_KEYS] += layers * 2 * b * keys * h * C;
    bytes[REEL_SENT_COLUMNS] += layers * 3 * b * others * n * D;
    bytes[REEL_SENT_PARTIALS] += layers * 3 * b * (g - n) * D;
    bytes[REEL_SENT_NORMS] += layers * 3 * 8 * others * g;
}

/* What gathering those bytes of every block sends. */
static int64_t gathering(const struct reel_plan *plan, int64_t rank, const struct reel_layout *layout,
                         struct reel_run needed)
{
    struct reel_run part = reel_run_common(reel_plan_share(plan, layout, rank), needed);
    if (!plan->mesh.gathered)
        return 0;
    return plan->model.layers * (plan->mesh.ring * plan->mesh.ulysses - 1) * part.count;
}

void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, struct reel_iteration iteration,
                            int64_t bytes[REEL_PURPOSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, iteration.frames);
    int64_t n = reel_plan_own(plan, &tokens, reel_plan_seat(plan, rank)).count,
            others = reel_plan_parts(plan) - 1;
    int64_t channels = plan->model.out_channels;
    for (int64_t branch = 0; branch < reel_plan_branches(plan); branch++) {
        if (iteration.computed)
            blocks(plan, rank, iteration.frames, bytes);
        bytes[REEL_SENT_OUTPUT] += 4 * others * n * 4 * channels;
    }
    if (iteration.computed)
        bytes[REEL_SENT_WEIGHTS] += gathering(plan, rank, &layout, (struct reel_run){0, layout.block_bytes});
    if (plan->work.expanded && plan->work.signal_rows > 0)
        bytes[REEL_SENT_DISTANCES] += 16 * others * n;
    if (plan->mesh.cfg == 2)
        bytes[REEL_SENT_VELOCITY] += 4 * channels * iteration.frames * 4 * plan->work.H * plan->work.W;
}

void reel_traffic_prompts(const struct reel_plan *plan, int64_t rank, int64_t prompts,
                          int64_t bytes[REEL_PURPOSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    bytes[REEL_SENT_NORMS] +=
        prompts * plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.text_rows;
    bytes[REEL_SENT_WEIGHTS] += gathering(plan, rank, &layout, reel_context_bytes(&layout, 0));
}

void reel_traffic_image(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_PURPOSES])
{
    struct reel_layout layout = reel_plan_layout(plan, rank);
    bytes[REEL_SENT_NORMS] += plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.image_rows;
    bytes[REEL_SENT_WEIGHTS] += gathering(plan, rank, &layout, reel_context_bytes(&layout, 1));
}
