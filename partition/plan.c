/* The plan: mesh and cuts. */
#include "plan.h"

#include <string.h>

/* Plans are compared as bytes: none of them may be padding. */
_Static_assert(sizeof(struct reel_workload) == 10 * sizeof(int64_t) + 4 * sizeof(int32_t),
               "workloads have no padding");

enum reel_status reel_plan_make(const struct reel_model *model, const struct reel_workload *work,
                                const struct reel_mesh *mesh, int64_t ranks, struct reel_plan *plan)
{
    const struct reel_mesh *m = mesh;
    REEL_NEED(ranks >= 1 && ranks <= REEL_PARTS_MAX, REEL_BAD_PLAN, "%lld ranks, expected 1 to %d",
              (long long)ranks, REEL_PARTS_MAX);
    REEL_NEED(
        m->cfg <= work->branches, REEL_BAD_PLAN,
        "partition.cfg is %lld and sampler.guidance_scale 1 leaves one branch, expected partition.cfg 1",
        (long long)m->cfg);
    REEL_NEED(
        m->cfg * m->ring * m->ulysses * m->tensor == ranks, REEL_BAD_PLAN,
        "partition.cfg %lld x ring %lld x ulysses %lld x tensor %lld are not %lld ranks, expected ways whose "
        "product is the number of ranks",
        (long long)m->cfg, (long long)m->ring, (long long)m->ulysses, (long long)m->tensor, (long long)ranks);
    REEL_NEED(m->ulysses * m->tensor <= model->heads, REEL_BAD_PLAN,
              "partition.ulysses %lld x tensor %lld for a model of %lld heads leave a rank without a head, "
              "expected at most %lld ways",
              (long long)m->ulysses, (long long)m->tensor, (long long)model->heads, (long long)model->heads);
    REEL_NEED(m->tensor <= reel_ffn_units(model), REEL_BAD_PLAN,
              "partition.tensor is %lld for a feed-forward of width %lld, which leaves a rank without a "
              "column, expected fewer ways",
              (long long)m->tensor, (long long)model->ffn);
    REEL_NEED(
        !work->expanded || ranks == 1 || m->ring * m->ulysses * m->tensor > 1, REEL_BAD_PLAN,
        "teacache.embedding is expanded and no axis cuts the sequence over %lld ranks, so that each rank "
        "would hold e0 whole, expected ring, ulysses or tensor ways, or teacache.embedding rows",
        (long long)ranks);
    memset(plan, 0, sizeof *plan); /* padding too, because plans are compared as bytes */
    plan->model = *model;
    plan->work = *work;
    plan->ranks = ranks;
    plan->mesh = *mesh;
    plan->mesh.gathered = m->gathered && m->ring * m->ulysses > 1;
    return REEL_OK;
}

struct reel_coords reel_plan_coords(const struct reel_plan *plan, int64_t rank)
{
    const struct reel_mesh *m = &plan->mesh;
    return (struct reel_coords){.cfg = rank / (m->tensor * m->ulysses * m->ring),
                                .ring = rank / (m->tensor * m->ulysses) % m->ring,
                                .ulysses = rank / m->tensor % m->ulysses,
                                .tensor = rank % m->tensor};
}

int64_t reel_plan_rank(const struct reel_plan *plan, struct reel_coords coords)
{
    return coords.cfg * reel_plan_parts(plan) + reel_plan_part(plan, coords);
}

int64_t reel_plan_branches(const struct reel_plan *plan)
{
    return plan->work.branches / plan->mesh.cfg;
}

int64_t reel_plan_together(const struct reel_plan *plan)
{
    return plan->mesh.gathered ? reel_plan_branches(plan) : 1;
}

int64_t reel_plan_parts(const struct reel_plan *plan)
{
    return plan->mesh.ring * plan->mesh.ulysses * plan->mesh.tensor;
}

int64_t reel_plan_part(const struct reel_plan *plan, struct reel_coords coords)
{
    return (coords.ring * plan->mesh.ulysses + coords.ulysses) * plan->mesh.tensor + coords.tensor;
}

struct reel_cut reel_plan_tokens(const struct reel_plan *plan, int64_t frames)
{
    struct reel_cut segments = reel_cut_even(frames * plan->work.H * plan->work.W, plan->mesh.ring);
    struct reel_cut groups = reel_cut_within(&segments, plan->mesh.ulysses);
    return reel_cut_within(&groups, plan->mesh.tensor);
}

struct reel_cut reel_plan_heads(const struct reel_plan *plan)
{
    struct reel_cut parts = reel_cut_even(plan->model.heads, plan->mesh.tensor);
    return reel_cut_within(&parts, plan->mesh.ulysses);
}

/* The range of the parts first .. first + parts - 1 of a cut. */
static struct reel_range range_of_parts(const struct reel_cut *cut, int64_t first, int64_t parts)
{
    return (struct reel_range){cut->first[first], cut->first[first + parts] - cut->first[first]};
}

struct reel_range reel_plan_own(const struct reel_plan *plan, const struct reel_cut *tokens,
                                struct reel_coords coords)
{
    return range_of_parts(tokens, reel_plan_part(plan, coords), 1);
}

struct reel_range reel_plan_group(const struct reel_plan *plan, const struct reel_cut *tokens,
                                  struct reel_coords coords)
{
    coords.tensor = 0;
    return range_of_parts(tokens, reel_plan_part(plan, coords), plan->mesh.tensor);
}

struct reel_range reel_plan_segment(const struct reel_plan *plan, const struct reel_cut *tokens, int64_t ring)
{
    int64_t parts = plan->mesh.ulysses * plan->mesh.tensor;
    return range_of_parts(tokens, ring * parts, parts);
}

struct reel_range reel_plan_own_heads(const struct reel_plan *plan, struct reel_coords coords)
{
    struct reel_cut heads = reel_plan_heads(plan);
    return range_of_parts(&heads, coords.tensor * plan->mesh.ulysses + coords.ulysses, 1);
}

struct reel_range reel_plan_tensor_heads(const struct reel_plan *plan, struct reel_coords coords)
{
    struct reel_cut heads = reel_plan_heads(plan);
    return range_of_parts(&heads, coords.tensor * plan->mesh.ulysses, plan->mesh.ulysses);
}

int64_t reel_plan_visible(const struct reel_plan *plan, const struct reel_cut *tokens, int64_t by, int64_t of)
{
    struct reel_range queries = reel_plan_segment(plan, tokens, by),
                      keys = reel_plan_segment(plan, tokens, of);
    int64_t block = plan->work.causal_block * plan->work.H * plan->work.W;
    if (queries.count == 0)
        return 0;
    if (block == 0)
        return keys.count;
    int64_t end = ((queries.first + queries.count - 1) / block + 1) * block, count = end - keys.first;
    return count < 0 ? 0 : count < keys.count ? count : keys.count;
}

static int64_t ceiling(int64_t whole, int64_t parts)
{
    return (whole + parts - 1) / parts;
}

int64_t reel_plan_piece_rows(const struct reel_plan *plan, int64_t tokens)
{
    return ceiling(ceiling(tokens, 2 * plan->mesh.tensor), REEL_PIECE_ROWS_UNIT) * REEL_PIECE_ROWS_UNIT;
}

struct reel_cut reel_plan_inner(const struct reel_plan *plan)
{
    int64_t units = reel_ffn_units(&plan->model);
    struct reel_cut cut = reel_cut_even(units, plan->mesh.tensor);
    for (int64_t p = 0; p <= cut.parts; p++)
        cut.first[p] *= plan->model.ffn / units;
    return cut;
}

struct reel_layout reel_plan_layout(const struct reel_plan *plan, const struct reel_network *network,
                                    int64_t rank, int phase)
{
    struct reel_dtypes dtypes = {.other = plan->work.dtype, .matrix = plan->work.matrix_dtype};
    return reel_layout_of(network, plan->mesh.tensor, reel_plan_coords(plan, rank).tensor, phase, dtypes);
}

struct reel_range reel_plan_share(const struct reel_plan *plan, const struct reel_layout *layout,
                                  int64_t rank)
{
    struct reel_coords coords = reel_plan_coords(plan, rank);
    if (!plan->mesh.gathered)
        return (struct reel_range){0, layout->block_bytes};
    struct reel_cut shares = reel_layout_shares(layout, plan->mesh.ring * plan->mesh.ulysses);
    return range_of_parts(&shares, coords.ring * plan->mesh.ulysses + coords.ulysses, 1);
}
