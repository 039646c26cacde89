/* FLOPs are those of the published sizes, whatever the mesh; seconds follow from a device's rates. */
#include "estimate.h"
#include "test.h"

#include <math.h>

static struct reel_workload work_of(int64_t H, int64_t W, int64_t frames, int64_t branches)
{
    return (struct reel_workload){.H = H,
                                  .W = W,
                                  .video_frames = frames,
                                  .chunk_frames = frames,
                                  .window_frames = frames,
                                  .branches = branches,
                                  .embedding_rows = frames,
                                  .dtype = REEL_BF16,
                                  .matrix_dtype = REEL_BF16};
}

static struct reel_plan plan_of(const char *preset, const struct reel_workload *work, struct reel_mesh mesh)
{
    struct reel_model model;
    struct reel_plan plan;
    reel_model_preset(preset, &model);
    CHECK(reel_plan_make(&model, work, &mesh, mesh.cfg * mesh.ring * mesh.ulysses * mesh.tensor, &plan) ==
              REEL_OK,
          "%s", reel_error_here()->cause);
    return plan;
}

static const struct reel_mesh alone = {1, 1, 1, 1, 0};

/* The published FLOPs of one forward pass with its prompt and a timestep per frame, and the share of
 * self-attention in percent. */
static void one_rank_computes_the_published_flops(void)
{
    static const struct {
        const char *preset;
        int64_t H, W, frames;
        double teraflops, share;
    } published[] = {
        {"wan2.1-t2v-14b", 30, 52, 21, 1678.4, 52.4},  {"wan2.1-t2v-14b", 34, 60, 25, 3373.7, 63.2},
        {"wan2.1-t2v-14b", 45, 80, 31, 12920.0, 79.0}, {"wan2.1-t2v-1.3b", 30, 52, 21, 283.0, 69.9},
        {"wan2.1-t2v-1.3b", 34, 60, 25, 611.9, 78.3},  {"wan2.1-t2v-1.3b", 45, 80, 31, 2585.5, 88.8}};
    for (size_t c = 0; c < sizeof published / sizeof published[0]; c++) {
        struct reel_workload work = work_of(published[c].H, published[c].W, published[c].frames, 1);
        struct reel_plan plan = plan_of(published[c].preset, &work, alone);
        struct reel_flops forward = reel_flops_iteration(&plan, 0, published[c].frames);
        double context = (double)(reel_flops_prompt(&plan, 0).gemm + reel_flops_embedding(&plan).gemm);
        double total = 1e-12 * ((double)forward.gemm + (double)forward.attention + context);
        int64_t L = published[c].H * published[c].W * published[c].frames;
        double self = 4e-12 * (double)plan.model.layers * (double)(L * L) * (double)plan.model.width;
        CHECK(fabs(total - published[c].teraflops) < 1e-3 * published[c].teraflops,
              "%s: %.1f TFLOP, expected %.1f", published[c].preset, total, published[c].teraflops);
        CHECK(fabs(100 * self / total - published[c].share) < 0.1, "attention is %.1f %%",
              100 * self / total);
        CHECK(1e-12 * (double)forward.attention > self && 1e-12 * (double)forward.attention < 1.05 * self,
              "attention %.1f TFLOP", 1e-12 * (double)forward.attention);
    }
}

static void an_image_adds_its_keys_and_values(void)
{
    struct reel_workload work = work_of(30, 52, 21, 1);
    struct reel_plan plan = plan_of("wan2.1-t2v-14b", &work, alone);
    struct reel_flops text = reel_flops_iteration(&plan, 0, 21);
    plan.model.in_channels = 36;
    plan.model.image_rows = 257;
    plan.model.image_width = 1280;
    struct reel_flops image = reel_flops_iteration(&plan, 0, 21);
    double more = 1e-12 * (double)(image.gemm - text.gemm + image.attention - text.attention +
                                   reel_flops_image(&plan, 0).gemm);
    CHECK(fabs(more - (1686.4 - 1678.4)) < 0.1, "%.2f TFLOP more", more);
}

/* The FLOPs of the ranks of a branch add up to those of one rank, even with uneven parts or causal blocks. */
static void ranks_share_the_work_exactly(void)
{
    static const struct reel_mesh meshes[] = {{1, 1, 8, 1, 0}, {1, 8, 1, 1, 1}, {1, 1, 1, 8, 0},
                                              {1, 3, 5, 1, 0}, {1, 3, 1, 7, 1}, {1, 1, 6, 6, 0},
                                              {1, 9, 2, 4, 0}, {1, 2, 3, 12, 1}};
    for (int64_t block = 0; block <= 5; block += 5)
        for (size_t c = 0; c < sizeof meshes / sizeof meshes[0]; c++) {
            struct reel_workload work = work_of(34, 60, 25, 2);
            work.causal_block = block;
            struct reel_plan one = plan_of("skyreels-v2-df-14b", &work, alone);
            struct reel_plan plan = plan_of("skyreels-v2-df-14b", &work, meshes[c]);
            struct reel_flops whole = reel_flops_iteration(&one, 0, 25), sum = {0, 0};
            for (int64_t rank = 0; rank < plan.ranks; rank++) {
                struct reel_flops flops = reel_flops_iteration(&plan, rank, 25);
                sum.gemm += flops.gemm;
                sum.attention += flops.attention;
            }
            CHECK(sum.gemm == whole.gemm && sum.attention == whole.attention,
                  "mesh %zu: %.17g and %.17g, expected %.17g and %.17g", c, sum.gemm, sum.attention,
                  whole.gemm, whole.attention);
        }
}

static void causal_blocks_leave_out_what_lies_ahead(void)
{
    struct reel_workload work = work_of(34, 60, 25, 1);
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", &work, alone);
    double L = 25 * 34 * 60, all = reel_flops_iteration(&plan, 0, 25).attention;
    plan.work.causal_block = 5; /* five blocks: (5 + 1) / (2 x 5) of all pairs of query and key */
    double causal = reel_flops_iteration(&plan, 0, 25).attention;
    CHECK(all - causal == 40 * 4 * 5120 * (L * L / 10 * 4), "%g FLOPs less", all - causal);
}

static struct reel_machine machine_of(int64_t ranks_per_node)
{
    return (struct reel_machine){.device = {.gemm_rate = 1e14,
                                            .attention_rate = 5e13,
                                            .memory_rate = 1e12,
                                            .near_rate = 1e11,
                                            .far_rate = 1e10},
                                 .ranks_per_node = ranks_per_node};
}

static void seconds_are_the_sum_of_their_parts(void)
{
    struct reel_workload work = work_of(34, 60, 25, 2);
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", &work, alone);
    struct reel_machine machine = machine_of(8);
    struct reel_estimate e = reel_estimate_iteration(&plan, &machine, 25);
    struct reel_flops flops = reel_flops_iteration(&plan, 0, 25);
    CHECK(fabs(e.gemm - (double)flops.gemm / 1e14) < 1e-9 * e.gemm, "gemm %g s", e.gemm);
    CHECK(fabs(e.attention - (double)flops.attention / 5e13) < 1e-9 * e.attention, "attention %g s",
          e.attention);
    CHECK(e.waiting == 0 && e.passes > 0 && e.passes < 0.1 * e.gemm, "passes %g s", e.passes);
    CHECK(fabs(e.seconds - e.gemm - e.attention - e.passes) < 1e-9 * e.seconds, "%g s", e.seconds);
}

/* Nine ranks, eight per host: the ninth has no peer on its host, and the others wait for it. */
static void links_between_hosts_are_slower(void)
{
    struct reel_workload work = work_of(34, 60, 25, 1);
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", &work, (struct reel_mesh){1, 1, 9, 1, 0});
    struct reel_machine together = machine_of(9), apart = machine_of(8), one_rank_each = machine_of(1);
    double near = reel_estimate_iteration(&plan, &together, 25).waiting;
    double far = reel_estimate_iteration(&plan, &apart, 25).waiting;
    double farthest = reel_estimate_iteration(&plan, &one_rank_each, 25).waiting;
    CHECK(fabs(far - 10 * near) < 1e-6 * far && far == farthest, "%g s near, %g s far, %g s apart", near, far,
          farthest);
}

static void what_travels_beside_computing_costs_only_what_is_longer(void)
{
    struct reel_workload work = work_of(34, 60, 25, 1);
    struct reel_plan ring = plan_of("skyreels-v2-df-14b", &work, (struct reel_mesh){1, 8, 1, 1, 0});
    struct reel_plan held = plan_of("skyreels-v2-df-14b", &work, (struct reel_mesh){1, 1, 8, 1, 0});
    struct reel_plan gathered = plan_of("skyreels-v2-df-14b", &work, (struct reel_mesh){1, 1, 8, 1, 1});
    struct reel_machine fast = machine_of(8), slow = machine_of(8);
    slow.device.near_rate = 1e8;
    double hidden = reel_estimate_iteration(&ring, &fast, 25).waiting;
    CHECK(hidden < 0.02 && hidden >= 0, "keys of a fast link are waited for: %g s", hidden);
    CHECK(reel_estimate_iteration(&ring, &slow, 25).waiting > 100, "a slow ring is not waited for");
    CHECK(reel_estimate_iteration(&gathered, &fast, 25).seconds ==
              reel_estimate_iteration(&held, &fast, 25).seconds,
          "gathering on a fast link takes time");
    CHECK(reel_estimate_iteration(&gathered, &slow, 25).seconds >
              reel_estimate_iteration(&held, &slow, 25).seconds,
          "gathering on a slow link takes none");
}

static void with_causal_blocks_the_last_of_the_ring_counts(void)
{
    struct reel_workload work = work_of(34, 60, 25, 1);
    work.causal_block = 5;
    struct reel_plan plan = plan_of("skyreels-v2-df-14b", &work, (struct reel_mesh){1, 5, 1, 1, 0});
    struct reel_machine machine = machine_of(8);
    double last = (double)reel_flops_iteration(&plan, 4, 25).attention / 5e13;
    CHECK(fabs(reel_estimate_iteration(&plan, &machine, 25).attention - last) < 1e-9 * last, "not the last");
}

int main(void)
{
    RUN(one_rank_computes_the_published_flops);
    RUN(an_image_adds_its_keys_and_values);
    RUN(ranks_share_the_work_exactly);
    RUN(causal_blocks_leave_out_what_lies_ahead);
    RUN(seconds_are_the_sum_of_their_parts);
    RUN(links_between_hosts_are_slower);
    RUN(what_travels_beside_computing_costs_only_what_is_longer);
    RUN(with_causal_blocks_the_last_of_the_ring_counts);
    return test_end();
}
