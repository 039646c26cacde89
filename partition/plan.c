/* The plan: mesh, cuts, and the bytes of every buffer. */
#include "plan.h"

#include <string.h>

/* Puts the ways that are left to reel in place. */
static void choose(const struct reel_workload *work, int64_t ranks, struct reel_mesh *mesh)
{
    int64_t others = 1;
    if (mesh->cfg == REEL_AUTO_WAYS)
        mesh->cfg = work->branches == 2 && ranks % 2 == 0 &&
                            (mesh->ulysses == REEL_AUTO_WAYS || ranks == 2 * mesh->ulysses)
                        ? 2
                        : 1;
    if (mesh->tensor == REEL_AUTO_WAYS)
        mesh->tensor = 1;
    if (mesh->ring == REEL_AUTO_WAYS)
        mesh->ring = 1;
    others = mesh->cfg * mesh->tensor * mesh->ring;
    if (mesh->ulysses == REEL_AUTO_WAYS)
        mesh->ulysses = ranks % others == 0 ? ranks / others : 1;
}

enum reel_status reel_plan_make(const struct reel_model *model, const struct reel_workload *work,
                                const struct reel_mesh *mesh, int64_t ranks, struct reel_plan *plan)
{
    REEL_NEED(ranks >= 1 && ranks <= REEL_PARTS_MAX, REEL_BAD_PLAN, "%lld ranks, expected 1 to %d",
              (long long)ranks, REEL_PARTS_MAX);
    memset(plan, 0, sizeof *plan); /* padding too: plans are compared as bytes */
    plan->model = *model;
    plan->work = *work;
    plan->ranks = ranks;
    plan->mesh = *mesh;
    choose(work, ranks, &plan->mesh);
    const struct reel_mesh *m = &plan->mesh;
    REEL_NEED(
        m->cfg <= work->branches, REEL_BAD_PLAN,
        "partition.cfg is %lld and sampler.guidance_scale 1 leaves one branch, expected partition.cfg 1",
        (long long)m->cfg);
    REEL_NEED(m->ring == 1 && m->tensor == 1, REEL_BAD_PLAN,
              "partition.ring is %lld and partition.tensor %lld, expected 1 and 1 in this version",
              (long long)m->ring, (long long)m->tensor);
    REEL_NEED(
        m->cfg * m->ring * m->ulysses * m->tensor == ranks, REEL_BAD_PLAN,
        "partition.cfg %lld x ring %lld x ulysses %lld x tensor %lld are not %lld ranks, expected ways whose "
        "product is the number of ranks",
        (long long)m->cfg, (long long)m->ring, (long long)m->ulysses, (long long)m->tensor, (long long)ranks);
    REEL_NEED(m->ulysses <= model->heads, REEL_BAD_PLAN,
              "partition.ulysses is %lld for a model of %lld heads, which leaves a rank without a head, "
              "expected at "
              "most %lld ways",
              (long long)m->ulysses, (long long)model->heads, (long long)model->heads);
    plan->heads = reel_cut_even(model->heads, m->ulysses);
    return REEL_OK;
}

struct reel_seat reel_plan_seat(const struct reel_plan *plan, int64_t rank)
{
    const struct reel_mesh *m = &plan->mesh;
    return (struct reel_seat){.cfg = rank / (m->tensor * m->ulysses * m->ring),
                              .ring = rank / (m->tensor * m->ulysses) % m->ring,
                              .ulysses = rank / m->tensor % m->ulysses,
                              .tensor = rank % m->tensor};
}

int64_t reel_plan_branches(const struct reel_plan *plan)
{
    return plan->work.branches / plan->mesh.cfg;
}

struct reel_cut reel_plan_tokens(const struct reel_plan *plan, int64_t frames)
{
    return reel_cut_even(frames * plan->work.H * plan->work.W, plan->mesh.ulysses);
}

/* Floats that hold one rotation table entry per position and pair of each axis. */
static int64_t rope_floats(const struct reel_plan *plan)
{
    int64_t pairs = reel_model_head_channels(&plan->model) / 2, third = pairs / 3;
    return 2 * (plan->work.window_frames * (pairs - 2 * third) + (plan->work.H + plan->work.W) * third);
}

/* Floats that embedding one prompt, or the image, takes on the way to keys and values. */
static int64_t context_work_floats(const struct reel_model *m)
{
    int64_t text = m->text_rows * (m->text_width + 2 * m->width);
    int64_t image = m->image_rows * (2 * m->image_width + 2 * m->width);
    return text > image ? text : image;
}

/* Elements of a buffer that holds activations. */
static int64_t activation_elements(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer)
{
    const struct reel_model *m = &plan->model;
    struct reel_cut tokens = reel_plan_tokens(plan, plan->work.window_frames);
    int64_t n = reel_cut_largest(&tokens), all = reel_cut_total(&tokens);
    switch ((int)buffer) {
    case REEL_TOKENS_X:
    case REEL_TOKENS_NORMED:
    case REEL_TOKENS_PROJECTED:
        return n * m->width;
    case REEL_TOKENS_BY_PART:
        return plan->mesh.ulysses > 1 ? n * m->width : 0;
    case REEL_HEADS_Q:
    case REEL_HEADS_K:
    case REEL_HEADS_V:
    case REEL_HEADS_OUT:
        return all * reel_cut_count(&plan->heads, reel_plan_seat(plan, rank).ulysses) *
               reel_model_head_channels(m);
    case REEL_TOKENS_HIDDEN:
        return n * m->ffn;
    case REEL_TOKENS_COLUMNS:
        return n * 4 * m->in_channels;
    case REEL_TOKENS_OUT:
        return n * 4 * m->out_channels;
    case REEL_ROW_OF_TOKEN:
        return n;
    case REEL_ROPE:
        return rope_floats(plan);
    case REEL_OUTPUT_GATHERED:
        return all * 4 * m->out_channels;
    default:
        return 0;
    }
}

/* Elements of a buffer that does not depend on the cut. */
static int64_t common_elements(const struct reel_plan *plan, enum reel_buffer buffer)
{
    const struct reel_model *m = &plan->model;
    const struct reel_workload *w = &plan->work;
    int64_t plane = 4 * w->H * w->W;
    switch ((int)buffer) {
    case REEL_EMBEDDING_WORK:
        return REEL_EMBEDDING_BATCH * (m->frequencies + 2 * m->width);
    case REEL_EMBEDDING_E:
        return w->embedding_rows * m->width;
    case REEL_EMBEDDING_E0:
        return w->embedding_rows * 6 * m->width;
    case REEL_CONTEXT_TEXT:
        return reel_plan_branches(plan) * m->layers * 2 * m->text_rows * m->width;
    case REEL_CONTEXT_IMAGE:
        return m->layers * 2 * m->image_rows * m->width;
    case REEL_CONTEXT_WORK:
        return context_work_floats(m);
    case REEL_LATENTS_VIDEO:
        return m->out_channels * w->video_frames * plane;
    case REEL_LATENTS_X:
    case REEL_LATENTS_M0:
    case REEL_LATENTS_M1:
    case REEL_LATENTS_LAST:
    case REEL_LATENTS_NOISE:
        return m->out_channels * w->chunk_frames * plane;
    case REEL_LATENTS_CONDITION:
        return (m->in_channels - m->out_channels) * w->chunk_frames * plane;
    case REEL_LATENTS_INPUT:
        return m->in_channels * w->window_frames * plane;
    case REEL_LATENTS_VELOCITY:
        return w->branches * m->out_channels * w->window_frames * plane;
    default:
        return 0;
    }
}

int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer)
{
    if (buffer == REEL_WEIGHTS)
        return plan->work.weights_bytes;
    if (buffer == REEL_SCRATCH)
        return plan->work.scratch_bytes;
    /* floats, and the row index of a token, which is as wide */
    return 4 * (activation_elements(plan, rank, buffer) + common_elements(plan, buffer));
}

enum reel_memory reel_buffer_memory(enum reel_buffer buffer)
{
    if (buffer == REEL_WEIGHTS)
        return REEL_MEMORY_WEIGHTS;
    if (buffer == REEL_TOKENS_BY_PART || buffer == REEL_OUTPUT_GATHERED)
        return REEL_MEMORY_COMMUNICATION;
    if (buffer == REEL_EMBEDDING_E || buffer == REEL_EMBEDDING_E0)
        return REEL_MEMORY_EMBEDDING;
    if (buffer >= REEL_CONTEXT_TEXT && buffer <= REEL_CONTEXT_WORK)
        return REEL_MEMORY_CONTEXT;
    if (buffer >= REEL_LATENTS_VIDEO && buffer <= REEL_LATENTS_VELOCITY)
        return REEL_MEMORY_LATENTS;
    return REEL_MEMORY_ACTIVATIONS;
}

const char *reel_memory_name(enum reel_memory memory)
{
    static const char *const names[REEL_MEMORIES] = {"weights",           "activations",       "embedding",
                                                     "teacache_previous", "teacache_residual", "context",
                                                     "latents",           "communication",     "libraries"};
    return names[memory];
}

const char *reel_purpose_name(enum reel_purpose purpose)
{
    static const char *const names[REEL_PURPOSES] = {"heads", "tokens", "output", "velocity"};
    return names[purpose];
}
