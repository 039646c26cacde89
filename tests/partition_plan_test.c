/* What the plan promises for 72 ranks can be asked on one. */
#include "plan.h"
#include "test.h"
#include "traffic.h"

#include <string.h>

static const struct reel_mesh leave_it_to_reel = {
    .cfg = REEL_AUTO_WAYS, .ring = REEL_AUTO_WAYS, .ulysses = REEL_AUTO_WAYS, .tensor = REEL_AUTO_WAYS};

/* 97 frames at 544x960. */
static const struct reel_workload work = {.H = 34,
                                          .W = 60,
                                          .video_frames = 65,
                                          .chunk_frames = 25,
                                          .window_frames = 25,
                                          .branches = 2,
                                          .embedding_rows = 31,
                                          .weights_bytes = 1000,
                                          .scratch_bytes = 2000};

static struct reel_plan plan_of(const char *preset, int64_t ranks)
{
    struct reel_model model;
    struct reel_plan plan;
    CHECK(reel_model_preset(preset, &model), "%s", preset);
    CHECK(reel_plan_make(&model, &work, &leave_it_to_reel, ranks, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    return plan;
}

static void no_activation_is_whole_on_a_rank(void)
{
    for (int64_t ranks = 1; ranks <= 40; ranks++) {
        struct reel_plan plan = plan_of("skyreels-v2-df-14b", ranks);
        int64_t ways = ranks % 2 == 0 ? ranks / 2 : ranks; /* the branches take the other half */
        int64_t tokens = (51000 + ways - 1) / ways, heads = (40 + ways - 1) / ways;
        for (int64_t rank = 0; rank < ranks; rank++) {
            CHECK(reel_plan_bytes(&plan, rank, REEL_TOKENS_X) == tokens * 5120 * 4, "tokens on %lld ranks",
                  (long long)ranks);
            CHECK(reel_plan_bytes(&plan, rank, REEL_HEADS_K) <= heads * 51000 * 128 * 4,
                  "heads on %lld ranks", (long long)ranks);
        }
    }
}

static void the_embedding_is_a_row_per_timestep(void)
{
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", 8);
    int64_t bytes =
        reel_plan_bytes(&plan, 3, REEL_EMBEDDING_E) + reel_plan_bytes(&plan, 3, REEL_EMBEDDING_E0);
    CHECK(bytes == 31 * 143360, "%lld bytes", (long long)bytes);
}

static void every_buffer_counts_in_one_category(void)
{
    struct reel_plan plan = plan_of("skyreels-v2-df-1.3b", 3);
    int64_t seen[REEL_MEMORIES] = {0};
    for (int b = 0; b < REEL_BUFFERS; b++)
        seen[reel_buffer_memory((enum reel_buffer)b)] += reel_plan_bytes(&plan, 2, (enum reel_buffer)b);
    CHECK(seen[REEL_MEMORY_WEIGHTS] == 1000, "weights %lld", (long long)seen[REEL_MEMORY_WEIGHTS]);
    CHECK(seen[REEL_MEMORY_ACTIVATIONS] > 0 && seen[REEL_MEMORY_CONTEXT] > 0 &&
              seen[REEL_MEMORY_LATENTS] > 0 && seen[REEL_MEMORY_COMMUNICATION] > 0,
          "a category is empty");
    CHECK(strcmp(reel_memory_name(REEL_MEMORY_TEACACHE_PREVIOUS), "teacache_previous") == 0, "%s",
          reel_memory_name(REEL_MEMORY_TEACACHE_PREVIOUS));
}

static void a_rank_without_a_head_is_refused(void)
{
    struct reel_model model;
    struct reel_plan plan;
    reel_model_preset("tiny", &model);
    reel_error_clear();
    CHECK(reel_plan_make(&model, &work, &leave_it_to_reel, 5, &plan) == REEL_BAD_PLAN, "5 ranks, 4 heads");
    CHECK(strstr(reel_error_here()->cause, "partition.ulysses is 5 for a model of 4 heads"), "%s",
          reel_error_here()->cause);
    reel_error_clear();
    CHECK(reel_plan_make(&model, &work, &leave_it_to_reel, 2000, &plan) == REEL_BAD_PLAN, "2000 ranks");
    reel_error_clear();
}

static void branches_are_cut_where_there_are_two_and_an_even_number_of_ranks(void)
{
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", 8);
    CHECK(plan.mesh.cfg == 2 && plan.mesh.ulysses == 4, "8 ranks: cfg %lld", (long long)plan.mesh.cfg);
    for (int64_t rank = 0; rank < 8; rank++) {
        struct reel_seat seat = reel_plan_seat(&plan, rank);
        CHECK(seat.cfg == rank / 4 && seat.ulysses == rank % 4, "rank %lld", (long long)rank);
    }
    plan = plan_of("skyreels-v2-df-14b", 7);
    CHECK(plan.mesh.cfg == 1 && plan.mesh.ulysses == 7, "7 ranks: cfg %lld", (long long)plan.mesh.cfg);
    struct reel_workload alone = work;
    struct reel_model model = plan.model;
    struct reel_mesh mesh = leave_it_to_reel;
    alone.branches = 1;
    CHECK(reel_plan_make(&model, &alone, &mesh, 8, &plan) == REEL_OK && plan.mesh.cfg == 1, "one branch");
    mesh.cfg = 2;
    CHECK(reel_plan_make(&model, &alone, &mesh, 8, &plan) == REEL_BAD_PLAN, "cfg 2 of one branch");
    reel_error_clear();
    mesh.ulysses = 8;
    mesh.cfg = REEL_AUTO_WAYS;
    CHECK(reel_plan_make(&model, &work, &mesh, 8, &plan) == REEL_OK && plan.mesh.cfg == 1,
          "ulysses is given");
}

static void ulysses_sends_what_its_formula_says(void)
{
    struct reel_model model;
    struct reel_plan plan;
    struct reel_workload even = work;
    struct reel_mesh mesh = {.cfg = 1, .ring = 1, .ulysses = 8, .tensor = 1};
    int64_t sent[REEL_PURPOSES] = {0};
    reel_model_preset("skyreels-v2-df-14b", &model);
    even.H = 30;
    even.W = 52;
    CHECK(reel_plan_make(&model, &even, &mesh, 8, &plan) == REEL_OK, "%s", reel_error_here()->cause);
    reel_traffic_iteration(&plan, 3, 21, sent); /* 32,760 tokens; two branches */
    CHECK(sent[REEL_SENT_HEADS] + sent[REEL_SENT_TOKENS] == 2 * 40LL * 4 * 32760 * 5120 / 8 * 7 / 8 * 4,
          "%lld bytes", (long long)(sent[REEL_SENT_HEADS] + sent[REEL_SENT_TOKENS]));
    CHECK(sent[REEL_SENT_VELOCITY] == 0, "one rank has both branches");
}

static void a_plan_is_the_same_bytes_every_time(void)
{
    struct reel_plan a = plan_of("tiny", 3), b = plan_of("tiny", 3);
    CHECK(memcmp(&a, &b, sizeof a) == 0, "they differ");
}

int main(void)
{
    RUN(no_activation_is_whole_on_a_rank);
    RUN(the_embedding_is_a_row_per_timestep);
    RUN(every_buffer_counts_in_one_category);
    RUN(a_rank_without_a_head_is_refused);
    RUN(branches_are_cut_where_there_are_two_and_an_even_number_of_ranks);
    RUN(ulysses_sends_what_its_formula_says);
    RUN(a_plan_is_the_same_bytes_every_time);
    return test_end();
}
