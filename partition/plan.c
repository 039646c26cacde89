/* The plan: mesh, cuts, and the bytes of every buffer. */
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
    struct reel_cut shares = reel_layout_shares(layout, plan->mesh.ring * plan->mesh.ulysses);
    if (!plan->mesh.gathered)
        return (struct reel_range){0, layout->block_bytes};
    return range_of_parts(&shares, coords.ring * plan->mesh.ulysses + coords.ulysses, 1);
}

/* Floats of the rotation tables: a cosine and a sine for each position and pair of channels of each axis. */
static int64_t rope_floats(const struct reel_plan *plan)
{
    int64_t pairs = reel_model_head_channels(&plan->model) / 2, third = pairs / 3;
    return 2 * (plan->work.window_frames * (pairs - 2 * third) + (plan->work.H + plan->work.W) * third);
}

/* Elements of the embedding of one prompt, or of the image, as read from its file. */
static int64_t context_input(const struct reel_model *m)
{
    int64_t text = m->text_rows * m->text_width, image = m->image_rows * m->image_width;
    return text > image ? text : image;
}

/* Elements that are needed to embed one prompt, or the image. */
static int64_t context_work(const struct reel_model *m)
{
    int64_t text = m->text_rows * (m->text_width + m->width);
    int64_t image = m->image_rows * (2 * m->image_width + 2 * m->width);
    return text > image ? text : image;
}

static void weight_buffers(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS])
{
    struct reel_network network;
    reel_wan_network(&plan->model, &network);
    struct reel_layout layout = reel_plan_layout(plan, &network, rank, REEL_PHASE_SAMPLING);
    struct reel_range share = reel_plan_share(plan, &layout, rank);
    bytes[REEL_WEIGHTS] = layout.global_bytes + plan->model.layers * share.count;
    bytes[REEL_WEIGHTS_BLOCKS] = plan->mesh.gathered ? 2 * layout.block_bytes : 0;
}

/* Bytes of the largest array that passes through host memory. */
static int64_t host_work(const struct reel_plan *plan, int64_t n)
{
    const int64_t bytes[] = {4 * n, 4 * rope_floats(plan), 4 * REEL_EMBEDDING_BATCH * plan->model.frequencies,
                             plan->work.expanded && plan->work.signal_rows > 0
                                 ? 8 * 2 * plan->work.window_frames * plan->work.H * plan->work.W
                                 : 0};
    int64_t max = 0;
    for (size_t b = 0; b < sizeof bytes / sizeof bytes[0]; b++)
        max = bytes[b] > max ? bytes[b] : max;
    return max;
}

/* The buffers that grow with the rank's tokens. */
static void activation_buffers(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS])
{
    const struct reel_model *m = &plan->model;
    const struct reel_mesh *mesh = &plan->mesh;
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut inner = reel_plan_inner(plan);
    int64_t b = reel_dtype_bytes(plan->work.dtype), C = reel_model_head_channels(m), D = m->width;
    int64_t L = plan->work.window_frames * plan->work.H * plan->work.W;
    int64_t n = ceiling(L, reel_plan_parts(plan)), g = ceiling(L, mesh->ring * mesh->ulysses),
            l = ceiling(L, mesh->ring);
    int64_t d = reel_plan_tensor_heads(plan, coords).count * C, h = reel_plan_own_heads(plan, coords).count;
    int64_t f = reel_cut_count(&inner, coords.tensor), heads = g * d > l * h * C ? g * d : l * h * C;
    int64_t context = m->text_rows > m->image_rows ? m->text_rows : m->image_rows;
    bytes[REEL_TOKENS_X] = 4 * reel_plan_together(plan) * n * D;
    bytes[REEL_TOKENS_NORMED] = b * n * D;
    for (int buffer = REEL_HEADS_Q; buffer <= REEL_HEADS_OUT; buffer++)
        bytes[buffer] = b * heads;
    bytes[REEL_HEADS_LSE] = mesh->ring > 1 ? 4 * l * h : 0;
    bytes[REEL_TOKENS_HIDDEN] = plan->work.signal_rows > 0 && b * g * f < 4 * n * D ? 4 * n * D : b * g * f;
    bytes[REEL_TOKENS_COLUMNS] = b * n * 4 * m->in_channels;
    bytes[REEL_TOKENS_OUT] = 4 * n * 4 * m->out_channels;
    bytes[REEL_ROW_OF_TOKEN] = 4 * n;
    bytes[REEL_ROPE] = 4 * rope_floats(plan);
    bytes[REEL_HOST_WORK] = host_work(plan, n);
    bytes[REEL_EXCHANGE_BY_PART] = mesh->ulysses > 1 ? b * g * d : 0;
    bytes[REEL_EXCHANGE_RING] = mesh->ring > 1 ? b * (mesh->ring > 2 ? 2 : 1) * 2 * l * h * C : 0;
    if (mesh->tensor > 1) {
        bytes[REEL_EXCHANGE_TENSOR] = b * 4 * mesh->tensor * reel_plan_piece_rows(plan, n) * D;
        bytes[REEL_EXCHANGE_SQUARES] = 8 * mesh->tensor * (g > context ? g : context);
    }
    if (plan->work.expanded) {
        bytes[REEL_EXPANDED_E] = 4 * n * D;
        bytes[REEL_EXPANDED_E0] = 4 * n * 6 * D;
        bytes[REEL_TEACACHE_PREVIOUS] = 4 * n * plan->work.signal_rows * D;
        bytes[REEL_EXCHANGE_DISTANCES] = plan->work.signal_rows > 0 ? 8 * 2 * L : 0;
    }
    if (plan->work.signal_rows > 0)
        bytes[REEL_TEACACHE_RESIDUAL] =
            reel_dtype_bytes(plan->work.residual_dtype) * reel_plan_branches(plan) * n * D;
    bytes[REEL_EXCHANGE_OUTPUT] = 4 * L * 4 * m->out_channels;
}

/* The other buffers: the table of timesteps, the context of this rank's heads, and the latents, which
 * every rank holds whole. */
static void other_buffers(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS])
{
    const struct reel_model *m = &plan->model;
    const struct reel_workload *w = &plan->work;
    int64_t b = reel_dtype_bytes(w->dtype), plane = 4 * w->H * w->W, branches = reel_plan_branches(plan);
    int64_t d =
        reel_plan_tensor_heads(plan, reel_plan_coords(plan, rank)).count * reel_model_head_channels(m);
    bytes[REEL_SCRATCH] = w->scratch_bytes;
    bytes[REEL_EMBEDDING_E] = 4 * w->embedding_rows * m->width;
    bytes[REEL_EMBEDDING_E0] = 4 * w->embedding_rows * 6 * m->width;
    bytes[REEL_CONTEXT_TEXT] = b * branches * m->layers * 2 * m->text_rows * d;
    bytes[REEL_CONTEXT_IMAGE] = b * m->layers * 2 * m->image_rows * d;
    bytes[REEL_CONTEXT_PROMPTS] = b * branches * m->text_rows * m->width;
    bytes[REEL_CONTEXT_WORK] = b * context_work(m);
    bytes[REEL_CONTEXT_FLOATS] = b == 4 ? 0 : 4 * context_input(m);
    bytes[REEL_LATENTS_VIDEO] = 4 * m->out_channels * w->video_frames * plane;
    for (int buffer = REEL_LATENTS_X; buffer <= REEL_LATENTS_LAST; buffer++)
        bytes[buffer] = 4 * m->out_channels * w->chunk_frames * plane;
    bytes[REEL_LATENTS_NOISE] = bytes[REEL_LATENTS_X];
    bytes[REEL_LATENTS_CONDITION] = 4 * (m->in_channels - m->out_channels) * w->chunk_frames * plane;
    bytes[REEL_LATENTS_INPUT] = 4 * m->in_channels * w->window_frames * plane;
    bytes[REEL_LATENTS_VELOCITY] = 4 * w->branches * m->out_channels * w->window_frames * plane;
}

int64_t reel_plan_embedding_work(const struct reel_plan *plan)
{
    return REEL_EMBEDDING_BATCH * (plan->model.frequencies + 2 * plan->model.width);
}

static int64_t startup_bytes(const struct reel_plan *plan)
{
    struct reel_network network;
    reel_wan_network(&plan->model, &network);
    struct reel_layout layout = reel_plan_layout(plan, &network, 0, REEL_PHASE_EMBEDDING);
    return layout.global_bytes + 4 * reel_plan_embedding_work(plan);
}

void reel_plan_table(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS])
{
    int64_t room = 0, needed = startup_bytes(plan);
    memset(bytes, 0, REEL_BUFFERS * sizeof *bytes);
    weight_buffers(plan, rank, bytes);
    activation_buffers(plan, rank, bytes);
    other_buffers(plan, rank, bytes);
    /* the buffers that lie in one block, from the weights on */
    for (int buffer = REEL_WEIGHTS; buffer < REEL_STARTUP; buffer++)
        if (!reel_buffer_on_host((enum reel_buffer)buffer))
            room += bytes[buffer];
    bytes[REEL_STARTUP] = needed > room ? needed - room : 0;
}

int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer)
{
    int64_t bytes[REEL_BUFFERS];
    reel_plan_table(plan, rank, bytes);
    return bytes[buffer];
}

enum reel_memory reel_buffer_memory(const struct reel_plan *plan, enum reel_buffer buffer)
{
    if (buffer == REEL_EMBEDDING_E || buffer == REEL_EMBEDDING_E0)
        return plan->work.expanded ? REEL_MEMORY_WEIGHTS : REEL_MEMORY_EMBEDDING;
    if (buffer == REEL_WEIGHTS || buffer == REEL_WEIGHTS_BLOCKS || buffer == REEL_STARTUP)
        return REEL_MEMORY_WEIGHTS;
    if (buffer <= REEL_ROPE)
        return REEL_MEMORY_ACTIVATIONS;
    if (buffer <= REEL_EXPANDED_E0)
        return REEL_MEMORY_EMBEDDING;
    if (buffer == REEL_TEACACHE_PREVIOUS)
        return REEL_MEMORY_TEACACHE_PREVIOUS;
    if (buffer == REEL_TEACACHE_RESIDUAL)
        return REEL_MEMORY_TEACACHE_RESIDUAL;
    if (buffer <= REEL_CONTEXT_FLOATS)
        return REEL_MEMORY_CONTEXT;
    if (buffer <= REEL_LATENTS_VELOCITY)
        return REEL_MEMORY_LATENTS;
    return REEL_MEMORY_COMMUNICATION;
}

int reel_buffer_on_host(enum reel_buffer buffer)
{
    return buffer == REEL_LATENTS_VIDEO || buffer == REEL_LATENTS_NOISE || buffer == REEL_HOST_WORK;
}

const char *reel_memory_name(enum reel_memory memory)
{
    static const char *const names[REEL_MEMORIES] = {"weights",           "activations",       "embedding",
                                                     "teacache_previous", "teacache_residual", "context",
                                                     "latents",           "communication",     "libraries"};
    return names[memory];
}
