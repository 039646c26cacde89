/* The mesh that is chosen fits, is fast, and is the one that was asked for. */
#include "choose.h"
#include "estimate.h"
#include "test.h"

#include <string.h>

static const struct reel_mesh leave_it_to_reel = {REEL_AUTO_WAYS, REEL_AUTO_WAYS, REEL_AUTO_WAYS,
                                                  REEL_AUTO_WAYS, REEL_AUTO_WAYS};

/* 97 frames at 544x960 in bf16, with guidance. */
static const struct reel_workload work = {.H = 34,
                                          .W = 60,
                                          .video_frames = 65,
                                          .chunk_frames = 25,
                                          .window_frames = 25,
                                          .branches = 2,
                                          .embedding_rows = 31,
                                          .dtype = REEL_BF16,
                                          .matrix_dtype = REEL_BF16};

/* GPUs of that much memory, eight per host. */
static struct reel_machine gpus(double gigabytes)
{
    return (struct reel_machine){.device = {.gemm_rate = 660e12,
                                            .attention_rate = 500e12,
                                            .memory_rate = 3e12,
                                            .near_rate = 350e9,
                                            .far_rate = 40e9,
                                            .dtype = REEL_BF16,
                                            .libraries_bytes = 2000000000},
                                 .ranks_per_node = 8,
                                 .room_bytes = (int64_t)(gigabytes * 1e9)};
}

static struct reel_model model_of(const char *preset)
{
    struct reel_model model;
    CHECK(reel_model_preset(preset, &model), "%s", preset);
    return model;
}

static struct reel_plan chosen(const char *preset, struct reel_mesh asked, int64_t ranks, double gigabytes)
{
    struct reel_model model = model_of(preset);
    struct reel_machine machine = gpus(gigabytes);
    struct reel_plan plan;
    memset(&plan, 0, sizeof plan);
    CHECK(reel_plan_choose(&model, &work, &asked, ranks, &machine, &plan, NULL) == REEL_OK,
          "%s on %lld ranks: %s", preset, (long long)ranks, reel_error_here()->cause);
    reel_error_clear();
    return plan;
}

static void two_ranks_take_a_branch_each(void)
{
    struct reel_plan plan = chosen("skyreels-v2-df-1.3b", leave_it_to_reel, 2, 0);
    CHECK(plan.mesh.cfg == 2 && plan.mesh.gathered == 0, "cfg %lld", (long long)plan.mesh.cfg);
    struct reel_model model = model_of("skyreels-v2-df-1.3b");
    struct reel_machine cores = {.device = reel_device_rates_core, .ranks_per_node = 2};
    CHECK(reel_plan_choose(&model, &work, &leave_it_to_reel, 2, &cores, &plan, NULL) == REEL_OK &&
              plan.mesh.cfg == 2,
          "on two cores cfg %lld", (long long)plan.mesh.cfg);
}

static void without_guidance_no_branches_are_cut(void)
{
    struct reel_model model = model_of("skyreels-v2-df-14b");
    struct reel_machine machine = gpus(0);
    struct reel_workload one = work;
    struct reel_plan plan;
    one.branches = 1;
    CHECK(reel_plan_choose(&model, &one, &leave_it_to_reel, 8, &machine, &plan, NULL) == REEL_OK &&
              plan.mesh.cfg == 1,
          "cfg %lld", (long long)plan.mesh.cfg);
}

static void little_memory_cuts_the_weights(void)
{
    struct reel_plan roomy = chosen("skyreels-v2-df-14b", leave_it_to_reel, 8, 80);
    CHECK(roomy.mesh.tensor == 1 && roomy.mesh.gathered == 0, "80 GB: tensor %lld",
          (long long)roomy.mesh.tensor);
    struct reel_plan tight = chosen("skyreels-v2-df-14b", leave_it_to_reel, 8, 24);
    struct reel_machine machine = gpus(24);
    CHECK(tight.mesh.tensor > 1 && tight.mesh.gathered == 0, "24 GB: resident weights fit when cut");
    CHECK(reel_plan_fullest(&tight, &machine) <= machine.room_bytes, "it does not fit");
    struct reel_mesh one_part = leave_it_to_reel;
    one_part.tensor = 1;
    CHECK(chosen("skyreels-v2-df-14b", one_part, 8, 24).mesh.gathered == 1, "24 GB without tensor: gathered");
    CHECK(chosen("skyreels-v2-df-14b", one_part, 8, 80).mesh.gathered == 0, "80 GB without tensor: resident");
}

static void more_ranks_than_heads_have_a_head_each(void)
{
    struct reel_plan plan = chosen("skyreels-v2-df-14b", leave_it_to_reel, 72, 48);
    for (int64_t rank = 0; rank < 72; rank++)
        CHECK(reel_plan_own_heads(&plan, reel_plan_coords(&plan, rank)).count > 0, "rank %lld has none",
              (long long)rank);
}

static void explicit_ways_are_kept(void)
{
    for (int64_t tensor = 1; tensor <= 8; tensor *= 2)
        for (int64_t gathered = 0; gathered <= 1; gathered++) {
            struct reel_mesh asked = leave_it_to_reel;
            asked.tensor = tensor;
            asked.gathered = gathered;
            struct reel_plan plan = chosen("skyreels-v2-df-14b", asked, 16, 0);
            CHECK(plan.mesh.tensor == tensor && plan.mesh.gathered == gathered, "tensor %lld, gathered %lld",
                  (long long)plan.mesh.tensor, (long long)plan.mesh.gathered);
        }
    struct reel_mesh all = {1, 2, 4, 2, 1};
    struct reel_plan plan = chosen("skyreels-v2-df-14b", all, 16, 0);
    CHECK(memcmp(&plan.mesh, &all, sizeof all) == 0, "another mesh");
    struct reel_mesh asked = leave_it_to_reel;
    asked.gathered = 1;
    CHECK(chosen("skyreels-v2-df-1.3b", asked, 1, 0).mesh.gathered == 0,
          "one rank holds what it would gather");
}

/* If Ulysses is nearly as fast as a ring, it is chosen because its bits are those of one rank. If the heads
 * do not divide evenly, speed decides. */
static void the_bits_of_one_rank_are_worth_a_tenth(void)
{
    struct reel_mesh mesh = chosen("skyreels-v2-df-14b", leave_it_to_reel, 8, 80).mesh;
    CHECK(mesh.ring == 1 && mesh.tensor == 1, "8 ranks: ring %lld, tensor %lld", (long long)mesh.ring,
          (long long)mesh.tensor);
    /* 40 heads over 18 ranks: the largest part has 3, the average 2.2 */
    mesh = chosen("skyreels-v2-df-14b", leave_it_to_reel, 36, 80).mesh;
    CHECK(mesh.ring > 1 || mesh.tensor > 1, "36 ranks: ulysses %lld", (long long)mesh.ulysses);
}

static void the_choice_is_fast_and_the_same_every_time(void)
{
    static struct reel_candidates candidates;
    static const int64_t counts[] = {1, 2, 3, 5, 8, 12, 36, 72, 720};
    struct reel_model model = model_of("skyreels-v2-df-14b");
    struct reel_machine machine = gpus(48);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        char why[REEL_WHY_BYTES];
        struct reel_plan a = chosen("skyreels-v2-df-14b", leave_it_to_reel, counts[c], 48);
        struct reel_plan b = chosen("skyreels-v2-df-14b", leave_it_to_reel, counts[c], 48);
        CHECK(memcmp(&a, &b, sizeof a) == 0, "two choices differ");
        CHECK(reel_candidates_make(&model, &work, &leave_it_to_reel, counts[c], &machine, &candidates) ==
                      REEL_OK &&
                  candidates.chosen >= 0,
              "%lld ranks", (long long)counts[c]);
        const struct reel_candidate *taken = &candidates.at[candidates.chosen];
        CHECK(memcmp(&taken->mesh, &a.mesh, sizeof a.mesh) == 0, "the list says another");
        /* a mesh with the bits of one rank may take a tenth longer */
        int moves = taken->mesh.ring == 1 && taken->mesh.tensor == 1;
        for (int64_t i = 0; i < candidates.fitting; i++)
            CHECK(taken->seconds <= (moves ? 1.021 * 1.1 : 1.021) * candidates.at[i].seconds ||
                      candidates.at[i].mesh.gathered,
                  "%lld ranks: %g s, and %g s would fit", (long long)counts[c], taken->seconds,
                  candidates.at[i].seconds);
        reel_candidates_why(&candidates, why);
        CHECK(strstr(why, counts[c] == 1 ? "only mesh" : "fastest of"), "%s", why);
    }
}

static void what_is_impossible_is_refused_with_a_sentence(void)
{
    static const struct {
        struct reel_mesh asked;
        int64_t ranks, branches;
        const char *words;
    } cases[] = {
        {{1, 1, 3, 1, 0}, 2, 2, "cfg 1 x ring 1 x ulysses 3 x tensor 1 are not 2 ranks"},
        {{-1, -1, 3, -1, -1}, 2, 2, "partition.cfg auto x ring auto x ulysses 3 x tensor auto has 2 ranks"},
        {{-1, 1, -1, -1, -1}, 14, 2, "expected ways whose product is the number of ranks"},
        {{2, -1, -1, -1, -1}, 4, 1, "sampler.guidance_scale 1 leaves one branch"},
        {{-1, -1, -1, -1, -1}, 2000, 2, "2000 ranks, expected 1 to 1024"}};
    struct reel_model model = model_of("tiny");
    struct reel_machine machine = gpus(0);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct reel_plan plan;
        struct reel_workload some = work;
        some.branches = cases[c].branches;
        reel_error_clear();
        CHECK(reel_plan_choose(&model, &some, &cases[c].asked, cases[c].ranks, &machine, &plan, NULL) ==
                  REEL_BAD_PLAN,
              "case %zu", c);
        CHECK(strstr(reel_error_here()->cause, cases[c].words), "%s", reel_error_here()->cause);
    }
    reel_error_clear();
}

static void when_nothing_fits_it_says_what_is_needed(void)
{
    struct reel_model model = model_of("skyreels-v2-df-14b");
    struct reel_machine machine = gpus(24);
    struct reel_plan plan;
    CHECK(reel_plan_choose(&model, &work, &leave_it_to_reel, 1, &machine, &plan, NULL) == REEL_BAD_PLAN,
          "it fits");
    CHECK(strstr(reel_error_here()->cause, "rank 0 of 1 needs") &&
              strstr(reel_error_here()->cause, "may take 24.000 GB"),
          "%s", reel_error_here()->cause);
    reel_error_clear();
    int64_t ranks = reel_ranks_that_fit(&model, &work, &leave_it_to_reel, 1, REEL_PARTS_MAX, &machine);
    CHECK(ranks > 1 &&
              reel_plan_choose(&model, &work, &leave_it_to_reel, ranks, &machine, &plan, NULL) == REEL_OK &&
              reel_plan_choose(&model, &work, &leave_it_to_reel, ranks - 1, &machine, &plan, NULL) ==
                  REEL_BAD_PLAN,
          "%lld ranks are not the fewest", (long long)ranks);
    reel_error_clear();
    machine.room_bytes = 1000;
    CHECK(reel_ranks_that_fit(&model, &work, &leave_it_to_reel, 1, REEL_PARTS_MAX, &machine) == 0,
          "it fits 1 kB");
}

static void a_mesh_is_written_in_a_few_letters(void)
{
    char text[REEL_MESH_TEXT_BYTES];
    reel_mesh_text(&(struct reel_mesh){2, 1, 4, 1, 1}, text);
    CHECK(strcmp(text, "cfg 2 x ulysses 4, gathered") == 0, "%s", text);
    reel_mesh_text(&(struct reel_mesh){1, 1, 1, 1, 0}, text);
    CHECK(strcmp(text, "one rank") == 0, "%s", text);
}

int main(void)
{
    RUN(two_ranks_take_a_branch_each);
    RUN(without_guidance_no_branches_are_cut);
    RUN(little_memory_cuts_the_weights);
    RUN(more_ranks_than_heads_have_a_head_each);
    RUN(explicit_ways_are_kept);
    RUN(the_bits_of_one_rank_are_worth_a_tenth);
    RUN(the_choice_is_fast_and_the_same_every_time);
    RUN(what_is_impossible_is_refused_with_a_sentence);
    RUN(when_nothing_fits_it_says_what_is_needed);
    RUN(a_mesh_is_written_in_a_few_letters);
    return test_end();
}
