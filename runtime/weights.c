/* Temporary. */
#include "weights.h"

int64_t reel_weights_bytes(const struct reel_plan *plan, int64_t rank, enum reel_holding holding)
{
    struct reel_layout l = holding == REEL_HELD_ALWAYS ? reel_plan_layout(plan, rank) : reel_layout_of(&plan->model, 1, 0, holding);
    if (holding != REEL_HELD_ALWAYS) return 4 * l.global_elements;
    return reel_plan_bytes(plan, rank, REEL_WEIGHTS);
}
enum reel_status reel_weights_load(struct reel_comm *comm, const struct reel_model_files *files,
                                   const struct reel_plan *plan, enum reel_holding holding, void *memory,
                                   struct reel_loading *loading, struct reel_weights *w)
{
    int64_t rank = comm->world.rank;
    int always = holding == REEL_HELD_ALWAYS;
    w->base = memory;
    w->layout = always ? reel_plan_layout(plan, rank) : reel_layout_of(&plan->model, 1, 0, holding);
    w->held = reel_plan_share(plan, &w->layout, rank);
    (void)loading;
    for (int t = 0; t < REEL_TENSORS; t++) {
        if (w->layout.offset[t] < 0) continue;
        struct reel_slice s = reel_slice_of(&plan->model, always ? plan->mesh.tensor : 1, always ? reel_plan_seat(plan, rank).tensor : 0, (enum reel_tensor)t);
        for (int64_t layer = 0; layer < (t < REEL_GLOBAL_TENSORS ? 1 : plan->model.layers); layer++)
            for (int64_t i = 0; i < s.row_count; i++) {
                int64_t at = w->layout.offset[t] + i * s.column_count;
                struct reel_run run = {at, s.column_count};
                float *base = w->base;
                if (t >= REEL_GLOBAL_TENSORS) {
                    run = reel_run_common(run, w->held);
                    base += w->layout.global_elements + layer * w->held.count - w->held.first;
                }
                if (run.count > 0)
                    REEL_PASS(reel_model_read(files, (enum reel_tensor)t, layer, (s.first_row + i) * s.columns + s.first_column + run.first - at, run.count, base + run.first));
            }
    }
    return REEL_OK;
}
const float *reel_weight(const struct reel_weights *w, enum reel_tensor tensor)
{
    return w->layout.offset[tensor] < 0 ? NULL : w->base + w->layout.offset[tensor];
}
const float *reel_weights_block(const struct reel_weights *w, int64_t layer)
{
    return w->base + w->layout.global_elements + layer * w->held.count;
}
