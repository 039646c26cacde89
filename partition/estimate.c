/* FLOPs and seconds of an iteration. */
#include "estimate.h"

#include "traffic.h"

/* The counts that determine a rank's work, named as in traffic.h. */
struct counts {
    int64_t n, g, D, d, f, h, C, A;
    struct reel_range segment;
};

static struct counts counts_of(const struct reel_plan *plan, int64_t rank, int64_t frames)
{
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut tokens = reel_plan_tokens(plan, frames);
    struct reel_cut inner = reel_plan_inner(plan);
    int64_t C = reel_model_head_channels(&plan->model);
    return (struct counts){.n = reel_plan_own(plan, &tokens, coords).count,
                           .g = reel_plan_group(plan, &tokens, coords).count,
                           .D = plan->model.width,
                           .d = reel_plan_tensor_heads(plan, coords).count * C,
                           .f = reel_cut_count(&inner, coords.tensor),
                           .h = reel_plan_own_heads(plan, coords).count,
                           .C = C,
                           .A = reel_model_patch_latents(&plan->model),
                           .segment = reel_plan_segment(plan, &tokens, coords.ring)};
}

/* The number of (query, key) pairs in which a query of the range sees the key. */
static double query_key_pairs(const struct reel_plan *plan, struct reel_range queries, int64_t frames)
{
    int64_t L = frames * plan->work.H * plan->work.W,
            block = plan->work.causal_block * plan->work.H * plan->work.W;
    double sum = 0;
    if (block == 0)
        return (double)queries.count * (double)L;
    for (int64_t first = queries.first / block * block; first < queries.first + queries.count; first += block)
        sum += (double)reel_range_intersect(queries, (struct reel_range){first, block}).count *
               (double)(first + block < L ? first + block : L);
    return sum;
}

struct reel_flops reel_flops_iteration(const struct reel_plan *plan, int64_t rank, int64_t frames)
{
    const struct reel_model *m = &plan->model;
    struct counts c = counts_of(plan, rank, frames);
    int64_t branches = reel_plan_branches(plan), context = m->text_rows + m->image_rows;
    double block_gemm = (double)(c.g * c.D) * (double)(12 * c.d + 4 * c.f);
    double block_attention = (double)(4 * c.h * c.C) * query_key_pairs(plan, c.segment, frames) +
                             (double)(4 * c.g * context) * (double)c.d;
    double once = (double)(2 * c.n * c.D * c.A * (m->in_channels + m->out_channels));
    return (struct reel_flops){(double)branches * ((double)m->layers * block_gemm + once),
                               (double)(branches * m->layers) * block_attention};
}

struct reel_flops reel_flops_prompt(const struct reel_plan *plan, int64_t rank)
{
    const struct reel_model *m = &plan->model;
    int64_t S = m->text_rows, D = m->width, d = counts_of(plan, rank, 0).d;
    return (struct reel_flops){.gemm = (double)(2 * S * (m->text_width + D)) * (double)D +
                                       (double)(m->layers * 4 * S) * (double)(D * d)};
}

struct reel_flops reel_flops_image(const struct reel_plan *plan, int64_t rank)
{
    const struct reel_model *m = &plan->model;
    int64_t I = m->image_rows, D = m->width, d = counts_of(plan, rank, 0).d;
    return (struct reel_flops){.gemm = (double)(2 * I * (m->image_width + D)) * (double)m->image_width +
                                       (double)(m->layers * 4 * I) * (double)(D * d)};
}

struct reel_flops reel_flops_embedding(const struct reel_plan *plan)
{
    int64_t D = plan->model.width;
    return (struct reel_flops){.gemm = (double)(plan->work.embedding_rows * 2) *
                                       (double)((plan->model.frequencies + 7 * D) * D)};
}

/* Bytes that the expanded embedding reads and writes in an iteration: it writes seven rows of D per token,
 * compares the signal with its previous copy, and replaces that copy. */
static double expansion_bytes(const struct reel_plan *plan, int64_t tokens)
{
    return (double)(28 + 12 * plan->work.signal_rows) * (double)(tokens * plan->model.width);
}

/* Bytes that the passes of an iteration read and write. Per token: three norms (read the residual, write
 * elements of b bytes) and three sums (read elements of b bytes, read and write the residual). Per column
 * of q, k, v, cross q and the output of attention: one read and one write. */
static double pass_bytes(const struct reel_plan *plan, int64_t rank, int64_t frames)
{
    struct counts c = counts_of(plan, rank, frames);
    int64_t b = reel_dtype_bytes(plan->work.dtype);
    double expanded = plan->work.expanded ? expansion_bytes(plan, c.n) : 0;
    double block =
        (double)(3 * (4 + b) + 3 * (8 + b)) * (double)(c.n * c.D) + (double)(10 * b) * (double)(c.g * c.d);
    return (double)(reel_plan_branches(plan) * plan->model.layers) * block + expanded;
}

/* The ranks of an axis are `stride` apart. Each has a number of peers on its own host; returns the
 * smallest such number over all ranks. */
static int64_t fewest_near(const struct reel_plan *plan, int64_t stride, int64_t ways, int64_t ranks_per_node)
{
    int64_t fewest = ways - 1;
    for (int64_t group = 0; group < plan->ranks; group += stride * ways)
        for (int64_t base = group; base < group + stride; base++)
            for (int64_t i = 0, next; i < ways; i = next) {
                for (next = i + 1; next < ways; next++)
                    if ((base + next * stride) / ranks_per_node != (base + i * stride) / ranks_per_node)
                        break;
                fewest = next - i - 1 < fewest ? next - i - 1 : fewest;
            }
    return fewest;
}

/* Seconds per byte that a rank sends in equal parts to its peers on an axis. */
static double slowness(const struct reel_plan *plan, const struct reel_machine *machine, int64_t stride,
                       int64_t ways)
{
    if (ways == 1)
        return 0;
    double near = (double)fewest_near(plan, stride, ways, machine->ranks_per_node) / (double)(ways - 1);
    return near / machine->device.near_rate + (1 - near) / machine->device.far_rate;
}

/* Seconds to send the bytes of each traffic class. */
static void sending_seconds(const struct reel_plan *plan, const struct reel_machine *machine,
                            const int64_t bytes[REEL_TRAFFIC_CLASSES], double seconds[REEL_TRAFFIC_CLASSES])
{
    const struct reel_mesh *m = &plan->mesh;
    int64_t parts = reel_plan_parts(plan);
    double tensor = slowness(plan, machine, 1, m->tensor),
           ulysses = slowness(plan, machine, m->tensor, m->ulysses);
    const double each[REEL_TRAFFIC_CLASSES] = {
        [REEL_TRAFFIC_HEADS] = ulysses,
        [REEL_TRAFFIC_TOKENS] = ulysses,
        [REEL_TRAFFIC_KEYS] = slowness(plan, machine, m->tensor * m->ulysses, m->ring),
        [REEL_TRAFFIC_COLUMNS] = tensor,
        [REEL_TRAFFIC_PARTIALS] = tensor,
        [REEL_TRAFFIC_NORMS] = tensor,
        [REEL_TRAFFIC_WEIGHTS] = slowness(plan, machine, m->tensor, m->ulysses * m->ring),
        [REEL_TRAFFIC_DISTANCES] = slowness(plan, machine, 1, parts),
        [REEL_TRAFFIC_OUTPUT] = slowness(plan, machine, 1, parts),
        [REEL_TRAFFIC_VELOCITY] = slowness(plan, machine, parts, m->cfg)};
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        seconds[p] = (double)bytes[p] * each[p];
}

/* The part of `seconds` that remains after `meanwhile`, during which both run at the same time. */
static double seconds_beyond(double seconds, double meanwhile)
{
    return seconds > meanwhile ? seconds - meanwhile : 0;
}

/* The work of the slowest rank: the larger of what rank 0 and the last rank of the ring compute and send. */
static struct reel_flops max_work(const struct reel_plan *plan, int64_t frames,
                                  int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    int64_t last = reel_plan_rank(plan, (struct reel_coords){.ring = plan->mesh.ring - 1});
    struct reel_flops flops = reel_flops_iteration(plan, 0, frames);
    reel_traffic_iteration(plan, 0, (struct reel_iteration){frames, 1}, bytes);
    if (last != 0 && plan->work.causal_block > 0) {
        int64_t others[REEL_TRAFFIC_CLASSES] = {0};
        struct reel_flops other = reel_flops_iteration(plan, last, frames);
        reel_traffic_iteration(plan, last, (struct reel_iteration){frames, 1}, others);
        flops.attention = other.attention > flops.attention ? other.attention : flops.attention;
        for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
            bytes[p] = others[p] > bytes[p] ? others[p] : bytes[p];
    }
    return flops;
}

struct reel_estimate reel_estimate_iteration(const struct reel_plan *plan, const struct reel_machine *machine,
                                             int64_t frames)
{
    const struct reel_device_rates *device = &machine->device;
    int64_t bytes[REEL_TRAFFIC_CLASSES] = {0};
    double sent[REEL_TRAFFIC_CLASSES];
    struct reel_flops flops = max_work(plan, frames, bytes);
    struct reel_estimate estimate = {.gemm = (double)flops.gemm / device->gemm_rate,
                                     .attention = (double)flops.attention / device->attention_rate,
                                     .passes = pass_bytes(plan, 0, frames) / device->memory_rate};
    sending_seconds(plan, machine, bytes, sent);
    double computing = estimate.gemm + estimate.attention + estimate.passes;
    double inside = seconds_beyond(sent[REEL_TRAFFIC_COLUMNS] + sent[REEL_TRAFFIC_PARTIALS], estimate.gemm) +
                    seconds_beyond(sent[REEL_TRAFFIC_KEYS], estimate.attention) + sent[REEL_TRAFFIC_HEADS] +
                    sent[REEL_TRAFFIC_TOKENS] + sent[REEL_TRAFFIC_NORMS];
    estimate.waiting = inside + seconds_beyond(sent[REEL_TRAFFIC_WEIGHTS], computing + inside) +
                       sent[REEL_TRAFFIC_OUTPUT] + sent[REEL_TRAFFIC_DISTANCES] + sent[REEL_TRAFFIC_VELOCITY];
    estimate.seconds = computing + estimate.waiting;
    return estimate;
}

double reel_estimate_skipped(const struct reel_plan *plan, const struct reel_machine *machine, int64_t frames)
{
    const struct reel_model *m = &plan->model;
    struct counts c = counts_of(plan, 0, frames);
    int64_t bytes[REEL_TRAFFIC_CLASSES] = {0}, branches = reel_plan_branches(plan);
    double sent[REEL_TRAFFIC_CLASSES],
        flops = (double)(branches * 2 * c.n * c.D * c.A * (m->in_channels + m->out_channels));
    double passed = (double)(branches * (4 * 4 + reel_dtype_bytes(plan->work.residual_dtype)) * c.n * c.D);
    if (plan->work.expanded)
        passed += expansion_bytes(plan, c.n);
    reel_traffic_iteration(plan, 0, (struct reel_iteration){.frames = frames}, bytes);
    sending_seconds(plan, machine, bytes, sent);
    return flops / machine->device.gemm_rate + passed / machine->device.memory_rate +
           sent[REEL_TRAFFIC_OUTPUT] + sent[REEL_TRAFFIC_DISTANCES] + sent[REEL_TRAFFIC_VELOCITY];
}
