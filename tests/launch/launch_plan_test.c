/* reel plan as users start it: for any number of ranks and any device, without weights; and its messages when
 * nothing fits. */
#include "program.h"
#include "test.h"

#include <hdf5.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How many lines of the last command's standard output contain the words. */
static int says(const char *words)
{
    char command[512];
    int times = -1;
    snprintf(command, sizeof command, "grep -c -e '%s' %s/stdout", words, test_folder());
    FILE *found = popen(command, "r");
    if (fscanf(found, "%d", &times) != 1)
        times = -1;
    pclose(found);
    return times;
}

/* Runs reel plan with --json and parses its output; the caller frees it. */
static json_t *planned(const char *arguments, int code)
{
    char command[512], path[256];
    json_error_t error;
    snprintf(command, sizeof command, "plan %s --json", arguments);
    int found = program_run(0, "", command);
    CHECK(found == code, "reel %s: exit %d, expected %d: %s", command, found, code, program_said);
    snprintf(path, sizeof path, "%s/stdout", test_folder());
    json_t *all = json_load_file(path, 0, &error);
    CHECK(all, "reel %s: %s", command, error.text);
    return all;
}

/* The number at a path of keys such as "mesh.cfg"; -1 when it does not exist. */
static double number(const json_t *in, const char *keys)
{
    char key[64];
    for (const char *at = keys; in && *at; at += strcspn(at, "."), at += *at == '.') {
        snprintf(key, sizeof key, "%.*s", (int)strcspn(at, "."), at);
        in = json_object_get(in, key);
    }
    return in ? json_number_value(in) : -1;
}

static const char small_job[] =
    "model: {path: 'synthetic:tiny'}\n"
    "video: {width: 64, height: 48, frames: 17}\n"
    "sampler: {steps: 3, seed: 7}\n"
    "diffusion_forcing: {base_frames: 9, overlap_frames: 5, addnoise_condition: 20}\n"
    "output: {latents: out.h5}\n";

static const char job_540p[] = "model: {path: 'synthetic:skyreels-v2-df-14b'}\n"
                               "video: {width: 960, height: 544, frames: 257}\n"
                               "output: {latents: out.h5}\n";

static const char job_720p[] = "model: {path: 'synthetic:skyreels-v2-df-14b'}\n"
                               "video: {width: 1280, height: 720, frames: 121}\n"
                               "diffusion_forcing: {base_frames: 121}\n"
                               "output: {latents: out.h5}\n";

static void a_plan_needs_no_weights(void)
{
    CHECK(program_run(0, "", "plan 540p.yaml --ranks 8") == 0, "%s", program_said);
    CHECK(says("^mesh    8 ranks = ") == 1 && says("^why ") == 1 && says("^GB held ") == 1 &&
              says("^GB sent ") == 1 && says("^time ") == 1 &&
              says("90 iterations of 2 forwards, 0 skipped") == 1,
          "something is missing");
    CHECK(program_run(2, "", "plan job.yaml") == 0 && says("^mesh    2 ranks = cfg 2") == 1, "%s",
          program_said);
    char folder[256];
    snprintf(folder, sizeof folder, "%s/sizes", test_folder());
    mkdir(folder, 0777);
    program_file("sizes/config.json",
                 "{\"dim\": 5120, \"ffn_dim\": 13824, \"num_heads\": 40, \"num_layers\": 40, "
                 "\"in_dim\": 16, \"model_type\": \"t2v\"}");
    CHECK(program_run(0, "", "plan job.yaml --set model.path=sizes --set prompt.embeds=x --ranks 4") == 0,
          "%s", program_said);
}

static void bad_options_are_refused_with_a_sentence(void)
{
    program_fails(0, "plan job.yaml --ranks 0", 2, "--ranks is 0, expected a number from 1");
    program_fails(0, "plan job.yaml --ranks-per-node many", 2,
                  "--ranks-per-node is many, expected a number from 1");
    program_fails(0, "plan job.yaml --device-memory much", 2, "--device-memory is much, expected a size");
    program_fails(0, "plan job.yaml --device h300", 2,
                  "--device is h300, expected one of cpu-core, rtx-4090, l40s");
    program_fails(0, "plan job.yaml --devices mine.yaml", 2, "without --device");
    program_fails(0, "plan job.yaml --device x --devices absent.yaml", 4,
                  "absent.yaml: the table of devices cannot");
    program_fails(0, "plan job.yaml --set model.path=absent --set prompt.embeds=x", 4, "absent");
    program_fails(0, "plan job.yaml --ranks 7 --set partition.ring=1", 3,
                  "ring 1 x ulysses auto x tensor auto has 7");
    program_fails(0, "plan job.yaml --ranks 2 --set partition.cfg=2 --set sampler.guidance_scale=1", 3,
                  "leaves one branch");
    program_fails(2, "plan job.yaml --device-memory 1MB", 3, "rank 0 of 2 needs");
}

static const char small_device[] = "# a table of one\n"
                                   "mine:\n"
                                   "  memory: 2GB\n"
                                   "  compute: bf16\n"
                                   "  gemm_tflops: 1\n"
                                   "  attention_tflops: 0.5\n"
                                   "  memory_gb_per_s: 100\n"
                                   "  near_gb_per_s: 10\n"
                                   "  far_gb_per_s: 1\n"
                                   "  libraries: 100MB\n";

/* small_device with one line changed or left out, and the message. */
static const struct {
    const char *from, *to, *words;
} bad_tables[] = {
    {"compute: bf16", "compute: fp7", "bad.yaml:4: compute is fp7, expected fp32 or bf16"},
    {"gemm_tflops: 1", "gemm_tflops: -1", "bad.yaml:5: gemm_tflops is -1, expected a number from 1e-6"},
    {"gemm_tflops: 1", "gemm_tflops: [1]", "bad.yaml:5: gemm_tflops is a list, expected a value"},
    {"far_gb_per_s: 1", "far: 1", "bad.yaml:9: far is not a field of a device"},
    {"  far_gb_per_s: 1\n", "", "bad.yaml:2: mine has no far_gb_per_s"},
    {"memory: 2GB", "memory: a lot", "bad.yaml:3: memory is a lot, expected a size"},
    {"mine:\n", "mine: [\n", "bad.yaml:"}};

static void a_table_of_devices_of_ones_own_is_read(void)
{
    program_file("mine.yaml", small_device);
    json_t *all = planned("job.yaml --ranks 2 --device mine --devices mine.yaml", 0);
    CHECK(number(all, "device.room_bytes") == 2e9 && number(all, "device.gemm_flops_per_s") == 1e12 &&
              number(all, "device.libraries_bytes") == 1e8,
          "it is not what the table says");
    CHECK(strcmp(json_string_value(json_object_get(all, "compute")), "bf16") == 0,
          "it does not compute in bf16");
    json_decref(all);
    for (size_t c = 0; c < sizeof bad_tables / sizeof bad_tables[0]; c++) {
        char text[1024];
        const char *at = strstr(small_device, bad_tables[c].from);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - small_device), small_device, bad_tables[c].to,
                 at + strlen(bad_tables[c].from));
        program_file("bad.yaml", text);
        program_fails(0, "plan job.yaml --device mine --devices bad.yaml", 2, bad_tables[c].words);
    }
}

static void the_built_in_device_is_the_cpu_core_of_the_table(void)
{
    static const char *const keys[] = {"seconds.iteration", "device.libraries_bytes",
                                       "device.far_bytes_per_s"};
    json_t *built_in = planned("job.yaml --ranks 2 --ranks-per-node 1", 0);
    json_t *named = planned("job.yaml --ranks 2 --ranks-per-node 1 --device cpu-core", 0);
    for (int k = 0; k < 3; k++)
        CHECK(number(built_in, keys[k]) > 0 && number(built_in, keys[k]) == number(named, keys[k]),
              "%s: %g and %g", keys[k], number(built_in, keys[k]), number(named, keys[k]));
    json_decref(built_in);
    json_decref(named);
}

/* The sum of an object's numbers, without its total. */
static double sum_of(json_t *object)
{
    const char *key;
    json_t *value;
    double sum = 0;
    json_object_foreach(object, key, value) if (strcmp(key, "total") != 0) sum += json_number_value(value);
    return sum;
}

static void the_numbers_of_a_plan_add_up(void)
{
    json_t *all = planned("540p.yaml --ranks 6 --device h100 --all", 0), *rank,
           *ranks = json_object_get(all, "ranks");
    size_t index;
    double flops = 0;
    CHECK(number(all, "mesh.cfg") * number(all, "mesh.ring") * number(all, "mesh.ulysses") *
                  number(all, "mesh.tensor") ==
              6,
          "the mesh has not 6 ranks");
    CHECK(json_array_size(ranks) == 6, "%zu ranks", json_array_size(ranks));
    json_array_foreach(ranks, index, rank)
    {
        json_t *memory = json_object_get(rank, "memory"), *sent = json_object_get(rank, "sent_by_iteration");
        CHECK(sum_of(memory) == number(memory, "total") &&
                  number(memory, "total") <= number(all, "device.room_bytes"),
              "rank %zu holds %g", index, number(memory, "total"));
        CHECK(sum_of(sent) == number(sent, "total") &&
                  number(sent, "total") * 90 <= number(rank, "sent.total"),
              "rank %zu sends %g", index, number(sent, "total"));
        flops += number(rank, "flops.gemm") + number(rank, "flops.attention");
    }
    CHECK(flops > 2 * 3371e12 && flops < 2 * 3372e12, "%g FLOPs in an iteration", flops);
    CHECK(number(all, "iterations") == 90 && number(all, "skips") == 0 && number(all, "tokens") == 51000,
          "the job");
    double parts = number(all, "seconds.gemm") + number(all, "seconds.attention") +
                   number(all, "seconds.passes") + number(all, "seconds.waiting");
    CHECK(parts > 0.999 * number(all, "seconds.iteration") &&
              parts < 1.001 * number(all, "seconds.iteration"),
          "%g s and %g s", parts, number(all, "seconds.iteration"));
    CHECK(json_array_size(json_object_get(all, "meshes")) == 22, "%zu meshes",
          json_array_size(json_object_get(all, "meshes")));
    json_decref(all);
}

static void fp32_takes_twice_the_bytes_of_bf16(void)
{
    json_t *half = planned("540p.yaml --device h200", 0);
    json_t *full = planned("540p.yaml --device h200 --set model.compute=fp32", 0);
    json_t *of_half = json_array_get(json_object_get(half, "ranks"), 0);
    json_t *of_full = json_array_get(json_object_get(full, "ranks"), 0);
    CHECK(number(of_half, "memory.weights") > 0 &&
              2 * number(of_half, "memory.weights") == number(of_full, "memory.weights"),
          "%g and %g", number(of_half, "memory.weights"), number(of_full, "memory.weights"));
    json_decref(half);
    json_decref(full);
}

static void when_nothing_fits_it_says_what_would(void)
{
    program_fails(0,
                  "plan 540p.yaml --ranks 4 --device rtx-4090 --set partition.weights=resident "
                  "--set partition.tensor=1",
                  3, "rank 0 of 4 needs");
    CHECK(says("^no mesh fits") == 1 && says("^partition.weights gathered ") == 1 && says("^5 ranks ") == 1 &&
              says("^partition left to reel ") == 1,
          "an alternative is missing");
    json_t *all = planned("720p.yaml --device-memory 70GB", 3), *one;
    CHECK(json_is_false(json_object_get(all, "fits")), "it says that it fits");
    json_t *list = json_object_get(all, "alternatives");
    size_t index;
    int smaller = 0, more = 0, min = 0;
    json_array_foreach(list, index, one)
    {
        const char *change = json_string_value(json_object_get(one, "change"));
        int fits = json_is_true(json_object_get(one, "fits"));
        smaller += strncmp(change, "diffusion_forcing.base_frames ", 30) == 0 && fits;
        more += strcmp(change, "2 ranks") == 0 && fits;
        min += !fits;
        CHECK(fits == (number(one, "bytes") <= 70e9), "%s: %g bytes", change, number(one, "bytes"));
    }
    CHECK(smaller == 1 && more == 1 && min == 1, "%d smaller, %d more, %d least", smaller, more, min);
    json_decref(all);
}

static void the_smaller_chunks_that_fit_are_the_longest(void)
{
    char arguments[256];
    json_t *all = planned("720p.yaml --device-memory 70GB --set diffusion_forcing.causal_block_size=1", 3);
    const char *change =
        json_string_value(json_object_get(json_array_get(json_object_get(all, "alternatives"), 0), "change"));
    int frames = atoi(change + strlen("diffusion_forcing.base_frames "));
    CHECK(frames % 4 == 1 && frames < 121, "%s", change);
    for (int more = 0; more <= 4; more += 4) {
        snprintf(arguments, sizeof arguments,
                 "720p.yaml --device-memory 70GB --set diffusion_forcing.base_frames=%d", frames + more);
        json_decref(planned(arguments, more == 0 ? 0 : 3));
    }
    json_decref(all);
}

static void every_number_of_ranks_of_every_device_has_an_answer(void)
{
    static const char *const jobs[] = {"540p.yaml", "720p.yaml"};
    static const char *const devices[] = {"rtx-4090", "l40s", "h100", "h200"};
    static const int ranks[] = {1, 2, 3, 4, 7, 8, 16, 24, 31, 32, 40, 64, 71, 72};
    for (int j = 0; j < 2; j++)
        for (int d = 0; d < 4; d++)
            for (size_t r = 0; r < sizeof ranks / sizeof ranks[0]; r++) {
                char arguments[128];
                snprintf(arguments, sizeof arguments, "plan %s --device %s --ranks %d", jobs[j], devices[d],
                         ranks[r]);
                int code = program_run(0, "", arguments), fits = d > 0 || ranks[r] > 1;
                CHECK(code == (fits ? 0 : 3), "reel %s: exit %d: %s", arguments, code, program_said);
                CHECK(says(fits ? "^mesh " : "^no mesh fits") == 1, "reel %s says nothing", arguments);
            }
}

static const char cached_job[] = "model: {path: 'synthetic:tiny'}\n"
                                 "video: {width: 64, height: 48, frames: 33}\n"
                                 "sampler: {steps: 12, seed: 7}\n"
                                 "diffusion_forcing: {base_frames: 17, overlap_frames: 5}\n"
                                 "teacache: {mode: e0, threshold: 0.8, coefficients: [1, 0], start_step: 1}\n"
                                 "output: {latents: cached.h5}\n";

/* The planned decisions are those of the run, on any mesh. Without weights, the plan says what it cannot
 * know. */
static void planned_decisions_are_those_of_the_run(void)
{
    program_file("cached.yaml", cached_job);
    json_t *all = planned("cached.yaml", 0),
           *calls = json_object_get(json_object_get(all, "teacache"), "calls");
    CHECK(number(all, "skips") > 0 && (double)json_array_size(calls) > number(all, "skips"),
          "nothing is skipped");
    CHECK(program_run(3, "", "run cached.yaml --set partition.ring=3 --set teacache.embedding=expanded") == 0,
          "%s", program_said);
    char path[256];
    snprintf(path, sizeof path, "%s/cached.h5", test_folder());
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT),
          set = H5Dopen2(file, "/teacache/decisions", H5P_DEFAULT);
    hid_t savings = H5Dopen2(file, "/teacache/savings", H5P_DEFAULT);
    static int64_t decisions[4096][4];
    double saved[64][5];
    H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, decisions);
    H5Dread(savings, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, saved);
    int64_t skipped = 0;
    for (size_t c = 0; c < json_array_size(calls); c++) {
        const json_t *call = json_array_get(calls, c);
        int computed = json_is_true(json_object_get(call, "computed"));
        CHECK(number(call, "chunk") == (double)decisions[c][0] &&
                  number(call, "iteration") == (double)decisions[c][1] &&
                  number(call, "branch") == (double)decisions[c][2] && computed == decisions[c][3],
              "call %zu was planned otherwise", c);
        skipped += !computed;
    }
    CHECK((double)skipped == number(all, "skips"), "%lld were skipped", (long long)skipped);
    CHECK(saved[0][2] + saved[0][3] == 12 && saved[0][3] > 0, "chunk 0: %g computed, %g skipped", saved[0][2],
          saved[0][3]);
    H5Dclose(savings);
    H5Dclose(set);
    H5Fclose(file);
    json_decref(all);
}

int main(void)
{
    program_file("job.yaml", small_job);
    program_file("540p.yaml", job_540p);
    program_file("720p.yaml", job_720p);
    RUN(a_plan_needs_no_weights);
    RUN(bad_options_are_refused_with_a_sentence);
    RUN(a_table_of_devices_of_ones_own_is_read);
    RUN(the_built_in_device_is_the_cpu_core_of_the_table);
    RUN(the_numbers_of_a_plan_add_up);
    RUN(fp32_takes_twice_the_bytes_of_bf16);
    RUN(when_nothing_fits_it_says_what_would);
    RUN(the_smaller_chunks_that_fit_are_the_longest);
    RUN(planned_decisions_are_those_of_the_run);
    RUN(every_number_of_ranks_of_every_device_has_an_answer);
    return test_end();
}
