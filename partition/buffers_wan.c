/* The buffers of a rank that runs the transformer: shapes are in buffers.h, beside enum reel_buffer. */
#include "buffers.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t scratch(const struct reel_counts *c)
{
    return c->plan->work.scratch_bytes;
}

static int64_t embedding_e(const struct reel_counts *c)
{
    return 4 * c->plan->work.embedding_rows * c->D;
}

static int64_t embedding_e0(const struct reel_counts *c)
{
    return 6 * embedding_e(c);
}

static int64_t weights(const struct reel_counts *c)
{
    return reel_counts_weights(c, REEL_PHASE_SAMPLING);
}

static int64_t gathered_blocks(const struct reel_counts *c)
{
    if (!c->plan->mesh.gathered)
        return 0;
    return 2 * reel_plan_layout(c->plan, c->network, c->rank, REEL_PHASE_SAMPLING).block_bytes;
}

static int64_t tokens_x(const struct reel_counts *c)
{
    return 4 * reel_plan_together(c->plan) * c->n * c->D;
}

static int64_t tokens_normed(const struct reel_counts *c)
{
    return c->b * c->n * c->D;
}

static int64_t heads(const struct reel_counts *c)
{
    return c->b * larger(c->g * c->d, c->l * c->h * c->C);
}

static int64_t heads_lse(const struct reel_counts *c)
{
    return c->plan->mesh.ring > 1 ? 4 * c->l * c->h : 0;
}

/* keep_residual of dit.c computes the tokens before the blocks again, in this buffer. */
static int64_t tokens_hidden(const struct reel_counts *c)
{
    return larger(c->b * c->g * c->f, c->plan->work.signal_rows > 0 ? 4 * c->n * c->D : 0);
}

static int64_t tokens_columns(const struct reel_counts *c)
{
    return c->b * c->n * c->patch * c->plan->model.in_channels;
}

static int64_t tokens_out(const struct reel_counts *c)
{
    return 4 * c->n * c->patch * c->plan->model.out_channels;
}

static int64_t row_of_token(const struct reel_counts *c)
{
    return 4 * c->n;
}

/* A cosine and a sine for each position and pair of channels of each axis. */
static int64_t rope(const struct reel_counts *c)
{
    const struct reel_workload *w = &c->plan->work;
    int64_t pairs = c->C / 2, third = pairs / 3;
    return 4 * 2 * (w->window_frames * (pairs - 2 * third) + (w->H + w->W) * third);
}

static int64_t expanded_e(const struct reel_counts *c)
{
    return c->plan->work.expanded ? 4 * c->n * c->D : 0;
}

static int64_t expanded_e0(const struct reel_counts *c)
{
    return 6 * expanded_e(c);
}

static int64_t teacache_previous(const struct reel_counts *c)
{
    return c->plan->work.signal_rows * expanded_e(c);
}

static int64_t teacache_residual(const struct reel_counts *c)
{
    const struct reel_workload *w = &c->plan->work;
    return w->signal_rows > 0 ? reel_dtype_bytes(w->residual_dtype) * c->branches * c->n * c->D : 0;
}

/* Two doubles of every token, where distances are measured. */
static int64_t exchange_distances(const struct reel_counts *c)
{
    const struct reel_workload *w = &c->plan->work;
    return w->expanded && w->signal_rows > 0 ? 8 * 2 * c->L : 0;
}

/* The largest array that passes through host memory. */
static int64_t host_work(const struct reel_counts *c)
{
    int64_t arrays = larger(row_of_token(c), rope(c)),
            sinusoids = 4 * REEL_EMBEDDING_BATCH * c->plan->model.frequencies;
    return larger(larger(arrays, sinusoids), exchange_distances(c));
}

static int64_t context_text(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    return c->b * c->branches * m->layers * 2 * m->text_rows * c->d;
}

static int64_t context_image(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    return c->b * m->layers * 2 * m->image_rows * c->d;
}

static int64_t context_prompts(const struct reel_counts *c)
{
    return c->b * c->branches * c->plan->model.text_rows * c->D;
}

static int64_t context_work(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    int64_t text = m->text_rows * (m->text_width + c->D);
    int64_t image = m->image_rows * (2 * m->image_width + 2 * c->D);
    return c->b * larger(text, image);
}

static int64_t context_floats(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    return c->b == 4 ? 0 : 4 * larger(m->text_rows * m->text_width, m->image_rows * m->image_width);
}

static int64_t latents_video(const struct reel_counts *c)
{
    return 4 * c->plan->model.out_channels * c->plan->work.video_frames * c->plane;
}

static int64_t latents_chunk(const struct reel_counts *c)
{
    return 4 * c->plan->model.out_channels * c->plan->work.chunk_frames * c->plane;
}

static int64_t latents_condition(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    return 4 * (m->in_channels - m->out_channels) * c->plan->work.chunk_frames * c->plane;
}

static int64_t latents_input(const struct reel_counts *c)
{
    return 4 * c->plan->model.in_channels * c->plan->work.window_frames * c->plane;
}

static int64_t latents_velocity(const struct reel_counts *c)
{
    const struct reel_workload *w = &c->plan->work;
    return 4 * w->branches * c->plan->model.out_channels * w->window_frames * c->plane;
}

static int64_t exchange_by_part(const struct reel_counts *c)
{
    return c->plan->mesh.ulysses > 1 ? c->b * c->g * c->d : 0;
}

static int64_t exchange_ring(const struct reel_counts *c)
{
    int64_t ring = c->plan->mesh.ring;
    return ring > 1 ? c->b * (ring > 2 ? 2 : 1) * 2 * c->l * c->h * c->C : 0;
}

static int64_t exchange_tensor(const struct reel_counts *c)
{
    int64_t tensor = c->plan->mesh.tensor;
    return tensor > 1 ? c->b * 4 * tensor * reel_plan_piece_rows(c->plan, c->n) * c->D : 0;
}

static int64_t exchange_squares(const struct reel_counts *c)
{
    const struct reel_model *m = &c->plan->model;
    int64_t tensor = c->plan->mesh.tensor, context = larger(m->text_rows, m->image_rows);
    return tensor > 1 ? 8 * tensor * larger(c->g, context) : 0;
}

static int64_t exchange_output(const struct reel_counts *c)
{
    return 4 * c->L * c->patch * c->plan->model.out_channels;
}

static int64_t embedding_weights(const struct reel_counts *c)
{
    return reel_counts_weights(c, REEL_PHASE_EMBEDDING);
}

static int64_t embedding_work(const struct reel_counts *c)
{
    return 4 * REEL_EMBEDDING_BATCH * (c->plan->model.frequencies + 2 * c->D);
}

enum { START = REEL_PHASE_EMBEDDING, SAMPLING = REEL_PHASE_SAMPLING };

/* A buffer of one category, on the device (0) or the host (1), that is in use while the video is sampled. */
#define WHILE_SAMPLING(name, memory, on_host, bytes)                                                         \
    {                                                                                                        \
        name, REEL_MEMORY_##memory, REEL_MEMORY_##memory, on_host, bytes, SAMPLING, SAMPLING                 \
    }

/* With the expanded embedding, the category `embedding` has e and e0 of every token. The table of timestep
 * rows then counts as weights: it stands for the weights of the time embedding, which are not kept, and e and
 * e0 are made from it in every iteration. */
static const struct reel_buffer_spec specs[REEL_BUFFERS] = {
    [REEL_SCRATCH] = {"scratch", REEL_MEMORY_ACTIVATIONS, REEL_MEMORY_ACTIVATIONS, 0, scratch,
                      START, SAMPLING},
    [REEL_EMBEDDING_E] = {"e", REEL_MEMORY_EMBEDDING, REEL_MEMORY_WEIGHTS, 0, embedding_e, START, SAMPLING},
    [REEL_EMBEDDING_E0] = {"e0", REEL_MEMORY_EMBEDDING, REEL_MEMORY_WEIGHTS, 0, embedding_e0,
                           START, SAMPLING},
    [REEL_WEIGHTS] = WHILE_SAMPLING("weights", WEIGHTS, 0, weights),
    [REEL_WEIGHTS_BLOCKS] = WHILE_SAMPLING("gathered blocks", WEIGHTS, 0, gathered_blocks),
    [REEL_TOKENS_X] = WHILE_SAMPLING("x", ACTIVATIONS, 0, tokens_x),
    [REEL_TOKENS_NORMED] = WHILE_SAMPLING("normed x", ACTIVATIONS, 0, tokens_normed),
    [REEL_HEADS_Q] = WHILE_SAMPLING("q", ACTIVATIONS, 0, heads),
    [REEL_HEADS_K] = WHILE_SAMPLING("k", ACTIVATIONS, 0, heads),
    [REEL_HEADS_V] = WHILE_SAMPLING("v", ACTIVATIONS, 0, heads),
    [REEL_HEADS_OUT] = WHILE_SAMPLING("output of attention", ACTIVATIONS, 0, heads),
    [REEL_HEADS_LSE] = WHILE_SAMPLING("log of sums", ACTIVATIONS, 0, heads_lse),
    [REEL_TOKENS_HIDDEN] = WHILE_SAMPLING("hidden", ACTIVATIONS, 0, tokens_hidden),
    [REEL_TOKENS_COLUMNS] = WHILE_SAMPLING("patches", ACTIVATIONS, 0, tokens_columns),
    [REEL_TOKENS_OUT] = WHILE_SAMPLING("output of tokens", ACTIVATIONS, 0, tokens_out),
    [REEL_ROW_OF_TOKEN] = WHILE_SAMPLING("row of token", ACTIVATIONS, 0, row_of_token),
    [REEL_HOST_WORK] = {"host work", REEL_MEMORY_ACTIVATIONS, REEL_MEMORY_ACTIVATIONS, 1, host_work,
                        START, SAMPLING},
    [REEL_ROPE] = WHILE_SAMPLING("rotation tables", ACTIVATIONS, 0, rope),
    [REEL_EXPANDED_E] = WHILE_SAMPLING("expanded e", EMBEDDING, 0, expanded_e),
    [REEL_EXPANDED_E0] = WHILE_SAMPLING("expanded e0", EMBEDDING, 0, expanded_e0),
    [REEL_TEACACHE_PREVIOUS] = WHILE_SAMPLING("previous signal", TEACACHE_PREVIOUS, 0, teacache_previous),
    [REEL_TEACACHE_RESIDUAL] = WHILE_SAMPLING("residuals", TEACACHE_RESIDUAL, 0, teacache_residual),
    [REEL_CONTEXT_TEXT] = WHILE_SAMPLING("keys of prompts", CONTEXT, 0, context_text),
    [REEL_CONTEXT_IMAGE] = WHILE_SAMPLING("keys of the image", CONTEXT, 0, context_image),
    [REEL_CONTEXT_PROMPTS] = WHILE_SAMPLING("prompts", CONTEXT, 0, context_prompts),
    [REEL_CONTEXT_WORK] = WHILE_SAMPLING("context work", CONTEXT, 0, context_work),
    [REEL_CONTEXT_FLOATS] = WHILE_SAMPLING("context floats", CONTEXT, 0, context_floats),
    [REEL_LATENTS_VIDEO] = WHILE_SAMPLING("video", LATENTS, 1, latents_video),
    [REEL_LATENTS_X] = WHILE_SAMPLING("latents", LATENTS, 0, latents_chunk),
    [REEL_LATENTS_M0] = WHILE_SAMPLING("m0", LATENTS, 0, latents_chunk),
    [REEL_LATENTS_M1] = WHILE_SAMPLING("m1", LATENTS, 0, latents_chunk),
    [REEL_LATENTS_LAST] = WHILE_SAMPLING("last", LATENTS, 0, latents_chunk),
    [REEL_LATENTS_CONDITION] = WHILE_SAMPLING("condition", LATENTS, 0, latents_condition),
    [REEL_LATENTS_NOISE] = WHILE_SAMPLING("noise", LATENTS, 1, latents_chunk),
    [REEL_LATENTS_INPUT] = WHILE_SAMPLING("input", LATENTS, 0, latents_input),
    [REEL_LATENTS_VELOCITY] = WHILE_SAMPLING("velocity", LATENTS, 0, latents_velocity),
    [REEL_EXCHANGE_BY_PART] = WHILE_SAMPLING("exchange by part", COMMUNICATION, 0, exchange_by_part),
    [REEL_EXCHANGE_RING] = WHILE_SAMPLING("exchange over ring", COMMUNICATION, 0, exchange_ring),
    [REEL_EXCHANGE_TENSOR] = WHILE_SAMPLING("exchange over tensor", COMMUNICATION, 0, exchange_tensor),
    [REEL_EXCHANGE_SQUARES] = WHILE_SAMPLING("sums of squares", COMMUNICATION, 0, exchange_squares),
    [REEL_EXCHANGE_DISTANCES] = WHILE_SAMPLING("distances", COMMUNICATION, 0, exchange_distances),
    [REEL_EXCHANGE_OUTPUT] = WHILE_SAMPLING("gathered output", COMMUNICATION, 0, exchange_output),
    [REEL_EMBEDDING_WEIGHTS] = {"weights of the embedding", REEL_MEMORY_WEIGHTS, REEL_MEMORY_WEIGHTS, 0,
                                embedding_weights, START, START},
    [REEL_EMBEDDING_WORK] = {"work of the embedding", REEL_MEMORY_WEIGHTS, REEL_MEMORY_WEIGHTS, 0,
                             embedding_work, START, START},
};

_Static_assert((int)REEL_BUFFERS <= (int)REEL_BUFFERS_MAX, "a map has room for all buffers");

const struct reel_buffer_table reel_buffers = {
    .specs = specs, .count = REEL_BUFFERS, .phases = REEL_PHASES, .network = reel_wan_network};
