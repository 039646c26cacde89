/* Bytes sent, by traffic class. */
#include "traffic.h"

const char *reel_traffic_class_name(enum reel_traffic_class traffic_class)
{
    static const char *const names[REEL_TRAFFIC_CLASSES] = {"heads",    "tokens",  "keys",    "columns",
                                                            "partials", "norms",   "weights", "distances",
                                                            "output",   "velocity"};
    return names[traffic_class];
}

int64_t reel_columns_bytes(const struct reel_plan *plan, int64_t rank, const struct reel_cut *tokens)
{
    int64_t n = reel_plan_own(plan, tokens, reel_plan_coords(plan, rank)).count;
    return reel_dtype_bytes(plan->work.dtype) * (plan->mesh.tensor - 1) * n * plan->model.width;
}

int64_t reel_partials_bytes(const struct reel_plan *plan, int64_t rank, const struct reel_cut *tokens)
{
    struct reel_coords coords = reel_plan_coords(plan, rank);
    int64_t n = reel_plan_own(plan, tokens, coords).count, g = reel_plan_group(plan, tokens, coords).count;
    return reel_dtype_bytes(plan->work.dtype) * (g - n) * plan->model.width;
}

int64_t reel_gathered_bytes(const struct reel_plan *plan, const struct reel_network *network, int64_t rank,
                            const struct reel_layout *layout, struct reel_range needed)
{
    struct reel_range part = reel_range_intersect(reel_plan_share(plan, layout, rank), needed);
    if (!plan->mesh.gathered)
        return 0;
    return network->layers * (plan->mesh.ring * plan->mesh.ulysses - 1) * part.count;
}

/* Adds what one pass of a branch through the blocks sends, without weights. */
static void add_blocks(const struct reel_plan *plan, int64_t rank, int64_t frames,
                       int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    const struct reel_model *m = &plan->model;
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, frames);
    int64_t b = reel_dtype_bytes(plan->work.dtype), C = reel_model_head_channels(m), layers = m->layers;
    int64_t others = plan->mesh.tensor - 1, keys = 0, g = reel_plan_group(plan, &tokens, coords).count;
    int64_t l = reel_plan_segment(plan, &tokens, coords.ring).count;
    int64_t heads = reel_plan_tensor_heads(plan, coords).count, h = reel_plan_own_heads(plan, coords).count;
    for (int64_t by = 0; by < plan->mesh.ring; by++)
        if (by != coords.ring)
            keys += reel_plan_visible(plan, &tokens, by, coords.ring);
    bytes[REEL_TRAFFIC_HEADS] += layers * 3 * b * g * (heads - h) * C;
    bytes[REEL_TRAFFIC_TOKENS] += layers * b * (l - g) * h * C;
    bytes[REEL_TRAFFIC_KEYS] += layers * 2 * b * keys * h * C;
    bytes[REEL_TRAFFIC_COLUMNS] += layers * 3 * reel_columns_bytes(plan, rank, &tokens);
    bytes[REEL_TRAFFIC_PARTIALS] += layers * 3 * reel_partials_bytes(plan, rank, &tokens);
    bytes[REEL_TRAFFIC_NORMS] += layers * 3 * 8 * others * g;
}

/* Bytes sent to gather the tensors of a context in every block; of no context: all tensors. */
static int64_t gathering_bytes(const struct reel_plan *plan, int64_t rank, enum reel_context context)
{
    struct reel_network network;
    if (!plan->mesh.gathered)
        return 0;
    reel_wan_network(&plan->model, &network);
    struct reel_layout layout = reel_plan_layout(plan, &network, rank, REEL_PHASE_SAMPLING);
    struct reel_range all = {0, layout.block_bytes},
                      needed = context == REEL_CONTEXT_NONE ? all : layout.context[context];
    return reel_gathered_bytes(plan, &network, rank, &layout, needed);
}

void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, struct reel_iteration iteration,
                            int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    struct reel_cut tokens = reel_plan_tokens(plan, iteration.frames);
    int64_t n = reel_plan_own(plan, &tokens, reel_plan_coords(plan, rank)).count,
            others = reel_plan_parts(plan) - 1;
    int64_t latents = reel_model_patch_latents(&plan->model) * plan->model.out_channels; /* of a token */
    for (int64_t branch = 0; branch < reel_plan_branches(plan); branch++) {
        if (iteration.computed)
            add_blocks(plan, rank, iteration.frames, bytes);
        bytes[REEL_TRAFFIC_OUTPUT] += 4 * others * n * latents;
    }
    if (iteration.computed)
        bytes[REEL_TRAFFIC_WEIGHTS] += gathering_bytes(plan, rank, REEL_CONTEXT_NONE);
    if (plan->work.expanded && plan->work.signal_rows > 0)
        bytes[REEL_TRAFFIC_DISTANCES] += 16 * others * n;
    if (plan->mesh.cfg == 2)
        bytes[REEL_TRAFFIC_VELOCITY] += 4 * latents * iteration.frames * plan->work.H * plan->work.W;
}

void reel_traffic_prompts(const struct reel_plan *plan, int64_t rank, int64_t prompts,
                          int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    bytes[REEL_TRAFFIC_NORMS] +=
        prompts * plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.text_rows;
    bytes[REEL_TRAFFIC_WEIGHTS] += gathering_bytes(plan, rank, REEL_CONTEXT_OF_TEXT);
}

void reel_traffic_image(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    bytes[REEL_TRAFFIC_NORMS] += plan->model.layers * 8 * (plan->mesh.tensor - 1) * plan->model.image_rows;
    bytes[REEL_TRAFFIC_WEIGHTS] += gathering_bytes(plan, rank, REEL_CONTEXT_OF_IMAGE);
}
