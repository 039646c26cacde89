/* One forward pass gives the official result with every layout of the weights, and the same bits on any
 * number of ranks. The first argument may contain the words whole, funneled, shadow, cuda, nccl, bf16. */
#include "gpus.h"
#include "fixture.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static int ranks, whole; /* whole: every case on every mesh, else a covering subset */
/* The operations on all ranks, and those of the single rank that they are compared with. Operations on memory
 * that the host cannot read must give the same bits as those on host memory. */
static const struct reel_ops *ops = &reel_ops_cpu, *ops_of_one = &reel_ops_cpu;
static int over_nccl; /* whether device memory is exchanged over NCCL */
/* Bounds of the relative error: against the official output, and against one rank where sums have another
 * order. They depend on fp32 or bf16. */
static double from_official = 1e-5, from_one_rank = 1e-6;

static void agrees(const char *what, const float *found, const float *expected, int64_t count, double bound)
{
    double error = test_relative_error(found, expected, count);
    CHECK(error < bound, "%s on %d ranks: error %g", what, ranks, error);
    test_measured("official", error, bound);
    float *perturbed = malloc((size_t)count * sizeof *perturbed);
    for (int64_t i = 0; i < count; i++)
        perturbed[i] = expected[i] * (1 + 3 * (float)bound);
    CHECK(!(test_relative_error(perturbed, expected, count) < bound), "%s: a perturbed answer passes", what);
    free(perturbed);
}

/* Compares with one rank: bit for bit where data only moves, else within what another order of sums costs. */
static void equals_one_rank(const char *what, const struct reel_mesh *mesh, const struct fixture *one,
                            const struct fixture *all)
{
    if (mesh_only_moves(mesh)) {
        CHECK(memcmp(one->velocity, all->velocity, (size_t)one->outputs * sizeof(float)) == 0,
              "%s on %s gives other bits than one rank", what, mesh_name(mesh));
        return;
    }
    double error = test_relative_error(all->velocity, one->velocity, one->outputs);
    CHECK(error <= from_one_rank, "%s on %s is %g from one rank", what, mesh_name(mesh), error);
    test_measured(fixture_fp8 ? "one-rank-fp8" : "one-rank", error, from_one_rank);
}

/* What a fixture has held and sent, after its prompts and this many iterations, is what was planned. */
static void held_and_sent_as_planned(const struct fixture *fixture, const char *what, int iterations)
{
    int64_t held[REEL_MEMORIES], sent[REEL_TRAFFIC_CLASSES] = {0},
                                 me = fixture->comm.world.rank;
    reel_memory_held(&reel_buffers, &fixture->plan, me, held);
    for (int m = 0; m < REEL_MEMORIES; m++)
        CHECK(held[m] == fixture->arena.bytes[m], "%s: %s: %lld bytes planned, %lld held", what,
              reel_memory_name((enum reel_memory)m), (long long)held[m], (long long)fixture->arena.bytes[m]);
    reel_traffic_prompts(&fixture->plan, me, reel_plan_branches(&fixture->plan), sent);
    if (fixture->files.model.image_rows > 0)
        reel_traffic_image(&fixture->plan, me, sent);
    for (int i = 0; i < iterations; i++)
        reel_traffic_iteration(&fixture->plan, me,
                               (struct reel_iteration){fixture->plan.work.window_frames, 1}, sent);
    sent[REEL_TRAFFIC_VELOCITY] = 0; /* the sampler sends it, not the forward */
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        CHECK(sent[p] == reel_comm_sent(&fixture->comm, (enum reel_traffic_class)p),
              "%s: %s: %lld bytes planned, %lld sent", what,
              reel_traffic_class_name((enum reel_traffic_class)p), (long long)sent[p],
              (long long)reel_comm_sent(&fixture->comm, (enum reel_traffic_class)p));
}

/* Runs the forward of a case in one layout on one mesh; compares with the official output and one rank. */
static void forward_holds_on(const struct reel_mesh *mesh, const char *what, const char *path,
                             struct reference_file *inputs, const struct fixture *one)
{
    struct fixture all;
    char on[1200];
    snprintf(on, sizeof on, "%s on %s", what, mesh_name(mesh));
    fixture_ops = ops;
    fixture_over_nccl = over_nccl;
    CHECK(fixture_open(&all, MPI_COMM_WORLD, path, inputs, mesh->gathered ? 2 : mesh->cfg, mesh, NULL),
          "%s: %s", on, reel_error_here()->cause);
    fixture_ops = ops_of_one;
    fixture_over_nccl = 0;
    fixture_forward(&all, inputs);
    agrees(on, all.velocity, reference_data(inputs, "expected.output", REEL_F32), all.outputs, from_official);
    equals_one_rank(what, mesh, one, &all);
    float *first = malloc((size_t)all.outputs * sizeof *first);
    memcpy(first, all.velocity, (size_t)all.outputs * sizeof *first);
    fixture_forward(&all, inputs);
    CHECK(memcmp(first, all.velocity, (size_t)all.outputs * sizeof *first) == 0,
          "%s: a second forward gives other bits", on);
    free(first);
    held_and_sent_as_planned(&all, on, 2);
    fixture_close(&all);
}

/* Runs the forward of a case in one layout on meshes of all ranks. */
static void forward_holds(const char *folder, const char *layout, const char *name)
{
    char path[512], file[512], what[1024];
    snprintf(path, sizeof path, "%s/%s/%s", test_reference(), folder, layout);
    snprintf(file, sizeof file, "%s/%s.safetensors", folder, name);
    snprintf(what, sizeof what, "%s with %s/%s", name, folder, layout);
    struct reference_file *inputs = reference_open_named(file);
    static int64_t turn; /* which mesh comes next; counts over all cases, so that all meshes are covered */
    struct reel_mesh meshes[MESHES_MAX];
    struct fixture one;
    CHECK(fixture_open(&one, MPI_COMM_SELF, path, inputs, 1, &fixture_alone, NULL), "%s",
          reel_error_here()->cause);
    fixture_forward(&one, inputs);
    int64_t count = meshes_of(ranks, 2, one.files.model.heads, meshes);
    CHECK(count > 0, "no mesh");
    for (int64_t m = 0; m < (whole ? count : ops->is_host ? 6 : 2); m++, turn++)
        forward_holds_on(&meshes[(whole ? m : turn) % count], what, path, inputs, &one);
    fixture_close(&one);
    reference_close(inputs);
}

/* A timestep for every token gives the same bits as one for every frame where they agree, and other bits
 * where one token differs. The layouts rows and expanded give the same bits; the expanded embedding holds no
 * more than this rank's tokens. */
static void every_token_may_have_a_timestep_of_its_own(void)
{
    char path[512];
    struct fixture fixture;
    struct reference_file *inputs = reference_open_named("tiny-df/forward-df.safetensors");
    const int64_t *timesteps = reference_data(inputs, "timesteps", REEL_I64);
    struct reel_mesh mesh = {.cfg = 1, .ring = ranks, .ulysses = 1, .tensor = 1};
    int64_t of_token[120]; /* 5 frames of 24 tokens */
    float *first = NULL, *other = NULL;
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/tiny-df/native", test_reference());
    for (fixture_expanded = 0; fixture_expanded < 2; fixture_expanded++) {
        for (int t = 0; t < 120; t++)
            of_token[t] = timesteps[t / 24];
        CHECK(fixture_open(&fixture, MPI_COMM_WORLD, path, inputs, 1, &mesh, NULL), "%s",
              reel_error_here()->cause);
        CHECK(fixture.arena.bytes[REEL_MEMORY_EMBEDDING] ==
                  (fixture_expanded ? (120 + ranks - 1) / ranks : fixture.table.rows) * 7 * 128 * 4,
              "%lld bytes of embedding", (long long)fixture.arena.bytes[REEL_MEMORY_EMBEDDING]);
        fixture_forward(&fixture, inputs);
        bytes = (size_t)fixture.outputs * sizeof *first;
        if (!first) {
            first = malloc(bytes);
            other = malloc(bytes);
            memcpy(first, fixture.velocity, bytes);
        }
        CHECK(memcmp(first, fixture.velocity, bytes) == 0, "the expanded embedding gives other bits");
        fixture_forward_at(&fixture, of_token, 1);
        CHECK(memcmp(first, fixture.velocity, bytes) == 0, "a timestep a token gives other bits");
        of_token[77] = timesteps[0];
        fixture_forward_at(&fixture, of_token, 1);
        CHECK(memcmp(first, fixture.velocity, bytes) != 0, "the timestep of a token is not heard");
        if (fixture_expanded)
            CHECK(memcmp(other, fixture.velocity, bytes) == 0,
                  "expanded, another timestep of a token gives other bits");
        memcpy(other, fixture.velocity, bytes);
        fixture_close(&fixture);
    }
    fixture_expanded = 0;
    free(first);
    free(other);
    reference_close(inputs);
}

static void a_mesh_that_leaves_a_rank_without_a_head_is_refused(void)
{
    char path[512];
    struct fixture fixture;
    struct reference_file *inputs = reference_open_named("tiny-df/forward-df.safetensors");
    struct reel_mesh mesh = {.cfg = 1, .ring = 1, .ulysses = ranks, .tensor = 1};
    snprintf(path, sizeof path, "%s/tiny-df/native", test_reference());
    int opened = fixture_open(&fixture, MPI_COMM_WORLD, path, inputs, 1, &mesh, NULL);
    CHECK(opened == (ranks <= 4), "4 heads, %d ranks", ranks);
    if (opened) {
        fixture_close(&fixture);
    } else {
        CHECK(reel_error_here()->status == REEL_BAD_PLAN, "%s", reel_error_here()->cause);
        reel_error_clear();
    }
    reference_close(inputs);
}

static void every_forward_in_every_layout_is_the_official_one(void)
{
    static const char *const layouts[] = {"native", "native-sharded", "diffusers", "comfy.safetensors"};
    static const char *const cases[] = {"forward-df", "forward-uneven", "forward-causal"};
    for (int l = 0; l < 4; l++)
        for (int c = 0; c < 3; c++)
            forward_holds("tiny-df", layouts[l], cases[c]);
    forward_holds("tiny-i2v", "native", "forward-i2v");
    forward_holds("tiny-i2v", "diffusers", "forward-i2v");
}

/* Against diffusers' own transformer, in double precision, on weights with its own names. */
static void every_forward_of_diffusers_is_ours(void)
{
    forward_holds("diffusers/tiny-df", "../../tiny-df/diffusers", "forward-df");
    forward_holds("diffusers/tiny-df", "../../tiny-df/diffusers", "forward-uneven");
    forward_holds("diffusers/tiny-df", "../../tiny-df/diffusers", "forward-causal");
    forward_holds("diffusers/tiny-i2v", "../../tiny-i2v/diffusers", "i2v.inputs");
}

/* What the forward's hook has shown so far, with the tokens of this rank. */
struct seen {
    struct reference_file *inputs;
    int64_t first; /* token of this rank's first row */
    int blocks;
};

static void compare_seen(void *context, const char *what, int64_t layer, const void *rows, int64_t count,
                         int64_t width)
{
    struct seen *seen = context;
    char name[64];
    int64_t first = strcmp(what, "context") == 0 ? 0 : seen->first;
    if (strcmp(what, "block") == 0)
        snprintf(name, sizeof name, "expected.block.%lld", (long long)layer);
    else
        snprintf(name, sizeof name, "expected.%s", what);
    const float *expected = reference_data(seen->inputs, name, REEL_F32);
    agrees(name, rows, expected + first * width, count * width, 1e-5);
    seen->blocks++;
}

static void intermediate_results_are_the_official_ones(void)
{
    char path[512];
    struct fixture fixture;
    struct seen seen = {.inputs = reference_open_named("tiny-df/forward-df.safetensors")};
    struct reel_forward_hook watch = {.see = compare_seen, .context = &seen};
    snprintf(path, sizeof path, "%s/tiny-df/native", test_reference());
    int me;
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    struct reel_mesh mesh = {.cfg = 1, .ring = ranks, .ulysses = 1, .tensor = 1};
    struct reel_cut tokens = reel_cut_even(120, ranks);
    seen.first = tokens.first[me];
    CHECK(fixture_open(&fixture, MPI_COMM_WORLD, path, seen.inputs, 1, &mesh, &watch), "%s",
          reel_error_here()->cause);
    fixture_forward(&fixture, seen.inputs);
    CHECK(seen.blocks == 5, "%d intermediate results were seen", seen.blocks);
    /* the table has a row for each distinct timestep, ascending; the case's frames descend */
    const int64_t *timesteps = reference_data(seen.inputs, "timesteps", REEL_I64);
    const float *e = reference_data(seen.inputs, "expected.e", REEL_F32);
    const float *e0 = reference_data(seen.inputs, "expected.e0", REEL_F32);
    CHECK(fixture.table.rows == 5, "%lld rows", (long long)fixture.table.rows);
    for (int f = 0; f < 5; f++) {
        int64_t row = fixture.table.row_of[timesteps[f]];
        agrees("e", fixture.embedding.e + row * 128, e + f * 128, 128, 1e-5);
        agrees("e0", fixture.embedding.e0 + row * 768, e0 + f * 768, 768, 1e-5);
    }
    fixture_close(&fixture);
    reference_close(seen.inputs);
}

/* Weights that stay fp8 give results near those of the unrounded weights, and one rank's on every mesh. */
static void weights_of_fp8_are_near_and_the_same_on_every_mesh(void)
{
    struct reference_file *inputs = reference_open_named("tiny-df/forward-df.safetensors");
    struct reel_mesh meshes[MESHES_MAX];
    struct fixture wide, one, all;
    CHECK(fixture_open(&wide, MPI_COMM_SELF, "synthetic:tiny", inputs, 1, &fixture_alone, NULL), "%s",
          reel_error_here()->cause);
    fixture_forward(&wide, inputs);
    fixture_dtype = REEL_BF16;
    fixture_fp8 = 1;
    CHECK(fixture_open(&one, MPI_COMM_SELF, "synthetic:tiny", inputs, 1, &fixture_alone, NULL), "%s",
          reel_error_here()->cause);
    fixture_forward(&one, inputs);
    double error = test_relative_error(one.velocity, wide.velocity, one.outputs);
    CHECK(error > 5e-3 && error < 1e-1, "fp8 is %g from fp32", error);
    from_one_rank = 5e-2; /* a sum in another order is now and then rounded to another fp8 value */
    int64_t count = meshes_of(ranks, 2, one.files.model.heads, meshes);
    for (int64_t m = 0; m < count; m++) {
        CHECK(fixture_open(&all, MPI_COMM_WORLD, "synthetic:tiny", inputs,
                           meshes[m].gathered ? 2 : meshes[m].cfg, &meshes[m], NULL),
              "%s", reel_error_here()->cause);
        fixture_forward(&all, inputs);
        equals_one_rank("fp8", &meshes[m], &one, &all);
        held_and_sent_as_planned(&all, "fp8", 1);
        fixture_close(&all);
    }
    fixture_dtype = REEL_F32;
    fixture_fp8 = 0;
    from_one_rank = 1e-6;
    fixture_close(&one);
    fixture_close(&wide);
    reference_close(inputs);
}

static void run_those_that_look_inside(void)
{
    RUN(weights_of_fp8_are_near_and_the_same_on_every_mesh);
    if (ops->is_host)
        RUN(intermediate_results_are_the_official_ones);
    RUN(every_token_may_have_a_timestep_of_its_own);
    RUN(a_mesh_that_leaves_a_rank_without_a_head_is_refused);
}

/* Collective. Chooses the device that the words name; returns 0 where this machine has none. */
static int take_place(const char *words)
{
    over_nccl = strstr(words, "nccl") != NULL;
    if (strstr(words, "shadow"))
        ops = &reel_ops_shadow;
    if (!strstr(words, "cuda"))
        return 1;
    fixture_ops = ops = ops_of_one = &reel_ops_cuda;
    return gpus_take(over_nccl);
}

int main(int argc, char **argv)
{
    /* "funneled": only one thread may call MPI, as on systems that offer no more; nothing overlaps, and no
     * bit differs */
    const char *words = argc > 1 ? argv[1] : "";
    int level, funneled = strcmp(words, "funneled") == 0;
    MPI_Init_thread(&argc, &argv, funneled ? MPI_THREAD_FUNNELED : MPI_THREAD_MULTIPLE, &level);
    whole = strstr(words, "whole") != NULL;
    if (strstr(words, "bf16")) {
        fixture_dtype = REEL_BF16;
        from_official = 2e-2;
        from_one_rank = 1e-2;
    }
    if (!take_place(words)) {
        MPI_Finalize();
        return GPUS_SKIPPED;
    }
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    share_cores(ranks);
    RUN(every_forward_in_every_layout_is_the_official_one);
    RUN(every_forward_of_diffusers_is_ours);
    if (ops != &reel_ops_shadow && fixture_dtype == REEL_F32)
        run_those_that_look_inside();
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
