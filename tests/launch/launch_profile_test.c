/* reel run --profile as users start it: a trace of one iteration on every rank, which changes no bit. */
#include "latents.h"
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS = 3, DEPTH = 16, LANES = 8 };

static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 64, height: 48, frames: 17}\n"
                          "sampler: {steps: 4}\n"
                          "checkpoint: {directory: off}\n"
                          "output: {latents: out.h5, log: out.jsonl}\n";

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

static json_t *read_profile(const char *name)
{
    json_error_t error;
    json_t *root = json_load_file(own(name), 0, &error);
    CHECK(root, "%s: %s", name, error.text);
    return root;
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* How many events of a rank have this category and a name that begins with `name`. */
static int count_of(const json_t *root, int rank, const char *category, const char *name)
{
    size_t i;
    json_t *event;
    int count = 0;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event) count +=
        (int)number(event, "pid") == rank && strcmp(text(event, "cat"), category) == 0 &&
        strncmp(text(event, "name"), name, strlen(name)) == 0;
    return count;
}

/* Whether the rank has a lane of this name with an event in it. */
static int has_lane(const json_t *root, int rank, const char *name)
{
    size_t i;
    json_t *event;
    int lane = -1;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        if ((int)number(event, "pid") != rank)
            continue;
        if (strcmp(text(event, "name"), "thread_name") == 0 &&
            strcmp(text(json_object_get(event, "args"), "name"), name) == 0)
            lane = (int)number(event, "tid");
        else if (strcmp(text(event, "ph"), "X") == 0 && (int)number(event, "tid") == lane)
            return 1;
    }
    return 0;
}

/* Checks that every event of a lane lies inside the one before it, or after it. */
static void events_nest(const json_t *root, const char *mesh, int ranks)
{
    double ends[4][LANES][DEPTH];
    int open[4][LANES] = {{0}};
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(root, "traceEvents"), i, event)
    {
        int rank = (int)number(event, "pid"), lane = (int)number(event, "tid");
        double begin = number(event, "ts"), end = begin + number(event, "dur");
        if (strcmp(text(event, "ph"), "X") != 0)
            continue;
        if (rank >= ranks || lane >= LANES || begin < 0) {
            CHECK(0, "%s: rank %d, lane %d at %g us", mesh, rank, lane, begin);
            return;
        }
        double *stack = ends[rank][lane];
        int *depth = &open[rank][lane];
        while (*depth > 0 && stack[*depth - 1] <= begin + 1e-3)
            --*depth;
        if (*depth == DEPTH || (*depth > 0 && end > stack[*depth - 1] + 2e-3)) {
            CHECK(0, "%s: rank %d: %s ends behind what it is in", mesh, rank, text(event, "name"));
            return;
        }
        stack[(*depth)++] = end;
    }
    CHECK(i > 0, "%s: there are no events", mesh);
}

static void parts_are_there(const json_t *root, const char *mesh, int rank, int branches)
{
    static const char *const once[] = {"iteration", "assemble", "guide", "step"},
                             *const each[] = {"patch embedding", "head"},
                             *const inside[] = {"self attention", "cross attention", "feed forward"};
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        CHECK(count_of(root, rank, "part", once[i]) == 1, "%s: rank %d: %s", mesh, rank, once[i]);
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        CHECK(count_of(root, rank, "part", each[i]) == branches, "%s: rank %d: %s", mesh, rank, each[i]);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        CHECK(count_of(root, rank, "part", inside[i]) == branches * LAYERS, "%s: rank %d: %s", mesh, rank,
              inside[i]);
    for (int layer = 0; layer < LAYERS; layer++) {
        char name[32];
        snprintf(name, sizeof name, "block %d", layer);
        CHECK(count_of(root, rank, "part", name) > 0, "%s: rank %d: %s", mesh, rank, name);
    }
    CHECK(count_of(root, rank, "operation", "gemm") >= branches * LAYERS * 8, "%s: rank %d: GEMMs", mesh,
          rank);
    CHECK(count_of(root, rank, "wait", "agree") == 1, "%s: rank %d does not agree once", mesh, rank);
}

/* The bytes sent, by rank and traffic class, from the log of the last run. The caller frees it. */
static json_t *communication(void)
{
    static char line[1 << 16];
    json_t *found = NULL;
    FILE *log = fopen(own("out.jsonl"), "r");
    while (log && fgets(line, sizeof line, log)) {
        json_t *event = json_loads(line, 0, NULL);
        if (strcmp(text(event, "event"), "done") == 0)
            found = json_incref(json_object_get(event, "communication"));
        json_decref(event);
    }
    if (log)
        fclose(log);
    return found;
}

/* Whether the log of the last run has this note. */
static int log_notes(const char *words)
{
    static char line[1 << 16];
    int found = 0;
    FILE *log = fopen(own("out.jsonl"), "r");
    while (log && fgets(line, sizeof line, log)) {
        json_t *event = json_loads(line, 0, NULL);
        found |= strcmp(text(event, "event"), "note") == 0 && strcmp(text(event, "text"), words) == 0;
        json_decref(event);
    }
    if (log)
        fclose(log);
    return found;
}

static double logged(const json_t *log, int rank, const char *traffic_class)
{
    return number(json_object_get(json_array_get(log, (size_t)rank), "counted"), traffic_class);
}

/* The bytes that the events of a rank sent. */
static double sent(const json_t *root, int rank, const char *traffic_class)
{
    size_t i;
    json_t *event;
    double bytes = 0;
    json_array_foreach(json_object_get(root, "traceEvents"), i,
                       event) if ((int)number(event, "pid") == rank &&
                                  strcmp(text(event, "cat"), "exchange") == 0 &&
                                  strcmp(text(event, "name"), traffic_class) == 0) bytes +=
        number(json_object_get(event, "args"), "sent");
    return bytes;
}

/* The bytes of one iteration are the difference between this run and one with one iteration less, and are as
 * planned. */
static void bytes_are_those_of_an_iteration(const json_t *root, const char *mesh, int rank,
                                            const json_t *shorter, const json_t *longer)
{
    const char *traffic_class;
    json_t *unused,
        *summary = json_array_get(json_object_get(json_object_get(root, "otherData"), "ranks"), (size_t)rank);
    double all = 0;
    json_object_foreach(json_object_get(json_array_get(longer, (size_t)rank), "counted"), traffic_class,
                        unused)
    {
        json_t *exchange = json_object_get(json_object_get(summary, "exchanges"), traffic_class);
        double bytes = sent(root, rank, traffic_class),
               more = logged(longer, rank, traffic_class) - logged(shorter, rank, traffic_class);
        CHECK(fabs(bytes - more) < 0.5, "%s: rank %d: %s: %.0f bytes in the profile, an iteration sends %.0f",
              mesh, rank, traffic_class, bytes, more);
        CHECK(fabs(number(exchange, "planned_bytes") - bytes) < 0.5 &&
                  fabs(number(exchange, "sent_bytes") - bytes) < 0.5,
              "%s: rank %d: %s: the summary says otherwise than its events", mesh, rank, traffic_class);
        all += bytes;
    }
    CHECK(all > 0, "%s: rank %d sends nothing", mesh, rank);
}

static void summary_holds(const json_t *root, const char *mesh, int rank)
{
    const json_t *summary =
        json_array_get(json_object_get(json_object_get(root, "otherData"), "ranks"), (size_t)rank);
    const json_t *clock = json_object_get(summary, "clock");
    const char *name;
    json_t *one;
    double seconds = 0;
    CHECK((int)number(summary, "rank") == rank && number(summary, "lost_spans") < 0.5, "%s: rank %d", mesh,
          rank);
    /* ranks of one host share a clock: any difference that is measured is the error of measuring */
    CHECK(fabs(number(clock, "ahead_seconds")) <= 0.5 * number(clock, "trip_seconds") + 2e-9,
          "%s: rank %d: clocks are %g s apart, asking took %g s", mesh, rank, number(clock, "ahead_seconds"),
          number(clock, "trip_seconds"));
    json_object_foreach(json_object_get(summary, "operations"), name, one)
    {
        CHECK((int)number(one, "calls") == count_of(root, rank, "operation", name) ||
                  strcmp(name, "gemm") != 0,
              "%s: rank %d: calls of %s", mesh, rank, name);
        seconds += number(one, "seconds");
    }
    CHECK(seconds > 0, "%s: rank %d: operations take no time", mesh, rank);
}

/* A run of this many steps; profile "" means without a profile. */
static void run(int ranks, const char *mesh, int steps, const char *output, const char *profile)
{
    char command[512];
    remove(own("out.jsonl"));
    snprintf(command, sizeof command, "run job.yaml %s --set sampler.steps=%d --set output.latents=%s %s %s",
             mesh, steps, output, profile[0] ? "--profile" : "", profile);
    CHECK(program_run(ranks, "", command) == 0, "%s: %s", mesh, program_said);
}

struct mesh {
    int ranks, branches; /* branches of a rank */
    const char *settings, *traffic_class, *transfer;
};

static void mesh_is_profiled(const struct mesh *mesh)
{
    remove(own("p.json"));
    run(mesh->ranks, mesh->settings, 4, "plain.h5", "");
    json_t *shorter = communication();
    run(mesh->ranks, mesh->settings, 5, "five.h5", "");
    json_t *longer = communication();
    run(mesh->ranks, mesh->settings, 4, "profiled.h5", "p.json");
    CHECK(log_notes("p.json: the profile of chunk 0, iteration 1"), "%s: the log does not say so",
          mesh->settings);
    CHECK(same_latents("plain.h5", "profiled.h5"), "%s: a profile changes the latents", mesh->settings);
    CHECK(!same_latents("plain.h5", "five.h5"), "%s: more steps change nothing", mesh->settings);
    json_t *root = read_profile("p.json"), *other = json_object_get(root, "otherData");
    CHECK(number(other, "iteration") > 0.5 && number(other, "iteration") < 1.5, "not the second iteration");
    CHECK(json_array_size(json_object_get(other, "ranks")) == (size_t)mesh->ranks, "not every rank is there");
    events_nest(root, mesh->settings, mesh->ranks);
    for (int rank = 0; rank < mesh->ranks; rank++) {
        parts_are_there(root, mesh->settings, rank, mesh->branches);
        bytes_are_those_of_an_iteration(root, mesh->settings, rank, shorter, longer);
        summary_holds(root, mesh->settings, rank);
        CHECK(has_lane(root, rank, "host") && (!mesh->transfer || has_lane(root, rank, mesh->transfer)),
              "%s: rank %d has not the lanes it should", mesh->settings, rank);
        CHECK(sent(root, rank, mesh->traffic_class) > 0, "%s: rank %d sends no %s", mesh->settings, rank,
              mesh->traffic_class);
        CHECK(!mesh->transfer || count_of(root, rank, "wait", mesh->transfer) > 0,
              "%s: rank %d does not wait", mesh->settings, rank);
    }
    json_decref(root);
    json_decref(shorter);
    json_decref(longer);
}

static void one_iteration_of_every_rank_is_recorded(void)
{
    static const struct mesh meshes[] = {
        {2, 1, "--set partition.cfg=2", "velocity", NULL},
        {2, 2, "--set partition.ulysses=2", "heads", NULL},
        {2, 2, "--set partition.ulysses=2 --set partition.weights=gathered", "weights", "weights transfer"},
        {3, 2, "--set partition.ulysses=3", "tokens", NULL},
        {3, 2, "--set partition.ring=3", "keys", "keys transfer"},
        {3, 2, "--set partition.tensor=3", "partials", "tensor transfer"}};
    for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++)
        mesh_is_profiled(&meshes[i]);
}

static int profiled_iteration(const char *settings)
{
    char command[512];
    remove(own("q.json"));
    snprintf(command, sizeof command, "run job.yaml --profile q.json %s", settings);
    CHECK(program_run(0, "", command) == 0, "%s", program_said);
    json_t *root = read_profile("q.json");
    int iteration = (int)json_integer_value(json_object_get(json_object_get(root, "otherData"), "iteration"));
    CHECK(count_of(root, 0, "part", "feed forward") == 2 * LAYERS, "%s: the blocks were not run", settings);
    json_decref(root);
    return iteration;
}

static void it_is_the_second_iteration_that_computes(void)
{
    CHECK(profiled_iteration("") == 1, "not the second");
    CHECK(profiled_iteration("--set sampler.steps=1") == 0, "not the only one");
    /* all iterations but the first and the last are skipped */
    int found = profiled_iteration("--set teacache.mode=e --set teacache.coefficients=[0,0] "
                                   "--set teacache.end_step=3 --set teacache.threshold=9");
    CHECK(found == 3, "iteration %d was profiled", found);
}

static void what_a_profile_cannot_be_is_refused(void)
{
    program_file("there.json", "kept");
    program_fails(2, "run job.yaml --profile absent/p.json", 2,
                  "--profile is absent/p.json, which could not be written: No such file or directory");
    program_fails(0, "run job.yaml --profile job.yaml", 2,
                  "--profile is job.yaml, expected a file that ends in .json");
    CHECK(mkdir(own("folder.json"), 0777) == 0, "no folder");
    program_fails(0, "run job.yaml --profile folder.json", 2,
                  "--profile is folder.json, which is no regular file");
    program_fails(0, "run job.yaml --profile", 2,
                  "--profile is the last argument, expected its value after it");
    program_fails(0, "run job.yaml --profile there.json --set output.log=there.json", 2,
                  "--profile is there.json, which is output.log, expected another file");
    program_fails(0, "plan job.yaml --profile p.json", 2, "--profile is not an option of reel plan");
    program_fails(0, "calibrate job.yaml --profile p.json", 2,
                  "--profile is not an option of reel calibrate");
    CHECK(program_run(0, "", "run --help") == 0, "%s", program_said);
}

int main(void)
{
    program_file("job.yaml", job);
    RUN(one_iteration_of_every_rank_is_recorded);
    RUN(it_is_the_second_iteration_that_computes);
    RUN(what_a_profile_cannot_be_is_refused);
    return test_end();
}
