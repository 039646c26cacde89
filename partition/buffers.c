/* From a table of buffers to a map of a rank's memory. */
#include "buffers.h"

#include <string.h>

const char *reel_memory_name(enum reel_memory memory)
{
    static const char *const names[REEL_MEMORIES] = {"weights",           "activations",       "embedding",
                                                     "teacache_previous", "teacache_residual", "context",
                                                     "latents",           "communication",     "libraries"};
    return names[memory];
}

static int64_t ceiling(int64_t whole, int64_t parts)
{
    return (whole + parts - 1) / parts;
}

static struct reel_counts counts_of(const struct reel_plan *plan, const struct reel_network *network,
                                    int64_t rank)
{
    struct reel_coords coords = reel_plan_coords(plan, rank);
    struct reel_cut inner = reel_plan_inner(plan);
    int64_t frame = plan->work.H * plan->work.W, L = plan->work.window_frames * frame,
            C = reel_model_head_channels(&plan->model), patch = reel_model_patch_latents(&plan->model);
    return (struct reel_counts){.plan = plan,
                                .network = network,
                                .rank = rank,
                                .b = reel_dtype_bytes(plan->work.dtype),
                                .D = plan->model.width,
                                .C = C,
                                .L = L,
                                .n = ceiling(L, reel_plan_parts(plan)),
                                .g = ceiling(L, plan->mesh.ring * plan->mesh.ulysses),
                                .l = ceiling(L, plan->mesh.ring),
                                .d = reel_plan_tensor_heads(plan, coords).count * C,
                                .f = reel_cut_count(&inner, coords.tensor),
                                .h = reel_plan_own_heads(plan, coords).count,
                                .patch = patch,
                                .plane = patch * frame,
                                .branches = reel_plan_branches(plan)};
}

int64_t reel_counts_weights(const struct reel_counts *c, int phase)
{
    struct reel_layout layout = reel_plan_layout(c->plan, c->network, c->rank, phase);
    return layout.global_bytes + c->network->layers * reel_plan_share(c->plan, &layout, c->rank).count;
}

static int64_t padded(int64_t bytes)
{
    return ceiling(bytes, REEL_BUFFER_UNIT) * REEL_BUFFER_UNIT;
}

static int is_in_use(const struct reel_buffer_spec *spec, int phase)
{
    return spec->first_phase <= phase && phase <= spec->last_phase;
}

/* Bytes of a block that are in use in a phase, padding included. */
static int64_t used_bytes(const struct reel_buffer_table *table, const int64_t *bytes, int on_host, int phase)
{
    int64_t used = 0;
    for (int b = 0; b < table->count; b++)
        if (table->specs[b].on_host == on_host && is_in_use(&table->specs[b], phase))
            used += padded(bytes[b]);
    return used;
}

static struct reel_memory_block fullest_of(const struct reel_buffer_table *table, const int64_t *bytes,
                                           int on_host)
{
    struct reel_memory_block block = {.bytes = 0};
    for (int phase = 0; phase < table->phases; phase++) {
        int64_t used = used_bytes(table, bytes, on_host, phase);
        if (used >= block.bytes)
            block = (struct reel_memory_block){used, phase};
    }
    return block;
}

/* Fills the map except for the offsets. */
static void measure_buffers(const struct reel_buffer_table *table, const struct reel_plan *plan, int64_t rank,
                            struct reel_memory_map *map)
{
    struct reel_network network;
    table->network(&plan->model, &network);
    struct reel_counts counts = counts_of(plan, &network, rank);
    memset(map, 0, sizeof *map);
    for (int b = 0; b < table->count; b++)
        map->bytes[b] = table->specs[b].bytes(&counts);
    map->device = fullest_of(table, map->bytes, 0);
    map->host = fullest_of(table, map->bytes, 1);
    for (int b = 0; b < table->count; b++) {
        const struct reel_buffer_spec *spec = &table->specs[b];
        const struct reel_memory_block *block = spec->on_host ? &map->host : &map->device;
        if (is_in_use(spec, block->fullest_phase))
            map->held[plan->work.expanded ? spec->memory_expanded : spec->memory] += map->bytes[b];
    }
}

void reel_memory_held(const struct reel_buffer_table *table, const struct reel_plan *plan, int64_t rank,
                      int64_t held[REEL_MEMORIES])
{
    struct reel_memory_map map;
    measure_buffers(table, plan, rank, &map);
    memcpy(held, map.held, sizeof map.held);
}

int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer)
{
    int64_t bytes[REEL_BUFFERS];
    reel_plan_table(plan, rank, bytes);
    return bytes[buffer];
}

void reel_plan_table(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS])
{
    struct reel_memory_map map;
    measure_buffers(&reel_buffers, plan, rank, &map);
    memcpy(bytes, map.bytes, REEL_BUFFERS * sizeof *bytes);
}

/* Whether two buffers are of one block and in use at one time. */
static int meet(const struct reel_buffer_spec *a, const struct reel_buffer_spec *b)
{
    return a->on_host == b->on_host && a->first_phase <= b->last_phase && b->first_phase <= a->last_phase;
}

/* The lowest offset at which a buffer meets none of the `count` buffers that are placed. */
static int64_t lowest_offset(const struct reel_buffer_table *table, const struct reel_memory_map *map,
                             const int *placed, int count, int buffer)
{
    int64_t offset = 0, bytes = padded(map->bytes[buffer]);
    for (int moved = 1; moved;) {
        moved = 0;
        for (int p = 0; p < count; p++) {
            int other = placed[p];
            int64_t first = map->offset[other], end = first + padded(map->bytes[other]);
            if (meet(&table->specs[buffer], &table->specs[other]) && offset < end && first < offset + bytes) {
                offset = end;
                moved = 1;
            }
        }
    }
    return offset;
}

void reel_memory_map_make(const struct reel_buffer_table *table, const struct reel_plan *plan, int64_t rank,
                          struct reel_memory_map *map)
{
    int placed[REEL_BUFFERS_MAX], count = 0;
    measure_buffers(table, plan, rank, map);
    for (int phases = table->phases; phases > 0; phases--)
        for (int b = 0; b < table->count; b++) {
            const struct reel_buffer_spec *spec = &table->specs[b];
            struct reel_memory_block *block = spec->on_host ? &map->host : &map->device;
            if (spec->last_phase - spec->first_phase + 1 != phases || map->bytes[b] == 0)
                continue;
            map->offset[b] = lowest_offset(table, map, placed, count, b);
            placed[count++] = b;
            if (map->offset[b] + padded(map->bytes[b]) > block->bytes)
                block->bytes = map->offset[b] + padded(map->bytes[b]);
        }
}
