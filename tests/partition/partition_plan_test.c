/* The guarantees of the plan for many ranks, checked in one process. */
#include "buffers.h"
#include "test.h"
#include "traffic.h"

#include <string.h>

/* 97 frames at 544x960, and 121 frames at 720x1280. */
static const struct reel_workload shapes[] = {{.H = 34,
                                               .W = 60,
                                               .video_frames = 65,
                                               .chunk_frames = 25,
                                               .window_frames = 25,
                                               .branches = 2,
                                               .embedding_rows = 31,
                                               .dtype = REEL_F32,
                                               .matrix_dtype = REEL_F32,
                                               .scratch_bytes = 2000},
                                              {.H = 45,
                                               .W = 80,
                                               .video_frames = 31,
                                               .chunk_frames = 31,
                                               .window_frames = 31,
                                               .branches = 2,
                                               .embedding_rows = 31,
                                               .dtype = REEL_BF16,
                                               .matrix_dtype = REEL_BF16}};

static const int64_t rank_counts[] = {1, 2, 3, 4, 6, 8, 16, 24, 64, 72};

/* The tensors that every part of the tensor axis holds whole: they act on tokens of full width. */
static const char *const uncut[] = {"patch_embedding.weight",
                                    "patch_embedding.bias",
                                    "text_embedding.0.weight",
                                    "text_embedding.0.bias",
                                    "text_embedding.2.weight",
                                    "text_embedding.2.bias",
                                    "img_emb.proj.0.weight",
                                    "img_emb.proj.0.bias",
                                    "img_emb.proj.1.weight",
                                    "img_emb.proj.1.bias",
                                    "img_emb.proj.3.weight",
                                    "img_emb.proj.3.bias",
                                    "img_emb.proj.4.weight",
                                    "img_emb.proj.4.bias",
                                    "head.modulation",
                                    "head.head.weight",
                                    "head.head.bias",
                                    "blocks.0.modulation",
                                    "blocks.0.self_attn.o.bias",
                                    "blocks.0.cross_attn.o.bias",
                                    "blocks.0.norm3.weight",
                                    "blocks.0.norm3.bias",
                                    "blocks.0.ffn.2.bias"};

/* The tensors that compute the table of timestep embeddings, and are then freed. */
static const char *const freed[] = {
    "time_embedding.0.weight", "time_embedding.0.bias",    "time_embedding.2.weight",
    "time_embedding.2.bias",   "time_projection.1.weight", "time_projection.1.bias",
    "fps_embedding.weight",    "fps_projection.0.weight",  "fps_projection.0.bias",
    "fps_projection.2.weight", "fps_projection.2.bias"};

static int64_t ceiling(int64_t whole, int64_t parts)
{
    return (whole + parts - 1) / parts;
}

static int is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

/* The model SkyReels-V2 DF 14B, or its I2V variant. */
static struct reel_model model_of(int image)
{
    struct reel_model model;
    reel_model_preset("skyreels-v2-df-14b", &model);
    if (image) {
        model.in_channels = 36;
        model.image_rows = 257;
        model.image_width = 1280;
    }
    return model;
}

/* Calls see with every plan of a model and a number of ranks, resident and gathered. */
static void for_every_mesh(const struct reel_model *model, int64_t ranks,
                           void (*see)(const struct reel_plan *))
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int64_t cfg = 1; cfg <= 2; cfg++)
            for (int64_t ring = 1; cfg * ring <= ranks; ring++)
                for (int64_t ulysses = 1; cfg * ring * ulysses <= ranks; ulysses++)
                    for (int64_t gathered = 0; gathered <= 1; gathered++) {
                        struct reel_plan plan;
                        struct reel_mesh mesh = {cfg, ring, ulysses, ranks / (cfg * ring * ulysses),
                                                 gathered};
                        int whole = cfg * ring * ulysses * mesh.tensor == ranks;
                        int possible = whole && ulysses * mesh.tensor <= model->heads;
                        enum reel_status status = reel_plan_make(model, &shapes[s], &mesh, ranks, &plan);
                        CHECK((status == REEL_OK) == possible, "%lld ranks, ring %lld, ulysses %lld: %s",
                              (long long)ranks, (long long)ring, (long long)ulysses,
                              reel_error_here()->cause);
                        reel_error_clear();
                        if (possible)
                            see(&plan);
                    }
}

static void on_every_mesh(void (*see)(const struct reel_plan *))
{
    struct reel_model text = model_of(0), image = model_of(1);
    for (size_t r = 0; r < sizeof rank_counts / sizeof rank_counts[0]; r++)
        for_every_mesh(&text, rank_counts[r], see);
    for_every_mesh(&image, 24, see);
    /* the small model with which other tests run, and compare the memory in use with the plan */
    struct reel_model tiny;
    reel_model_preset("tiny", &tiny);
    for (int64_t ranks = 1; ranks <= 8; ranks++)
        for_every_mesh(&tiny, ranks, see);
}

static void see_cuts(const struct reel_plan *plan)
{
    const struct reel_mesh *m = &plan->mesh;
    int64_t L = plan->work.window_frames * plan->work.H * plan->work.W,
            parts = m->ring * m->ulysses * m->tensor;
    int64_t heads_max = ceiling(ceiling(plan->model.heads, m->tensor), m->ulysses), bad = 0;
    struct reel_cut tokens = reel_plan_tokens(plan, plan->work.window_frames), heads = reel_plan_heads(plan);
    CHECK(tokens.parts == parts && tokens.first[0] == 0 && tokens.first[parts] == L &&
              reel_cut_largest(&tokens) == ceiling(L, parts),
          "largest of %lld parts is %lld tokens", (long long)parts, (long long)reel_cut_largest(&tokens));
    CHECK(heads.parts == m->ulysses * m->tensor && heads.first[0] == 0 &&
              heads.first[heads.parts] == plan->model.heads && reel_cut_largest(&heads) == heads_max,
          "largest of %lld parts is %lld heads", (long long)heads.parts, (long long)reel_cut_largest(&heads));
    for (int64_t p = 0; p < tokens.parts; p++)
        bad += tokens.first[p + 1] < tokens.first[p];
    for (int64_t p = 0; p < heads.parts; p++)
        bad += heads.first[p + 1] <= heads.first[p];
    for (int64_t rank = 0; rank < plan->ranks; rank++)
        bad += reel_plan_rank(plan, reel_plan_coords(plan, rank)) != rank;
    CHECK(bad == 0, "%lld parts are out of order, or empty of heads, or seats of others", (long long)bad);
}

static void cuts_within_cuts_cover_everything_and_are_as_even_as_one(void)
{
    on_every_mesh(see_cuts);
}

/* The maximum of feed-forward columns on a part of the tensor axis: a multiple of 16 if their total is
 * one. */
static int64_t inner_max(const struct reel_model *m, int64_t tensor)
{
    return m->ffn % 16 == 0 ? 16 * ceiling(m->ffn / 16, tensor) : ceiling(m->ffn, tensor);
}

/* The maximum of bytes, on a part of the tensor axis, of all kept global tensors and of a block. Cut tensors
 * count by whole heads or by columns of the feed-forward, and the uncut ones listed above as a whole. */
static void weight_bounds(const struct reel_plan *plan, int64_t *globals, int64_t *block)
{
    const struct reel_model *m = &plan->model;
    struct reel_network network;
    int64_t heads = ceiling(m->heads, plan->mesh.tensor), ffn = inner_max(m, plan->mesh.tensor);
    *globals = *block = 0;
    reel_wan_network(m, &network);
    for (int t = 0; t < network.tensor_count; t++) {
        char name[REEL_TENSOR_NAME_BYTES];
        int64_t elements = reel_tensor_elements(&network, t),
                *sum = network.tensors[t].in_block ? block : globals;
        reel_tensor_name(&network, REEL_NAMING_NATIVE, t, 0, name);
        if (elements == 0 || is_among(name, freed, sizeof freed / sizeof freed[0]))
            continue;
        if (!is_among(name, uncut, sizeof uncut / sizeof uncut[0]))
            elements = strstr(name, "ffn") ? elements / m->ffn * ffn : elements / m->heads * heads;
        *sum += ceiling(elements * reel_dtype_bytes(plan->work.dtype), REEL_LAYOUT_UNIT) * REEL_LAYOUT_UNIT;
    }
}

static void see_weights(const struct reel_plan *plan)
{
    int64_t globals, block, sharing = plan->mesh.ring * plan->mesh.ulysses;
    int64_t row = REEL_LAYOUT_UNIT;
    weight_bounds(plan, &globals, &block);
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        int64_t bytes[REEL_BUFFERS], held = plan->mesh.gathered ? ceiling(block, sharing) + row : block;
        reel_plan_table(plan, rank, bytes);
        CHECK(bytes[REEL_WEIGHTS] <= globals + plan->model.layers * held, "%lld bytes of weights",
              (long long)bytes[REEL_WEIGHTS]);
        CHECK(bytes[REEL_WEIGHTS_BLOCKS] <= (plan->mesh.gathered ? 2 * block : 0), "%lld bytes of blocks",
              (long long)bytes[REEL_WEIGHTS_BLOCKS]);
    }
}

static void no_rank_holds_more_weights_than_its_part(void)
{
    on_every_mesh(see_weights);
}

static void see_activations(const struct reel_plan *plan)
{
    static const enum reel_buffer activations[] = {
        REEL_TOKENS_X, REEL_TOKENS_NORMED, REEL_HEADS_Q,       REEL_HEADS_K,        REEL_HEADS_V,
        REEL_HEADS_OUT, REEL_HEADS_LSE,    REEL_TOKENS_HIDDEN, REEL_TOKENS_COLUMNS, REEL_TOKENS_OUT,
        REEL_ROW_OF_TOKEN};
    const struct reel_model *m = &plan->model;
    const struct reel_mesh *mesh = &plan->mesh;
    int64_t b = reel_dtype_bytes(plan->work.dtype),
            L = plan->work.window_frames * plan->work.H * plan->work.W, D = m->width;
    int64_t n = ceiling(L, mesh->ring * mesh->ulysses * mesh->tensor),
            g = ceiling(L, mesh->ring * mesh->ulysses);
    int64_t l = ceiling(L, mesh->ring), heads = ceiling(m->heads, mesh->tensor),
            h = ceiling(heads, mesh->ulysses);
    int64_t C = D / m->heads, max = g * heads > l * h ? g * heads * C : l * h * C;
    int64_t together = mesh->gathered ? plan->work.branches / mesh->cfg : 1;
    int64_t bound[REEL_BUFFERS] = {0};
    bound[REEL_TOKENS_X] = 4 * (together * n + 1) * D;
    bound[REEL_TOKENS_NORMED] = b * (n + 1) * D;
    bound[REEL_HEADS_Q] = bound[REEL_HEADS_K] = bound[REEL_HEADS_V] = bound[REEL_HEADS_OUT] = b * max;
    bound[REEL_HEADS_LSE] = 4 * l * h;
    bound[REEL_TOKENS_HIDDEN] = b * (g + 1) * inner_max(m, mesh->tensor);
    bound[REEL_TOKENS_COLUMNS] = b * (n + 1) * 4 * m->in_channels;
    bound[REEL_TOKENS_OUT] = 4 * (n + 1) * 4 * m->out_channels;
    bound[REEL_ROW_OF_TOKEN] = 4 * (n + 1);
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        int64_t bytes[REEL_BUFFERS], above = 0;
        reel_plan_table(plan, rank, bytes);
        for (size_t a = 0; a < sizeof activations / sizeof activations[0]; a++)
            above += bytes[activations[a]] > bound[activations[a]];
        CHECK(above == 0, "rank %lld of %lld: %lld activations are larger than their part", (long long)rank,
              (long long)plan->ranks, (long long)above);
    }
}

static void no_activation_is_larger_than_its_part_and_a_row(void)
{
    on_every_mesh(see_activations);
}

static void see_rank_0(const struct reel_plan *plan)
{
    int64_t first[REEL_BUFFERS], bytes[REEL_BUFFERS], above = 0;
    reel_plan_table(plan, 0, first);
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        reel_plan_table(plan, rank, bytes);
        for (int buffer = 0; buffer < REEL_BUFFERS; buffer++)
            above += bytes[buffer] > first[buffer];
    }
    CHECK(above == 0, "%lld buffers are larger than rank 0's", (long long)above);
}

static void no_rank_holds_more_than_rank_0(void)
{
    on_every_mesh(see_rank_0);
}

static struct reel_plan plan_of(const char *preset, const struct reel_workload *work, struct reel_mesh mesh,
                                int64_t ranks)
{
    struct reel_model model;
    struct reel_plan plan;
    CHECK(reel_model_preset(preset, &model), "%s", preset);
    CHECK(reel_plan_make(&model, work, &mesh, ranks, &plan) == REEL_OK, "%s", reel_error_here()->cause);
    return plan;
}

static void the_embedding_is_a_row_per_timestep(void)
{
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", &shapes[0], (struct reel_mesh){2, 1, 4, 1, 0}, 8);
    int64_t bytes =
        reel_plan_bytes(&plan, 3, REEL_EMBEDDING_E) + reel_plan_bytes(&plan, 3, REEL_EMBEDDING_E0);
    CHECK(bytes == 31 * 143360, "%lld bytes", (long long)bytes);
}

/* With expanded embeddings, e, e0 and TeaCache's copy of its signal hold this rank's tokens, which every axis
 * but cfg cuts; so do residuals. */
static void expanded_embeddings_are_cut_like_the_tokens(void)
{
    static const struct reel_mesh meshes[] = {
        {1, 1, 1, 1, 0}, {2, 1, 4, 1, 0}, {1, 2, 2, 2, 1}, {1, 1, 1, 8, 0}, {2, 3, 5, 2, 1}};
    struct reel_model model;
    reel_model_preset("skyreels-v2-df-14b", &model);
    for (size_t m = 0; m < sizeof meshes / sizeof meshes[0]; m++)
        for (int64_t signal = 1; signal <= 6; signal += 5) {
            struct reel_plan plan;
            struct reel_workload work = shapes[0];
            const struct reel_mesh *mesh = &meshes[m];
            int64_t ranks = mesh->cfg * mesh->ring * mesh->ulysses * mesh->tensor, parts = ranks / mesh->cfg;
            work.expanded = 1;
            work.signal_rows = signal;
            work.residual_dtype = REEL_BF16;
            CHECK(reel_plan_make(&model, &work, mesh, ranks, &plan) == REEL_OK, "%s",
                  reel_error_here()->cause);
            int64_t n = ceiling(51000, parts), held[REEL_MEMORIES];
            reel_memory_held(&reel_buffers, &plan, 0, held);
            CHECK(held[REEL_MEMORY_EMBEDDING] == n * 7 * 5120 * 4, "mesh %zu: embedding", m);
            CHECK(held[REEL_MEMORY_TEACACHE_PREVIOUS] == n * signal * 5120 * 4, "mesh %zu: previous", m);
            CHECK(held[REEL_MEMORY_TEACACHE_RESIDUAL] == 2 * (2 / mesh->cfg) * n * 5120, "mesh %zu: residual",
                  m);
        }
    struct reel_plan plan;
    struct reel_workload work = shapes[0];
    struct reel_mesh whole = {2, 1, 1, 1, 0};
    work.expanded = 1;
    CHECK(reel_plan_make(&model, &work, &whole, 2, &plan) == REEL_BAD_PLAN, "e0 would be whole");
    CHECK(strstr(reel_error_here()->cause, "teacache.embedding is expanded"), "%s", reel_error_here()->cause);
    reel_error_clear();
}

static void every_buffer_counts_in_one_category(void)
{
    struct reel_plan plan = plan_of("skyreels-v2-df-1.3b", &shapes[0], (struct reel_mesh){1, 1, 3, 1, 0}, 3);
    int64_t seen[REEL_MEMORIES];
    reel_memory_held(&reel_buffers, &plan, 2, seen);
    /* all parameters but those freed, each tensor rounded up to a unit */
    int64_t kept = 4 * (1435525696LL - 2755584 - 14164992 - 16528896);
    CHECK(seen[REEL_MEMORY_WEIGHTS] >= kept && seen[REEL_MEMORY_WEIGHTS] <= kept + 4 * 830 * REEL_LAYOUT_UNIT,
          "weights %lld", (long long)seen[REEL_MEMORY_WEIGHTS]);
    CHECK(seen[REEL_MEMORY_ACTIVATIONS] > 0 && seen[REEL_MEMORY_CONTEXT] > 0 &&
              seen[REEL_MEMORY_LATENTS] > 0 && seen[REEL_MEMORY_COMMUNICATION] > 0,
          "a category is empty");
    CHECK(strcmp(reel_memory_name(REEL_MEMORY_TEACACHE_PREVIOUS), "teacache_previous") == 0, "%s",
          reel_memory_name(REEL_MEMORY_TEACACHE_PREVIOUS));
}

static void meshes_that_cannot_be_are_refused(void)
{
    static const struct {
        struct reel_mesh mesh;
        int64_t ranks, branches;
        const char *words;
    } cases[] = {
        {{1, 1, 5, 1, 0}, 5, 2, "ulysses 5 x tensor 1 for a model of 4 heads leave a rank without a head"},
        {{1, 1, 2, 4, 0}, 8, 2, "ulysses 2 x tensor 4 for a model of 4 heads"},
        {{2, 1, 1, 1, 0}, 2, 1, "partition.cfg is 2 and sampler.guidance_scale 1 leaves one branch"},
        {{1, 1, 3, 1, 0}, 2, 2, "cfg 1 x ring 1 x ulysses 3 x tensor 1 are not 2 ranks"},
        {{1, 2000, 1, 1, 0}, 2000, 2, "2000 ranks, expected 1 to 1024"}};
    struct reel_model model;
    reel_model_preset("tiny", &model);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct reel_plan plan;
        struct reel_workload work = shapes[0];
        work.branches = cases[c].branches;
        reel_error_clear();
        CHECK(reel_plan_make(&model, &work, &cases[c].mesh, cases[c].ranks, &plan) == REEL_BAD_PLAN,
              "case %zu", c);
        CHECK(strstr(reel_error_here()->cause, cases[c].words), "%s", reel_error_here()->cause);
    }
    reel_error_clear();
}

static void gathering_over_one_rank_is_holding(void)
{
    struct reel_plan plan = plan_of("tiny", &shapes[0], (struct reel_mesh){2, 1, 1, 2, 1}, 4);
    CHECK(plan.mesh.gathered == 0 && reel_plan_bytes(&plan, 0, REEL_WEIGHTS_BLOCKS) == 0, "it gathers");
}

static void a_plan_is_the_same_bytes_every_time(void)
{
    struct reel_mesh mesh = {1, 1, 3, 1, 1};
    struct reel_plan a = plan_of("tiny", &shapes[0], mesh, 3), b = plan_of("tiny", &shapes[0], mesh, 3);
    CHECK(memcmp(&a, &b, sizeof a) == 0, "they differ");
}

int main(void)
{
    RUN(cuts_within_cuts_cover_everything_and_are_as_even_as_one);
    RUN(no_rank_holds_more_weights_than_its_part);
    RUN(no_activation_is_larger_than_its_part_and_a_row);
    RUN(no_rank_holds_more_than_rank_0);
    RUN(the_embedding_is_a_row_per_timestep);
    RUN(expanded_embeddings_are_cut_like_the_tokens);
    RUN(every_buffer_counts_in_one_category);
    RUN(meshes_that_cannot_be_are_refused);
    RUN(gathering_over_one_rank_is_holding);
    RUN(a_plan_is_the_same_bytes_every_time);
    return test_end();
}
