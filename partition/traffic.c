/* Bytes sent, by purpose. */
#include "traffic.h"

enum { NUMBER_BYTES = 4 };

void reel_traffic_iteration(const struct reel_plan *plan, int64_t rank, int64_t frames,
                            int64_t bytes[REEL_PURPOSES])
{
    const struct reel_model *m = &plan->model;
    struct reel_cut tokens = reel_plan_tokens(plan, frames);
    int64_t part = reel_plan_seat(plan, rank).ulysses, C = reel_model_head_channels(m);
    int64_t n = reel_cut_count(&tokens, part), h = reel_cut_count(&plan->heads, part),
            all = reel_cut_total(&tokens);
    int64_t forwards = reel_plan_branches(plan), calls = forwards * m->layers;
    bytes[REEL_SENT_HEADS] += calls * 3 * n * (m->heads - h) * C * NUMBER_BYTES;
    bytes[REEL_SENT_TOKENS] += calls * (all - n) * h * C * NUMBER_BYTES;
    bytes[REEL_SENT_OUTPUT] += forwards * (plan->mesh.ulysses - 1) * n * 4 * m->out_channels * NUMBER_BYTES;
    if (plan->mesh.cfg == 2)
        bytes[REEL_SENT_VELOCITY] +=
            m->out_channels * frames * 4 * plan->work.H * plan->work.W * NUMBER_BYTES;
}
