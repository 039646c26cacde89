/* Buffers of one phase lie apart, those of different phases share memory, and a block is as large as its
 * fullest phase. */
#include "buffers.h"
#include "test.h"

#include <string.h>

static int64_t padded(int64_t bytes)
{
    return (bytes + REEL_BUFFER_UNIT - 1) / REEL_BUFFER_UNIT * REEL_BUFFER_UNIT;
}

static int is_in_use(const struct reel_buffer_spec *spec, int phase)
{
    return spec->first_phase <= phase && phase <= spec->last_phase;
}

/* The number of pairs of buffers that are in use in one phase and overlap. */
static int64_t overlaps(const struct reel_buffer_table *table, const struct reel_memory_map *map)
{
    int64_t count = 0;
    for (int phase = 0; phase < table->phases; phase++)
        for (int a = 0; a < table->count; a++)
            for (int b = 0; b < a; b++) {
                const struct reel_buffer_spec *left = &table->specs[a], *right = &table->specs[b];
                if (left->on_host == right->on_host && is_in_use(left, phase) && is_in_use(right, phase))
                    count += map->offset[a] < map->offset[b] + map->bytes[b] &&
                             map->offset[b] < map->offset[a] + map->bytes[a];
            }
    return count;
}

/* The bytes that are in use in the fullest phase of a block, and of which category without padding. */
static struct reel_memory_block fullest_of(const struct reel_buffer_table *table,
                                           const struct reel_memory_map *map, int on_host)
{
    struct reel_memory_block block = {.bytes = 0};
    for (int phase = 0; phase < table->phases; phase++) {
        int64_t used = 0;
        for (int b = 0; b < table->count; b++)
            if (table->specs[b].on_host == on_host && is_in_use(&table->specs[b], phase))
                used += padded(map->bytes[b]);
        if (used >= block.bytes)
            block = (struct reel_memory_block){used, phase};
    }
    return block;
}

static void check_map(const struct reel_buffer_table *table, const struct reel_memory_map *map)
{
    int64_t outside = 0, held = 0, in_use = 0;
    struct reel_memory_block device = fullest_of(table, map, 0), host = fullest_of(table, map, 1);
    CHECK(overlaps(table, map) == 0, "%lld buffers overlap", (long long)overlaps(table, map));
    CHECK(map->device.bytes == device.bytes && map->host.bytes == host.bytes,
          "%lld and %lld bytes, expected %lld and %lld", (long long)map->device.bytes,
          (long long)map->host.bytes, (long long)device.bytes, (long long)host.bytes);
    CHECK(map->device.fullest_phase == device.fullest_phase && map->host.fullest_phase == host.fullest_phase,
          "phases %d and %d", map->device.fullest_phase, map->host.fullest_phase);
    for (int b = 0; b < table->count; b++) {
        int on_host = table->specs[b].on_host;
        outside += map->offset[b] % REEL_BUFFER_UNIT != 0 || map->offset[b] < 0 ||
                   map->offset[b] + map->bytes[b] > (on_host ? host : device).bytes;
        if (is_in_use(&table->specs[b], (on_host ? host : device).fullest_phase))
            in_use += map->bytes[b];
    }
    for (int m = 0; m < REEL_MEMORIES; m++)
        held += map->held[m];
    CHECK(outside == 0, "%lld buffers leave their block", (long long)outside);
    CHECK(held == in_use, "%lld bytes in all categories, expected %lld", (long long)held, (long long)in_use);
}

static struct reel_workload work_of(int64_t frames)
{
    return (struct reel_workload){.H = 8,
                                  .W = 8,
                                  .video_frames = frames,
                                  .chunk_frames = 2,
                                  .window_frames = 2,
                                  .branches = 2,
                                  .embedding_rows = 30,
                                  .dtype = REEL_F32,
                                  .matrix_dtype = REEL_F32,
                                  .scratch_bytes = 2000};
}

static void maps_of_every_mesh_are_tight(void)
{
    static const char *const presets[] = {"tiny", "skyreels-v2-df-1.3b"};
    for (size_t p = 0; p < sizeof presets / sizeof presets[0]; p++)
        for (int64_t ways = 0; ways < 16; ways++)
            for (int64_t expanded = 0; expanded <= 1; expanded++) {
                struct reel_model model;
                struct reel_plan plan;
                struct reel_memory_map map;
                struct reel_workload work = work_of(5);
                struct reel_mesh mesh = {1 + ways / 8, 1 + ways / 4 % 2, 2, 1 + ways / 2 % 2, ways % 2};
                int64_t ranks = mesh.cfg * mesh.ring * mesh.ulysses * mesh.tensor;
                work.expanded = (int32_t)expanded;
                work.signal_rows = 6 * expanded;
                reel_model_preset(presets[p], &model);
                CHECK(reel_plan_make(&model, &work, &mesh, ranks, &plan) == REEL_OK, "%s",
                      reel_error_here()->cause);
                for (int64_t rank = 0; rank < ranks; rank++) {
                    int64_t held[REEL_MEMORIES];
                    reel_memory_map_make(&reel_buffers, &plan, rank, &map);
                    check_map(&reel_buffers, &map);
                    reel_memory_held(&reel_buffers, &plan, rank, held);
                    CHECK(memcmp(held, map.held, sizeof held) == 0, "held is not the map's");
                    CHECK(map.bytes[REEL_TOKENS_X] == reel_plan_bytes(&plan, rank, REEL_TOKENS_X),
                          "%lld bytes", (long long)map.bytes[REEL_TOKENS_X]);
                }
            }
}

/* A wide and shallow model, with a video of many small frames: the weights of the time embedding are most of
 * a rank's weights, and the block of the device is as large as they need. The host's buffers do not count. */
static void the_start_may_be_the_fullest_phase(void)
{
    struct reel_model model;
    struct reel_plan plan;
    struct reel_memory_map map;
    struct reel_mesh mesh = {.cfg = 1, .ring = 1, .ulysses = 1, .tensor = 4};
    reel_model_preset("skyreels-v2-df-1.3b", &model);
    model.layers = 1;
    for (int64_t frames = 1; frames <= 1 << 14; frames *= 2) {
        struct reel_workload work = work_of(frames);
        work.branches = 1;
        CHECK(reel_plan_make(&model, &work, &mesh, 4, &plan) == REEL_OK, "%s", reel_error_here()->cause);
        reel_memory_map_make(&reel_buffers, &plan, 3, &map);
        check_map(&reel_buffers, &map);
        CHECK(map.device.fullest_phase == REEL_PHASE_EMBEDDING, "sampling is fuller");
        CHECK(map.held[REEL_MEMORY_WEIGHTS] ==
                  map.bytes[REEL_EMBEDDING_WEIGHTS] + map.bytes[REEL_EMBEDDING_WORK],
              "%lld bytes of weights", (long long)map.held[REEL_MEMORY_WEIGHTS]);
        CHECK(map.host.fullest_phase == REEL_PHASE_SAMPLING && map.held[REEL_MEMORY_LATENTS] > 0,
              "the video is not held");
    }
    /* all tensors of the time embedding as float, and 64 rows of the largest layer */
    CHECK(map.bytes[REEL_EMBEDDING_WEIGHTS] == 4 * (2755584 + 14164992 + 16528896), "%lld",
          (long long)map.bytes[REEL_EMBEDDING_WEIGHTS]);
    CHECK(map.bytes[REEL_EMBEDDING_WORK] == 4 * 64 * (256 + 2 * 1536), "%lld",
          (long long)map.bytes[REEL_EMBEDDING_WORK]);
}

static void the_weights_of_both_phases_share_memory(void)
{
    struct reel_model model;
    struct reel_plan plan;
    struct reel_memory_map map;
    struct reel_workload work = work_of(5);
    reel_model_preset("skyreels-v2-df-1.3b", &model);
    CHECK(reel_plan_make(&model, &work, &(struct reel_mesh){1, 1, 1, 1, 0}, 1, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    reel_memory_map_make(&reel_buffers, &plan, 0, &map);
    CHECK(map.offset[REEL_EMBEDDING_WEIGHTS] == map.offset[REEL_WEIGHTS], "%lld, %lld",
          (long long)map.offset[REEL_EMBEDDING_WEIGHTS], (long long)map.offset[REEL_WEIGHTS]);
}

static int64_t hundred(const struct reel_counts *counts)
{
    return counts->plan->work.video_frames * 100;
}

static int64_t thousand(const struct reel_counts *counts)
{
    return 10 * hundred(counts);
}

static int64_t nothing(const struct reel_counts *counts)
{
    (void)counts;
    return 0;
}

/* A table of three phases: what lives longest is placed first, and the others fill what is free below. */
static void any_table_is_placed_by_its_phases(void)
{
#define A REEL_MEMORY_ACTIVATIONS
#define W REEL_MEMORY_WEIGHTS
    static const struct reel_buffer_spec specs[] = {
        {"last", A, W, 0, hundred, 2, 2},   {"first", A, A, 0, thousand, 0, 0},
        {"always", A, A, 0, hundred, 0, 2}, {"middle", A, A, 0, hundred, 1, 1},
        {"none", A, A, 0, nothing, 0, 2},   {"later", A, W, 0, hundred, 1, 2},
        {"file", A, A, 1, hundred, 1, 1},   {"picture", A, A, 1, thousand, 2, 2}};
    static const struct reel_buffer_table table = {specs, 8, 3, reel_wan_network};
    static const int64_t offsets[] = {256, 128, 0, 256, 0, 128, 0, 0};
    struct reel_model model;
    struct reel_plan plan;
    struct reel_memory_map map;
    struct reel_workload work = work_of(1);
    reel_model_preset("tiny", &model);
    CHECK(reel_plan_make(&model, &work, &(struct reel_mesh){1, 1, 1, 1, 0}, 1, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    reel_memory_map_make(&table, &plan, 0, &map);
    check_map(&table, &map);
    for (int b = 0; b < table.count; b++)
        CHECK(map.offset[b] == offsets[b], "%s lies at %lld", specs[b].name, (long long)map.offset[b]);
    CHECK(map.device.bytes == 128 + 1024 && map.device.fullest_phase == 0, "device: %lld, phase %d",
          (long long)map.device.bytes, map.device.fullest_phase);
    CHECK(map.host.bytes == 1024 && map.host.fullest_phase == 2, "host: %lld, phase %d",
          (long long)map.host.bytes, map.host.fullest_phase);
    CHECK(map.held[A] == 100 + 1000 + 1000 && map.held[W] == 0, "%lld held", (long long)map.held[A]);
    map.offset[5] = 0;
    CHECK(overlaps(&table, &map) > 0, "an overlap is not noticed");
}

int main(void)
{
    RUN(maps_of_every_mesh_are_tight);
    RUN(the_start_may_be_the_fullest_phase);
    RUN(the_weights_of_both_phases_share_memory);
    RUN(any_table_is_placed_by_its_phases);
    return test_end();
}
