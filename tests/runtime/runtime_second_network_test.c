/* A network that is not the transformer (encoder.h) is planned, cut, loaded, gathered and run by the same
 * code. */
#include "arena.h"
#include "block_weights.h"
#include "dtype.h"
#include "encoder.h"
#include "gpus.h"
#include "tensor_parallel.h"
#include "test.h"
#include "traffic.h"
#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE_BYTES = 1 << 16 };

/* The backends: of the host, and one whose memory the host cannot read. A GPU adds in another order. */
static const struct reel_ops *backends[] = {&reel_ops_cpu, &reel_ops_shadow};
static double bound = 1e-6;

static const struct reel_ops *ops = &reel_ops_cpu;
static enum reel_dtype dtype = REEL_F32;
static struct reel_comm comm;

static struct reel_scratch scratch_of(void)
{
    return (struct reel_scratch){.in = D, .channels = D / UNITS, .threads = 1, .weight_dtype = dtype};
}

static struct reel_plan plan_of(const struct reel_mesh *mesh)
{
    struct reel_model model = {.width = D,
                               .ffn = DENSE,
                               .heads = UNITS,
                               .layers = ENCODER_LAYERS,
                               .patch = 1,
                               .stride = 1};
    struct reel_scratch max = scratch_of();
    struct reel_workload work = {.H = 3,
                                 .W = 3,
                                 .video_frames = 3,
                                 .chunk_frames = 3,
                                 .window_frames = 3,
                                 .branches = 1,
                                 .dtype = dtype,
                                 .matrix_dtype = dtype,
                                 .scratch_bytes = reel_scratch_bytes(ops, &max)};
    struct reel_plan plan;
    CHECK(reel_plan_make(&model, &work, mesh, comm.world.size, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    return plan;
}

/* Calls see with the plan of every mesh of these ranks, a gathered one after the resident one of its ways. */
static void on_every_mesh(void (*see)(const struct reel_plan *plan, void *context), void *context)
{
    int64_t size = comm.world.size;
    for (int64_t ring = 1; ring <= size; ring++)
        for (int64_t ulysses = 1; ring * ulysses <= size; ulysses++)
            for (int64_t gather = 0; gather <= (ring * ulysses > 1); gather++) {
                struct reel_mesh mesh = {1, ring, ulysses, size / (ring * ulysses), gather};
                if (ring * ulysses * mesh.tensor != size || ulysses * mesh.tensor > UNITS)
                    continue;
                struct reel_plan plan = plan_of(&mesh);
                see(&plan, context);
            }
}

static int meet(const struct reel_buffer_spec *a, const struct reel_buffer_spec *b)
{
    return a->on_host == b->on_host && a->first_phase <= b->last_phase && b->first_phase <= a->last_phase;
}

static void see_map(const struct reel_plan *plan, void *context)
{
    const struct reel_buffer_spec *rows = encoder_buffers.specs;
    struct reel_memory_map map;
    struct reel_arena arena;
    int64_t used[2][ENCODER_PHASES] = {{0}}, overlaps = 0, wrong = 0, held = 0;
    (void)context;
    reel_memory_map_make(&encoder_buffers, plan, comm.world.rank, &map);
    for (int a = 0; a < ENCODER_BUFFERS; a++) {
        for (int b = 0; b < a; b++)
            overlaps += meet(&rows[a], &rows[b]) && map.offset[a] < map.offset[b] + map.bytes[b] &&
                        map.offset[b] < map.offset[a] + map.bytes[a];
        for (int phase = rows[a].first_phase; phase <= rows[a].last_phase; phase++)
            used[rows[a].on_host][phase] += (map.bytes[a] + 63) / 64 * 64;
    }
    CHECK(overlaps == 0, "%lld buffers overlap that are in use together", (long long)overlaps);
    CHECK(used[0][ENCODE] > used[0][RUN_BLOCKS], "encode is not the fullest phase");
    CHECK(map.device.bytes == used[0][ENCODE] && map.device.fullest_phase == ENCODE, "%lld bytes, phase %d",
          (long long)map.device.bytes, map.device.fullest_phase);
    CHECK(map.host.bytes == used[1][RUN_BLOCKS] && map.host.fullest_phase == RUN_BLOCKS, "%lld on the host",
          (long long)map.host.bytes);
    CHECK(map.offset[BLOCK_WEIGHTS] < map.offset[ENCODE_WORK] + map.bytes[ENCODE_WORK], "nothing is shared");
    CHECK(map.held[REEL_MEMORY_WEIGHTS] == map.bytes[ENCODE_WEIGHTS] &&
              map.held[REEL_MEMORY_LATENTS] == map.bytes[OUTPUT] && map.held[REEL_MEMORY_COMMUNICATION] == 0,
          "the categories are not those of the fullest phases");
    CHECK(reel_arena_open(&encoder_buffers, plan, comm.world.rank, ops, &arena) == REEL_OK, "%s",
          reel_error_here()->cause);
    CHECK(memcmp(arena.bytes, map.held, sizeof map.held) == 0, "the arena holds what is not planned");
    CHECK(arena.block_bytes == map.device.bytes && arena.total_bytes == map.device.bytes + map.host.bytes,
          "%lld bytes are allocated", (long long)arena.total_bytes);
    for (int b = 0; b < ENCODER_BUFFERS; b++) {
        char *block = rows[b].on_host ? arena.host : arena.block;
        wrong += arena.at[b] != (map.bytes[b] ? block + map.offset[b] : NULL);
        held += rows[b].on_host == 0 && rows[b].first_phase == ENCODE ? map.bytes[b] : 0;
    }
    for (int m = 0; m < REEL_MEMORIES; m++)
        held -= arena.bytes[m];
    CHECK(wrong == 0, "%lld buffers lie elsewhere", (long long)wrong);
    CHECK(held + map.bytes[OUTPUT] == 0, "the categories do not add up");
    reel_arena_close(&arena);
}

static void every_rank_holds_its_fullest_phase(void)
{
    on_every_mesh(see_map, NULL);
}


/* The model's files: seeded random weights, and the same from files of both layouts. */
enum source { RANDOM, NATIVE_FILE, DIFFUSERS_FILE, SOURCES };

static void open_source(enum source source, struct reel_model_files *files)
{
    struct reel_network network;
    char path[300];
    enum reel_naming naming = source == NATIVE_FILE ? REEL_NAMING_NATIVE : REEL_NAMING_DIFFUSERS;
    encoder_network(&(struct reel_model){.layers = ENCODER_LAYERS}, &network);
    snprintf(path, sizeof path, "%s/encoder-%d.safetensors", test_folder(), (int)source);
    if (source != RANDOM && comm.world.rank == 0)
        encoder_write(path, naming, -1);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(reel_model_open_network(source == RANDOM ? NULL : path, &network, files) == REEL_OK, "%s",
          reel_error_here()->cause);
}

static void a_file_without_one_of_its_tensors_is_refused(void)
{
    struct reel_network network;
    struct reel_model_files files;
    char path[300];
    encoder_network(&(struct reel_model){.layers = ENCODER_LAYERS}, &network);
    snprintf(path, sizeof path, "%s/lacks-%lld.safetensors", test_folder(), (long long)comm.world.rank);
    encoder_write(path, REEL_NAMING_DIFFUSERS, GATE_WEIGHT);
    CHECK(reel_model_open_network(path, &network, &files) == REEL_BAD_INPUT, "it is not refused");
    CHECK(strstr(reel_error_here()->cause,
                 "of the model's 22 tensors 1 are missing: encoder.layer.1.mlp.fc3.weight, and 0"),
          "%s", reel_error_here()->cause);
    reel_error_clear();
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The first of `total` things that a part has. */
static int64_t first_of(int64_t total, int64_t parts, int64_t part)
{
    return total / parts * part + smaller(part, total % parts);
}

static int64_t bytes_of(const struct reel_tensor_spec *spec)
{
    return spec->held_as == REEL_HELD_AS_FLOAT || dtype == REEL_F32 ? 4 : 2;
}

/* Writes a part's slice of a tensor to `to`, in the dtype in which it is held. Returns its bytes, padded. */
static int64_t put_slice(const struct reel_model_files *files, int tensor, int64_t layer, int64_t parts,
                         int64_t part, char *to)
{
    const struct reel_tensor_spec *spec = &files->network.tensors[tensor];
    int64_t all = reel_tensor_elements(&files->network, tensor), columns = all / spec->shape[0], count = 0;
    int64_t extent = spec->cut == REEL_CUT_COLUMNS ? columns : spec->shape[0], first = 0, end = extent;
    float values[D * D];
    if (spec->cut != REEL_CUT_NOTHING) {
        first = extent / spec->units * first_of(spec->units, parts, part);
        end = extent / spec->units * first_of(spec->units, parts, part + 1);
    }
    CHECK(reel_model_read(files, tensor, layer, 0, all, values) == REEL_OK, "%s", reel_error_here()->cause);
    for (int64_t i = 0; i < all; i++) {
        int64_t place = spec->cut == REEL_CUT_COLUMNS ? i % columns : i / columns;
        uint16_t half = reel_bf16_from_float(values[i]);
        if (place < first || place >= end)
            continue;
        memcpy(to + count, bytes_of(spec) == 2 ? (const void *)&half : &values[i], (size_t)bytes_of(spec));
        count += bytes_of(spec);
    }
    return (count + 63) / 64 * 64;
}

/* Every byte of a rank's weights in a phase, made from whole tensors: those outside the blocks, then of each
 * block all slices or the rank's share of them. Returns their number. */
static int64_t make_image(const struct reel_model_files *files, const struct reel_plan *plan, int phase,
                          char image[IMAGE_BYTES])
{
    const struct reel_network *network = &files->network;
    struct reel_coords coords = reel_plan_coords(plan, comm.world.rank);
    int64_t parts = plan->mesh.tensor, ranks = plan->mesh.ring * plan->mesh.ulysses, bytes = 0;
    int64_t me = coords.ring * plan->mesh.ulysses + coords.ulysses;
    memset(image, 0, IMAGE_BYTES);
    for (int t = 0; t < ENCODER_TENSORS; t++)
        if (!network->tensors[t].in_block && network->tensors[t].first_phase <= phase &&
            phase <= network->tensors[t].last_phase)
            bytes += put_slice(files, t, 0, parts, coords.tensor, image + bytes);
    for (int64_t layer = 0; layer < ENCODER_LAYERS && phase == RUN_BLOCKS; layer++) {
        char block[IMAGE_BYTES] = {0};
        int64_t size = 0;
        for (int t = 0; t < ENCODER_TENSORS; t++)
            if (network->tensors[t].in_block)
                size += put_slice(files, t, layer, parts, coords.tensor, block + size);
        int64_t first = plan->mesh.gathered ? 64 * first_of(size / 64, ranks, me) : 0,
                end = plan->mesh.gathered ? 64 * first_of(size / 64, ranks, me + 1) : size;
        memcpy(image + bytes, block + first, (size_t)(end - first));
        bytes += end - first;
    }
    return bytes;
}

/* What all loads of one phase have in common. */
struct loads {
    const struct reel_model_files *files;
    uint64_t *hashes; /* [ENCODER_PHASES]; 0: not known yet */
};

static void see_loading(const struct reel_plan *plan, void *context)
{
    const struct loads *loads = context;
    static char image[IMAGE_BYTES], found[IMAGE_BYTES];
    struct reel_stream stream;
    reel_stream_open_side(&stream, ops);
    for (int phase = 0; phase < ENCODER_PHASES; phase++) {
        int64_t bytes = make_image(loads->files, plan, phase, image);
        struct reel_loading loading = {.progress = NULL};
        struct reel_weights weights;
        char *memory = ops->allocate(bytes);
        CHECK(bytes == reel_weights_bytes(plan, &loads->files->network, comm.world.rank, phase),
              "phase %d: %lld bytes", phase, (long long)bytes);
        CHECK(reel_weights_load(&comm, loads->files, plan, phase, memory, &loading, &stream, &weights) ==
                  REEL_OK,
              "%s", reel_error_here()->cause);
        reel_download(&stream, found, memory, bytes);
        CHECK(memcmp(found, image, (size_t)bytes) == 0, "phase %d: a byte is wrong", phase);
        CHECK(loads->hashes[phase] == 0 || loads->hashes[phase] == loading.hash, "phase %d: another hash",
              phase);
        loads->hashes[phase] = loading.hash;
        ops->release(memory, bytes);
    }
    reel_stream_close(&stream);
}

/* From random weights and from files, in both dtypes and on both backends. */
static void every_byte_that_a_rank_holds_is_right(void)
{
    uint64_t hashes[ENCODER_PHASES] = {0};
    for (int source = RANDOM; source < SOURCES; source++)
        for (int variant = 0; variant < 4; variant++) {
            struct reel_model_files files;
            ops = backends[variant % 2];
            dtype = variant / 2 ? REEL_BF16 : REEL_F32;
            open_source((enum source)source, &files);
            struct loads loads = {&files, hashes};
            on_every_mesh(see_loading, &loads);
            reel_model_close(&files);
        }
    ops = &reel_ops_cpu;
    dtype = REEL_F32;
}

/* The encoder on one rank of a mesh. */
struct run {
    const struct reel_plan *plan;
    struct reel_comm comm;
    struct reel_arena arena;
    struct reel_stream stream;
    struct reel_cut tokens;
    struct reel_range own;
    struct reel_tensor_parallel parallel;
    struct reel_block_weights blocks;
    struct reel_weights weights;
    struct reel_loading loading;
};

static void must(enum reel_status status)
{
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
}

static void open_run(struct run *run, const struct reel_plan *plan)
{
    struct reel_scratch max = scratch_of();
    *run = (struct run){.plan = plan};
    must(reel_comm_open(MPI_COMM_WORLD, &run->comm));
    must(reel_comm_mesh(&run->comm, plan, &(struct reel_transport){.ops = ops, .seconds = 60}));
    must(reel_arena_open(&encoder_buffers, plan, run->comm.world.rank, ops, &run->arena));
    reel_stream_open(&run->stream, ops, &max, run->arena.at[SCRATCH]);
    run->tokens = reel_plan_tokens(plan, plan->work.window_frames);
    run->own = reel_plan_own(plan, &run->tokens, run->comm.coords);
}

static void encode(struct run *run, const struct reel_model_files *files)
{
    float *input = run->arena.at[ENCODE_INPUT];
    must(reel_weights_load(&run->comm, files, run->plan, ENCODE, run->arena.at[ENCODE_WEIGHTS], &run->loading,
                           &run->stream, &run->weights));
    for (int64_t i = 0; i < run->own.count * INPUT; i++)
        input[i] = encoder_input(run->own.first + i / INPUT, i % INPUT);
    reel_upload(&run->stream, run->arena.at[ENCODE_WORK], input, run->own.count * INPUT * 4);
    reel_gemm(&run->stream, (struct reel_gemm){.rows = run->own.count,
                                               .in = INPUT,
                                               .out = D,
                                               .x = run->arena.at[ENCODE_WORK],
                                               .weight = reel_weight(&run->weights, PROJECTION_WEIGHT),
                                               .bias = reel_bias(&run->weights, PROJECTION_WEIGHT),
                                               .y = run->arena.at[TOKENS_X]});
}

static void normalise(struct run *run, const void *weight, const void *bias)
{
    reel_layer_norm(&run->stream, (struct reel_layer_norm){.rows = run->own.count,
                                                           .width = D,
                                                           .x = run->arena.at[TOKENS_X],
                                                           .weight = weight,
                                                           .bias = bias,
                                                           .epsilon = ENCODER_EPSILON,
                                                           .y = run->arena.at[NORMED]});
}

/* The rows of a weight that this part of the tensor axis holds. */
static int64_t outputs_of(const struct run *run, int tensor)
{
    return reel_slice_of(run->weights.network, run->plan->mesh.tensor, run->comm.coords.tensor, tensor)
        .row_count;
}

static struct reel_column_layer columns_of(const struct run *run, int tensor, enum reel_activation activation,
                                           int buffer)
{
    return (struct reel_column_layer){.weight = reel_block_weight(&run->blocks, tensor),
                                      .bias = reel_block_bias(&run->blocks, tensor),
                                      .out = outputs_of(run, tensor),
                                      .activation = activation,
                                      .y = run->arena.at[buffer]};
}

/* x += the row parallel layer of `in` inputs. */
static void add_rows(struct run *run, int tensor, int64_t in, int buffer)
{
    struct reel_row_layer layer = {.weight = reel_block_weight(&run->blocks, tensor),
                                   .bias = reel_block_bias(&run->blocks, tensor),
                                   .in = in};
    reel_row_parallel(&run->parallel, &layer, run->arena.at[buffer], run->arena.at[NORMED]);
    reel_gated_add(&run->stream, (struct reel_gated_add){.rows = run->own.count,
                                                         .width = D,
                                                         .x = run->arena.at[TOKENS_X],
                                                         .y = run->arena.at[NORMED]});
}

static void run_blocks(struct run *run, const struct reel_model_files *files)
{
    must(reel_weights_load(&run->comm, files, run->plan, RUN_BLOCKS, run->arena.at[BLOCK_WEIGHTS],
                           &run->loading, &run->stream, &run->weights));
    reel_block_weights_open(&run->blocks, run->plan, &run->weights, run->arena.at[GATHERED],
                            &run->comm.blocks, &run->stream);
    reel_tensor_parallel_open(&run->parallel, run->plan, run->arena.at[EXCHANGE], NULL, &run->comm.tensor,
                              &run->stream);
    reel_tensor_parallel_tokens(&run->parallel, run->plan, &run->tokens, run->comm.coords);
    reel_block_weights_begin(&run->blocks, (struct reel_range){0, run->weights.layout.block_bytes});
    for (int64_t layer = 0; layer < ENCODER_LAYERS; layer++) {
        reel_block_weights_use(&run->blocks, layer);
        normalise(run, reel_block_weight(&run->blocks, NORM_WEIGHT),
                  reel_block_bias(&run->blocks, NORM_WEIGHT));
        const struct reel_column_layer both[] = {
            columns_of(run, DENSE_IN_WEIGHT, REEL_GELU_TANH, HIDDEN_DENSE),
            columns_of(run, GATE_WEIGHT, REEL_SILU, HIDDEN_GATE)};
        reel_column_parallel(&run->parallel, run->arena.at[NORMED], both, 2);
        add_rows(run, DENSE_OUT_WEIGHT, both[0].out, HIDDEN_DENSE);
        add_rows(run, GATE_OUT_WEIGHT, both[1].out, HIDDEN_GATE);
    }
    normalise(run, reel_weight(&run->weights, FINAL_WEIGHT), reel_bias(&run->weights, FINAL_WEIGHT));
    reel_download(&run->stream, run->arena.at[OUTPUT], run->arena.at[NORMED], run->own.count * D * 4);
}

/* What a rank sends is what the plan says: columns of one exchange, partial sums of two in every block. */
static void check_sent(const struct run *run)
{
    int64_t rank = run->comm.world.rank, planned[REEL_TRAFFIC_CLASSES] = {0};
    const struct reel_layout *layout = &run->weights.layout;
    planned[REEL_TRAFFIC_COLUMNS] = ENCODER_LAYERS * reel_columns_bytes(run->plan, rank, &run->tokens);
    planned[REEL_TRAFFIC_PARTIALS] = 2 * ENCODER_LAYERS * reel_partials_bytes(run->plan, rank, &run->tokens);
    planned[REEL_TRAFFIC_WEIGHTS] = reel_gathered_bytes(run->plan, run->weights.network, rank, layout,
                                                        (struct reel_range){0, layout->block_bytes});
    for (int c = 0; c < REEL_TRAFFIC_CLASSES; c++)
        CHECK(planned[c] == reel_comm_sent(&run->comm, (enum reel_traffic_class)c),
              "%s: %lld bytes planned, %lld sent", reel_traffic_class_name((enum reel_traffic_class)c),
              (long long)planned[c], (long long)reel_comm_sent(&run->comm, (enum reel_traffic_class)c));
}

struct outputs {
    const struct reel_model_files *files;
    float alone[TOKENS * D], resident[TOKENS * D];
};

static void see_run(const struct reel_plan *plan, void *context)
{
    struct outputs *outputs = context;
    struct run run;
    open_run(&run, plan);
    encode(&run, outputs->files);
    run_blocks(&run, outputs->files);
    must(run.stream.status);
    int64_t first = run.own.first * D, count = run.own.count * D;
    const float *output = run.arena.at[OUTPUT];
    test_measured("encoder", test_relative_error(output, outputs->alone + first, count), bound);
    CHECK(test_relative_error(output, outputs->alone + first + D, count - D) > 1e-3,
          "the next token's output is as good");
    if (plan->mesh.gathered)
        CHECK(memcmp(output, outputs->resident + first, (size_t)count * sizeof *output) == 0,
              "gathered weights give other bits");
    else
        memcpy(outputs->resident + first, output, (size_t)count * sizeof *output);
    check_sent(&run);
    reel_tensor_parallel_close(&run.parallel);
    reel_block_weights_close(&run.blocks);
    reel_stream_close(&run.stream);
    reel_arena_close(&run.arena);
    reel_comm_close(&run.comm);
}

static void it_computes_on_every_mesh_what_it_computes_alone(void)
{
    static struct outputs outputs;
    for (int source = RANDOM; source < SOURCES; source++) {
        struct reel_model_files files;
        open_source((enum source)source, &files);
        outputs.files = &files;
        encoder_alone(&files, outputs.alone);
        for (int variant = 0; variant < 2; variant++) {
            ops = backends[variant];
            on_every_mesh(see_run, &outputs);
        }
        ops = &reel_ops_cpu;
        reel_model_close(&files);
    }
}

int main(int argc, char **argv)
{
    int level, skipped = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    if (argc > 1 && strcmp(argv[1], "cuda") == 0) {
        backends[1] = &reel_ops_cuda;
        bound = 1e-5;
        skipped = !gpus_take(0);
    }
    must(reel_comm_open(MPI_COMM_WORLD, &comm));
    if (!skipped) {
        RUN(every_rank_holds_its_fullest_phase);
        RUN(a_file_without_one_of_its_tensors_is_refused);
        RUN(every_byte_that_a_rank_holds_is_right);
        RUN(it_computes_on_every_mesh_what_it_computes_alone);
    }
    reel_comm_close(&comm);
    int failed = skipped ? GPUS_SKIPPED : test_end();
    MPI_Finalize();
    return failed;
}
