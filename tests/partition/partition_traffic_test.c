/* The bytes that a mesh sends are those of the formulas in traffic.h, and match the known figures at 14B. */
#include "test.h"
#include "traffic.h"

#include <math.h>

/* 81 frames at 480x832: 32,760 tokens; one branch in bf16. */
static struct reel_workload one_branch(void)
{
    return (struct reel_workload){.H = 30,
                                  .W = 52,
                                  .video_frames = 21,
                                  .chunk_frames = 21,
                                  .window_frames = 21,
                                  .branches = 1,
                                  .embedding_rows = 1,
                                  .dtype = REEL_BF16,
                                  .matrix_dtype = REEL_BF16};
}

/* Everything that a rank of the 14B model sends in one iteration. */
static int64_t sent_by(int64_t rank, struct reel_mesh mesh, const struct reel_workload *work,
                       int64_t sent[REEL_TRAFFIC_CLASSES])
{
    struct reel_model model;
    struct reel_plan plan;
    int64_t sum = 0;
    reel_model_preset("skyreels-v2-df-14b", &model);
    CHECK(reel_plan_make(&model, work, &mesh, mesh.cfg * mesh.ring * mesh.ulysses * mesh.tensor, &plan) ==
              REEL_OK,
          "%s", reel_error_here()->cause);
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        sent[p] = 0;
    reel_traffic_iteration(&plan, rank, (struct reel_iteration){work->window_frames, 1}, sent);
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        sum += sent[p];
    return sum;
}

static void eight_ranks_at_14b_send_the_known_amounts(void)
{
    static const struct {
        const char *name;
        struct reel_mesh mesh;
        double gigabytes;
    } cases[] = {{"ulysses", {1, 1, 8, 1, 0}, 5.9},
                 {"ulysses and gathered weights", {1, 1, 8, 1, 1}, 30.5},
                 {"ring", {1, 8, 1, 1, 0}, 23.5},
                 {"tensor", {1, 1, 1, 8, 0}, 70.5}};
    struct reel_workload work = one_branch();
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int64_t sent[REEL_TRAFFIC_CLASSES];
        double found = 1e-9 * (double)sent_by(0, cases[c].mesh, &work, sent);
        CHECK(fabs(found - cases[c].gigabytes) < 0.01 * cases[c].gigabytes, "%s: %.2f GB, expected %.1f",
              cases[c].name, found, cases[c].gigabytes);
    }
}

static void each_axis_sends_what_its_formula_says(void)
{
    struct reel_workload work = one_branch();
    int64_t sent[REEL_TRAFFIC_CLASSES], LD = 32760 * 5120LL;
    sent_by(3, (struct reel_mesh){1, 1, 8, 1, 0}, &work, sent);
    CHECK(sent[REEL_TRAFFIC_HEADS] + sent[REEL_TRAFFIC_TOKENS] == 40 * 2 * 4 * LD / 8 * 7 / 8,
          "ulysses: %lld bytes", (long long)(sent[REEL_TRAFFIC_HEADS] + sent[REEL_TRAFFIC_TOKENS]));
    sent_by(3, (struct reel_mesh){1, 8, 1, 1, 0}, &work, sent);
    CHECK(sent[REEL_TRAFFIC_KEYS] == 40 * 2 * 2 * LD / 8 * 7, "ring: %lld bytes",
          (long long)sent[REEL_TRAFFIC_KEYS]);
    sent_by(3, (struct reel_mesh){1, 1, 1, 8, 0}, &work, sent);
    CHECK(sent[REEL_TRAFFIC_COLUMNS] + sent[REEL_TRAFFIC_PARTIALS] == 40 * 2 * 6 * LD / 8 * 7,
          "tensor: %lld bytes", (long long)(sent[REEL_TRAFFIC_COLUMNS] + sent[REEL_TRAFFIC_PARTIALS]));
    CHECK(sent[REEL_TRAFFIC_NORMS] == 40 * 3 * 8 * 7 * 32760LL, "norms: %lld bytes",
          (long long)sent[REEL_TRAFFIC_NORMS]);
    sent_by(3, (struct reel_mesh){1, 1, 8, 1, 1}, &work, sent);
    CHECK(sent[REEL_TRAFFIC_WEIGHTS] == 40 * 2 * 7 * (351394304LL / 8), "weights: %lld bytes",
          (long long)sent[REEL_TRAFFIC_WEIGHTS]);
    work.branches = 2;
    sent_by(3, (struct reel_mesh){2, 1, 4, 1, 0}, &work, sent);
    CHECK(sent[REEL_TRAFFIC_VELOCITY] == 4 * 16 * 21 * 4 * 30 * 52LL, "velocity: %lld bytes",
          (long long)sent[REEL_TRAFFIC_VELOCITY]);
}

static void keys_that_no_query_sees_are_not_sent(void)
{
    struct reel_workload work = one_branch();
    int64_t all[REEL_TRAFFIC_CLASSES], first[REEL_TRAFFIC_CLASSES], last[REEL_TRAFFIC_CLASSES];
    sent_by(0, (struct reel_mesh){1, 7, 1, 1, 0}, &work, all);
    work.causal_block = 3; /* seven blocks, one per segment: every segment sees those before it */
    sent_by(0, (struct reel_mesh){1, 7, 1, 1, 0}, &work, first);
    sent_by(6, (struct reel_mesh){1, 7, 1, 1, 0}, &work, last);
    CHECK(first[REEL_TRAFFIC_KEYS] == all[REEL_TRAFFIC_KEYS], "the first segment is seen by all");
    CHECK(last[REEL_TRAFFIC_KEYS] == 0, "the last segment is sent: %lld bytes",
          (long long)last[REEL_TRAFFIC_KEYS]);
}

static void gathered_blocks_serve_both_branches(void)
{
    struct reel_workload work = one_branch();
    int64_t one[REEL_TRAFFIC_CLASSES], two[REEL_TRAFFIC_CLASSES];
    sent_by(0, (struct reel_mesh){1, 2, 2, 1, 1}, &work, one);
    work.branches = 2;
    sent_by(0, (struct reel_mesh){1, 2, 2, 1, 1}, &work, two);
    CHECK(one[REEL_TRAFFIC_WEIGHTS] == two[REEL_TRAFFIC_WEIGHTS] &&
              2 * one[REEL_TRAFFIC_HEADS] == two[REEL_TRAFFIC_HEADS],
          "weights are gathered once per branch");
}

int main(void)
{
    RUN(eight_ranks_at_14b_send_the_known_amounts);
    RUN(each_axis_sends_what_its_formula_says);
    RUN(keys_that_no_query_sees_are_not_sent);
    RUN(gathered_blocks_serve_both_branches);
    return test_end();
}
