/* The seconds of one forward of one branch, compared with its floor: its matrix products at the rates that
 * oneDNN alone reaches with the same shapes in the same run. Every rank measures its own share with its own
 * threads, and all ranks measure at the same time.
 *
 *     launch/reel-mpirun -n 2 build/tests/forward_bench MODEL --frames 9 --height 15 --width 26
 *         [--compute fp32|bf16] [--rounds 5] [--ulysses N] [--layers N] [--inputs FILE] [--velocity FILE]
 *         [--json FILE] [--on-demand]
 *
 * Frames, height and width count tokens: 9 x 15 x 26 is 3,510. The ranks form a ring of Ulysses groups of
 * size N; without --ulysses a ring alone. --layers shortens a synthetic: model. Inputs are random, or a
 * file's latent, timesteps and prompt_embeds; --velocity writes the result as raw floats. A round is a
 * forward and every shape once; the first round warms up; the results are medians. Keys and values of the
 * prompt and the embedding of timesteps are made once before, as in a job.
 *
 * --on-demand: rank 0 prints "ready". Then, for every line that it reads until the end of its input, it does
 * a forward and prints its seconds. This serves comparisons that take turns with another program. It does not
 * work under launch/reel-mpirun, which gives ranks no input. */
#include "forward_shapes.h"
#include "measure.h"
#include "fixture.h"

#include "estimate.h"
#include "threads.h"
#include "trace.h"

#include <errno.h>
#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    const char *model, *inputs, *velocity, *json;
    int64_t frames, height, width, rounds, ulysses;
    int bf16, on_demand;
};

/* The results of one rank. */
struct result {
    double floor, flops, parts[FORWARD_PARTS], part_floors[FORWARD_PARTS], exchange;
};

struct bench {
    struct options options;
    struct reel_comm comm;
    struct fixture fixture;
    struct fixture_inputs inputs;
    struct forward_shapes shapes;
    double seconds[SHAPES_ROUNDS_MAX];
    struct result mine, *all; /* all: on rank 0 */
};

static const char usage[] =
    "usage: forward_bench MODEL --frames F --height H --width W [--compute fp32|bf16] [--rounds N] "
    "[--ulysses N] [--layers N] [--inputs FILE] [--velocity FILE] [--json FILE] [--on-demand]";

/* ---- Arguments and inputs */

static enum reel_status parse(int argc, char **argv, struct options *o)
{
    const char *compute = "fp32";
    const struct {
        const char *name;
        int64_t *number;
        const char **text;
    } all[] = {{"--frames", &o->frames, NULL},     {"--height", &o->height, NULL},
               {"--width", &o->width, NULL},       {"--rounds", &o->rounds, NULL},
               {"--ulysses", &o->ulysses, NULL},   {"--layers", &fixture_layers, NULL},
               {"--compute", NULL, &compute},      {"--inputs", NULL, &o->inputs},
               {"--velocity", NULL, &o->velocity}, {"--json", NULL, &o->json}};
    const size_t count = sizeof all / sizeof all[0];
    *o = (struct options){.rounds = 5};
    for (int i = 1; i < argc; i++) {
        size_t at = 0;
        while (at < count && strcmp(argv[i], all[at].name) != 0)
            at++;
        if (at < count) {
            REEL_NEED(++i < argc, REEL_BAD_JOB, "%s wants a value", all[at].name);
            if (all[at].text)
                *all[at].text = argv[i];
            else
                REEL_NEED((*all[at].number = atoll(argv[i])) > 0, REEL_BAD_JOB,
                          "%s is %s, expected a positive number", all[at].name, argv[i]);
        } else if (strcmp(argv[i], "--on-demand") == 0) {
            o->on_demand = 1;
        } else {
            REEL_NEED(argv[i][0] != '-' && !o->model, REEL_BAD_JOB, "%s is not known; %s", argv[i], usage);
            o->model = argv[i];
        }
    }
    o->bf16 = strcmp(compute, "bf16") == 0;
    REEL_NEED(o->bf16 || strcmp(compute, "fp32") == 0, REEL_BAD_JOB, "--compute is %s, expected fp32 or bf16",
              compute);
    REEL_NEED(o->model && (o->inputs || (o->frames && o->height && o->width)), REEL_BAD_JOB, "%s", usage);
    REEL_NEED(fixture_layers == 0 || strncmp(o->model, "synthetic:", 10) == 0, REEL_BAD_JOB,
              "%s has layers of its own, expected a synthetic: model with --layers", o->model);
    REEL_NEED(o->rounds <= SHAPES_ROUNDS_MAX, REEL_BAD_JOB, "--rounds is %lld, expected at most %d",
              (long long)o->rounds, SHAPES_ROUNDS_MAX);
    return REEL_OK;
}

static float *random_floats(int64_t count)
{
    int64_t bytes = count * (int64_t)sizeof(float);
    float *dtype = measure_need(malloc((size_t)bytes), bytes);
    measure_fill(REEL_F32, count, dtype);
    return dtype;
}

/* Random inputs, the same on every rank; they are never freed. */
static struct fixture_inputs random_inputs(const struct options *o, const struct reel_model *m)
{
    int64_t plane = o->frames * 4 * o->height * o->width, bytes = o->frames * (int64_t)sizeof(int64_t);
    int64_t *timesteps = measure_need(malloc((size_t)bytes), bytes);
    for (int64_t f = 0; f < o->frames; f++)
        timesteps[f] = 999 - 998 * f / o->frames;
    return (struct fixture_inputs){
        .F = o->frames,
        .h = 2 * o->height,
        .w = 2 * o->width,
        .latent = random_floats(m->out_channels * plane),
        .y = m->in_channels > m->out_channels ? random_floats((m->in_channels - m->out_channels) * plane)
                                              : NULL,
        .timesteps = timesteps,
        .prompt = random_floats(m->text_rows * m->text_width),
        .prompt_rows = m->text_rows,
        .clip = m->image_rows > 0 ? random_floats(m->image_rows * m->image_width) : NULL,
        .fps = 24};
}

static enum reel_status open_inputs(struct bench *b)
{
    struct reel_model model;
    REEL_PASS(reel_model_sizes(b->options.model, &model));
    b->inputs = b->options.inputs ? fixture_inputs_of(reference_open(b->options.inputs))
                                  : random_inputs(&b->options, &model);
    return REEL_OK;
}

/* Collective over world. */
static enum reel_status open_bench(struct bench *b)
{
    int64_t ranks = b->comm.world.size, ulysses = b->options.ulysses ? b->options.ulysses : ranks;
    struct reel_mesh mesh = {.cfg = 1, .ring = ranks / ulysses, .ulysses = ulysses, .tensor = 1};
    REEL_PASS(reel_threads_choose(&b->comm));
    REEL_PASS(reel_agree(&b->comm, open_inputs(b)));
    fixture_dtype = b->options.bf16 ? REEL_BF16 : REEL_F32;
    if (!fixture_open_for(&b->fixture, MPI_COMM_WORLD, b->options.model, &b->inputs, 1, &mesh, NULL))
        return reel_error_here()->status;
    return REEL_OK;
}

/* ---- Rounds */

/* Collective over world. The seconds of a forward on the slowest rank. */
static double forward(struct bench *b)
{
    double seconds;
    MPI_Barrier(b->comm.world.mpi);
    double began = measure_now();
    fixture_forward_at(&b->fixture, b->inputs.timesteps, 0);
    seconds = measure_now() - began;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, b->comm.world.mpi);
    return seconds;
}

/* Collective over world: all ranks measure a shape at the same time. Round -1 warms up. */
static void measure_shapes(struct bench *b, int64_t round)
{
    for (int64_t s = 0; s < SHAPES_MAX; s++) {
        MPI_Barrier(b->comm.world.mpi);
        if (s >= b->shapes.count)
            continue;
        double seconds = baseline_seconds(&b->shapes.all[s].baseline);
        if (round >= 0)
            b->shapes.all[s].seconds[round] = seconds;
    }
}

/* Adds the seconds of each part of a traced forward on this rank. A part leaves out the exchanges within it
 * on the same thread. */
static void add_spans(struct result *r)
{
    int64_t count, lost;
    const struct reel_trace_span *spans = reel_trace_spans(&count, &lost), *part = NULL;
    enum forward_part at = FORWARD_PARTS;
    for (int64_t i = 0; i < count; i++) {
        const struct reel_trace_span *span = &spans[i];
        double seconds = 1e-9 * (double)(span->end_ns - span->begin_ns);
        if (span->kind == REEL_TRACE_OPERATION || strncmp(span->name, "block ", 6) == 0)
            continue;
        if (span->kind == REEL_TRACE_PART) {
            for (at = 0; at < FORWARD_ENDS && strcmp(span->name, forward_part_name(at)) != 0;)
                at++;
            part = span;
            r->parts[at] += seconds;
        } else if (part && span->lane == part->lane) {
            r->exchange += seconds;
            r->parts[at] -= span->begin_ns < part->end_ns ? seconds : 0;
        }
    }
}

/* Collective over world. */
static enum reel_status trace_forward(struct bench *b)
{
    enum { SPANS = 1 << 15 };
    REEL_PASS(reel_agree(&b->comm, reel_trace_open(SPANS)));
    MPI_Barrier(b->comm.world.mpi);
    reel_trace_start();
    fixture_forward_at(&b->fixture, b->inputs.timesteps, 0);
    reel_trace_stop();
    add_spans(&b->mine);
    reel_trace_close();
    return REEL_OK;
}

/* Collective over world. */
static enum reel_status measure_rounds(struct bench *b)
{
    struct reel_flops planned =
        reel_flops_iteration(&b->fixture.plan, b->comm.world.rank, b->fixture.plan.work.window_frames);
    int64_t bytes = b->comm.world.size * (int64_t)sizeof *b->all;
    forward_shapes_open(&b->shapes, &b->fixture.plan, b->comm.world.rank, b->options.bf16);
    b->shapes.rounds = b->options.rounds;
    b->mine.flops = forward_shapes_flops(&b->shapes);
    REEL_PASS(reel_agree(&b->comm,
                         b->mine.flops == planned.gemm + planned.attention
                             ? REEL_OK
                             : reel_fail(REEL_INTERNAL, "the products have %.17g FLOP, and planned are %.17g",
                                         b->mine.flops, planned.gemm + planned.attention)));
    for (int64_t round = -1; round < b->options.rounds; round++) {
        double seconds = forward(b);
        measure_shapes(b, round);
        if (round >= 0)
            b->seconds[round] = seconds;
    }
    REEL_PASS(trace_forward(b));
    for (enum forward_part p = 0; p < FORWARD_PARTS; p++)
        b->mine.part_floors[p] = forward_shapes_floor(&b->shapes, p);
    b->mine.floor = forward_shapes_floor(&b->shapes, FORWARD_PARTS);
    b->all = measure_need(calloc(1, (size_t)bytes), bytes);
    MPI_Gather(&b->mine, sizeof b->mine, MPI_BYTE, b->all, sizeof b->mine, MPI_BYTE, 0, b->comm.world.mpi);
    return REEL_OK;
}

/* ---- On demand */

/* Collective over world. Whether rank 0 has read another line. The other ranks sleep while they wait, to
 * leave the cores to the program that takes turns with this one. */
static int asked(struct bench *b)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    char line[16];
    int more = 0, done = 0;
    MPI_Request request;
    if (b->comm.world.rank == 0)
        more = fgets(line, sizeof line, stdin) != NULL;
    MPI_Ibcast(&more, 1, MPI_INT, 0, b->comm.world.mpi, &request);
    while (MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        nanosleep(&pause, NULL);
    return more;
}

/* Collective over world. */
static void serve(struct bench *b)
{
    forward(b);
    if (b->comm.world.rank == 0) {
        printf("ready\n");
        fflush(stdout);
    }
    while (asked(b)) {
        double seconds = forward(b);
        if (b->comm.world.rank == 0) {
            printf("%.6f\n", seconds);
            fflush(stdout);
        }
    }
}

/* ---- Results, on rank 0 */

static enum reel_status write_velocity(const struct bench *b)
{
    FILE *file = fopen(b->options.velocity, "wb");
    size_t count = (size_t)b->fixture.outputs;
    int failed = !file || fwrite(b->fixture.velocity, sizeof *b->fixture.velocity, count, file) != count;
    failed |= file && fclose(file) != 0;
    REEL_NEED(!failed, REEL_BAD_OUTPUT, "%s cannot be written: %s", b->options.velocity, strerror(errno));
    return REEL_OK;
}

static json_t *shapes_json(const struct forward_shapes *shapes)
{
    json_t *list = json_array();
    for (int64_t s = 0; s < shapes->count; s++) {
        const struct forward_shape *shape = &shapes->all[s];
        double sorted[SHAPES_ROUNDS_MAX];
        memcpy(sorted, shape->seconds, sizeof sorted);
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "what", shape->what, "rows",
                            (json_int_t)shape->work.rows, "in", (json_int_t)shape->work.in, "out",
                            (json_int_t)shape->work.out, "heads", (json_int_t)shape->work.heads, "times",
                            shape->times, "rate",
                            baseline_flops(&shape->work) / measure_median(sorted, shapes->rounds)));
    }
    return list;
}

static enum reel_status write_json(const struct bench *b, double seconds, double floor, double flops)
{
    json_t *parts = json_object(), *floors = json_array();
    for (enum forward_part p = 0; p < FORWARD_PARTS; p++)
        json_object_set_new(
            parts, forward_part_name(p),
            json_pack("{s:f, s:f}", "seconds", b->mine.parts[p], "floor", b->mine.part_floors[p]));
    json_object_set_new(parts, "exchange",
                        json_pack("{s:f, s:f}", "seconds", b->mine.exchange, "floor", 0.0));
    for (int64_t rank = 0; rank < b->comm.world.size; rank++)
        json_array_append_new(floors, json_real(b->all[rank].floor));
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o}", "library",
        baseline_library(), "model", b->options.model, "numbers", b->options.bf16 ? "bf16" : "fp32", "ranks",
        (json_int_t)b->comm.world.size, "threads", omp_get_max_threads(), "ulysses",
        (json_int_t)b->fixture.plan.mesh.ulysses, "layers", (json_int_t)b->fixture.plan.model.layers,
        "tokens", (json_int_t)(b->inputs.F * b->inputs.h * b->inputs.w / 4), "rounds",
        (json_int_t)b->options.rounds, "seconds", seconds, "floor", floor, "flops", flops, "floors", floors,
        "parts", parts, "shapes", shapes_json(&b->shapes));
    int failed = !all || json_dump_file(all, b->options.json, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0;
    json_decref(all);
    REEL_NEED(!failed, REEL_BAD_OUTPUT, "%s cannot be written: %s", b->options.json, strerror(errno));
    return REEL_OK;
}

/* Prints the results. The floor of a forward is that of the rank with the most work. */
static enum reel_status tell(struct bench *b)
{
    const struct reel_plan *plan = &b->fixture.plan;
    double seconds = measure_median(b->seconds, b->options.rounds), floor = 0, flops = 0, shared = 0;
    for (int64_t rank = 0; rank < b->comm.world.size; rank++) {
        floor = b->all[rank].floor > floor ? b->all[rank].floor : floor;
        flops += b->all[rank].flops;
    }
    for (enum forward_part p = 0; p < FORWARD_PARTS; p++)
        shared += b->mine.parts[p];
    shared += b->mine.exchange;
    printf("%s, %lld layers, %lld tokens, %s; %lld ranks x %d threads, ring %lld x ulysses %lld; %s in %s\n",
           b->options.model, (long long)plan->model.layers,
           (long long)(b->inputs.F * b->inputs.h * b->inputs.w / 4), b->options.bf16 ? "bf16" : "fp32",
           (long long)plan->ranks, omp_get_max_threads(), (long long)plan->mesh.ring,
           (long long)plan->mesh.ulysses, baseline_library(),
           b->options.bf16 && baseline_has_bf16() ? "bf16" : "fp32");
    printf("seconds %.4f floor %.4f fraction %.3f rate %.1f GFLOP/s\n", seconds, floor, floor / seconds,
           1e-9 * flops / seconds);
    for (enum forward_part p = 0; p < FORWARD_PARTS; p++)
        printf("%-16s %5.1f %%  seconds %.4f floor %.4f fraction %.3f\n", forward_part_name(p),
               100 * b->mine.parts[p] / shared, b->mine.parts[p], b->mine.part_floors[p],
               b->mine.part_floors[p] / b->mine.parts[p]);
    printf("%-16s %5.1f %%  seconds %.4f\n", "exchange", 100 * b->mine.exchange / shared, b->mine.exchange);
    return b->options.json ? write_json(b, seconds, floor, flops) : REEL_OK;
}

/* Collective over world. */
static enum reel_status run(struct bench *b)
{
    REEL_PASS(open_bench(b));
    if (b->options.on_demand)
        serve(b);
    else
        REEL_PASS(measure_rounds(b));
    enum reel_status status = REEL_OK;
    if (b->comm.world.rank == 0 && b->options.velocity)
        status = write_velocity(b);
    if (b->comm.world.rank == 0 && !b->options.on_demand && status == REEL_OK)
        status = tell(b);
    return reel_agree(&b->comm, status);
}

int main(int argc, char **argv)
{
    static struct bench b;
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    enum reel_status status = reel_comm_open(MPI_COMM_WORLD, &b.comm);
    if (status == REEL_OK)
        status = parse(argc, argv, &b.options);
    if (status == REEL_OK)
        status = run(&b);
    if (status != REEL_OK && b.comm.world.rank == 0)
        fprintf(stderr, "forward_bench: error: %s\n", reel_error_here()->cause);
    forward_shapes_close(&b.shapes);
    if (b.fixture.stream.ops)
        fixture_close(&b.fixture);
    free(b.all);
    reel_comm_close(&b.comm);
    MPI_Finalize();
    return (int)status;
}
