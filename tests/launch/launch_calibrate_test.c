/* reel calibrate as users start it: the same coefficients on any number of ranks, a file that a run accepts,
 * and what it refuses. */
#include "picture.h"
#include "plot.h"
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 7, CHUNKS = 2, BRANCHES = 2, POINTS = (STEPS - 1) * CHUNKS * BRANCHES };

static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 64, height: 48, frames: 13}\n"
                          "sampler: {steps: 7, seed: 7}\n"
                          "diffusion_forcing: {base_frames: 9, overlap_frames: 5, addnoise_condition: 20}\n"
                          "checkpoint: {directory: off}\n"
                          "output: {latents: out.h5, log: out.jsonl}\n";

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

static int exists(const char *name)
{
    return access(own(name), F_OK) == 0;
}

/* How often these words stand on the last command's standard output. */
static int printed(const char *words)
{
    static char text[1 << 16];
    FILE *file = fopen(own("stdout"), "r");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;
    int times = 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    for (const char *at = text; (at = strstr(at, words)); at++)
        times++;
    return times;
}

static json_t *read_json(const char *name)
{
    json_error_t error;
    json_t *root = json_load_file(own(name), 0, &error);
    CHECK(root, "%s: %s", name, error.text);
    return root;
}

static json_t *calibrated(int ranks, const char *arguments)
{
    char command[512];
    snprintf(command, sizeof command, "calibrate job.yaml --json %s", arguments);
    CHECK(program_run(ranks, "", command) == 0, "%s on %d ranks: %s", command, ranks, program_said);
    return read_json("stdout");
}

static double item(const json_t *report, const char *key, size_t i)
{
    const json_t *list = json_object_get(report, key);
    CHECK(i < json_array_size(list), "%s has no item %zu", key, i);
    return json_number_value(json_array_get(list, i));
}

static double rescaled(const json_t *report, double distance)
{
    double value = 0;
    for (size_t i = 0; i < 5; i++)
        value = value * distance + item(report, "coefficients", i);
    return value;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    CHECK(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

/* Whether two reports have the same points, with changes that agree within a bound. */
static int same_points(const json_t *a, const json_t *b, double bound)
{
    const json_t *of_a = json_object_get(a, "points"), *of_b = json_object_get(b, "points");
    int same = json_array_size(of_a) == POINTS && json_array_size(of_b) == POINTS;
    for (size_t p = 0; same && p < POINTS; p++) {
        const json_t *left = json_array_get(of_a, p), *right = json_array_get(of_b, p);
        same = number(left, "chunk") == number(right, "chunk") &&
               number(left, "iteration") == number(right, "iteration") &&
               number(left, "branch") == number(right, "branch") &&
               number(left, "distance") == number(right, "distance") &&
               fabs(number(left, "change") - number(right, "change")) <= bound;
    }
    return same;
}

static void any_number_of_ranks_finds_the_same(void)
{
    json_t *one = calibrated(0, "--mode e0 -o one.json");
    json_t *two = calibrated(2, "--mode e0 -o two.json --set partition.cfg=2");
    json_t *ulysses = calibrated(2, "--mode e0 -o ulysses.json --set partition.ulysses=2");
    json_t *other = calibrated(0, "--mode e0 -o other.json --set sampler.seed=8");
    json_t *tensor = calibrated(3, "--mode e0 -o tensor.json --set partition.tensor=3");
    CHECK(same_points(one, two, 0), "cfg 2 measures something else");
    CHECK(same_points(one, ulysses, 0), "ulysses 2 measures something else");
    CHECK(same_points(one, tensor, 1e-4), "tensor 3 measures something else");
    CHECK(!same_points(one, other, 1e-4), "another seed measures the same");
    for (size_t i = 0; i < 5; i++)
        CHECK(item(one, "coefficients", i) == item(two, "coefficients", i) &&
                  item(one, "coefficients", i) == item(ulysses, "coefficients", i),
              "coefficient %zu differs", i);
    json_decref(one);
    json_decref(two);
    json_decref(ulysses);
    json_decref(other);
    json_decref(tensor);
}

static void the_fit_rises_over_the_points_and_is_what_the_file_holds(void)
{
    json_t *report = calibrated(0, "--mode e -o fit.json --plot curve.png"), *file = read_json("fit.json");
    double min = item(report, "range", 0), max = item(report, "range", 1), before = 0, squares = 0;
    const json_t *points = json_object_get(report, "points");
    CHECK(json_array_size(points) == POINTS && number(report, "calls") == STEPS * CHUNKS * BRANCHES,
          "%zu points", json_array_size(points));
    for (size_t p = 0; p < json_array_size(points); p++) {
        const json_t *point = json_array_get(points, p);
        double distance = number(point, "distance"), change = number(point, "change");
        CHECK(distance >= min && distance <= max && change > 0, "point %zu is (%g, %g)", p, distance, change);
        squares += pow(change - rescaled(report, distance), 2);
    }
    CHECK(fabs(sqrt(squares / POINTS) - number(report, "rms")) < 1e-9, "rms is %g, found %g",
          number(report, "rms"), sqrt(squares / POINTS));
    for (int i = 0; i <= 100; i++) {
        double value = rescaled(report, min + (max - min) * i / 100);
        CHECK(value >= before - 1e-9, "it falls to %g from %g", value, before);
        before = value;
    }
    for (size_t i = 0; i < 5; i++)
        CHECK(item(report, "coefficients", i) == item(file, "coefficients", i), "coefficient %zu", i);
    CHECK(item(file, "range", 0) == min && item(file, "range", 1) == max &&
              strcmp(json_string_value(json_object_get(file, "mode")), "e") == 0 &&
              strstr(json_string_value(json_object_get(file, "job")), "mode: e"),
          "the file says something else");
    struct picture plot = picture_read(own("curve.png"));
    CHECK(plot.width == REEL_PLOT_WIDTH && plot.height == REEL_PLOT_HEAD + 2 * REEL_PLOT_PANEL,
          "the plot is %d x %d", (int)plot.width, (int)plot.height);
    picture_find(&plot, 0x222222, 130, plot.width - 40, REEL_PLOT_HEAD + 34, REEL_PLOT_HEAD + 220);
    CHECK(plot.count > 200, "the curve has %d pixels", (int)plot.count);
    free(plot.pixels);
    json_decref(report);
    json_decref(file);
}

static void the_output_is_left_alone_and_the_names_follow_it(void)
{
    program_file("out.h5", "precious");
    CHECK(program_run(2, "", "calibrate job.yaml --set teacache.mode=e") == 0, "%s", program_said);
    CHECK(exists("out.h5.coefficients.json") && exists("out.h5.coefficients.png"), "files are missing");
    struct stat output;
    CHECK(stat(own("out.h5"), &output) == 0 && output.st_size == 8 && !exists("out.jsonl"),
          "the job's output or log was touched");
    unlink(own("out.h5"));
}

static void a_run_takes_the_file_and_says_where_it_leaves_the_range(void)
{
    json_decref(calibrated(0, "--mode e0 -o e0.json"));
    CHECK(program_run(0, "",
                      "run job.yaml --set teacache.mode=e0 --set teacache.coefficients=e0.json "
                      "--set teacache.start_step=1 --set teacache.threshold=1.5") == 0,
          "%s", program_said);
    CHECK(printed("a file of reel calibrate") == 1 && printed("warning") == 0, "on the job it was made of");
    CHECK(program_run(0, "",
                      "run job.yaml --set teacache.mode=e0 --set teacache.coefficients=e0.json "
                      "--set teacache.start_step=1 --set sampler.steps=40") == 0,
          "%s", program_said);
    CHECK(printed("it was calibrated on") == 1, "on another job there is no warning");
    CHECK(program_run(0, "",
                      "plan job.yaml --set teacache.mode=e0 --set teacache.coefficients=e0.json "
                      "--set sampler.steps=40") == 0,
          "%s", program_said);
    CHECK(printed("outside the range that the polynomial was calibrated on") == 1, "the plan does not warn");
    unlink(own("out.h5"));
    program_fails(2, "run job.yaml --set teacache.mode=e --set teacache.coefficients=e0.json", 4,
                  "fitted for teacache.mode e0 and the job has e");
}

static void what_cannot_be_calibrated_is_refused_before_the_run(void)
{
    program_fails(2, "calibrate job.yaml", 2, "teacache.mode is off, expected e or e0, or the option --mode");
    program_fails(0, "calibrate job.yaml --mode off", 2, "--mode is off, expected e or e0");
    program_fails(0, "calibrate --mode e", 2, "reel calibrate has no job file");
    program_fails(0, "calibrate job.yaml --fast", 2, "--fast is not an option of reel calibrate");
    program_fails(0, "calibrate job.yaml --mode e -o job.yaml", 2,
                  "-o is job.yaml, expected a file that ends");
    program_fails(0, "calibrate job.yaml --mode e --plot a.jpg", 2,
                  "--plot is a.jpg, expected a file that ends");
    program_fails(2, "calibrate job.yaml --mode e --set sampler.steps=4", 2,
                  "3 different distances to the one before, expected 5 or more: raise sampler.steps");
    program_fails(2, "calibrate job.yaml --mode e -o absent/c.json", 5, "absent/c.json could not be written");
    program_fails(0, "calibrate job.yaml --mode e --plot absent/c.png", 5,
                  "absent/c.png could not be written");
    program_fails(0, "calibrate job.yaml --mode e --set model.path=absent --set prompt.embeds=p.safetensors",
                  4, "absent");
    CHECK(!exists("out.h5"), "a refused calibration wrote an output");
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    program_file("job.yaml", job);
    RUN(any_number_of_ranks_finds_the_same);
    RUN(the_fit_rises_over_the_points_and_is_what_the_file_holds);
    RUN(the_output_is_left_alone_and_the_names_follow_it);
    RUN(a_run_takes_the_file_and_says_where_it_leaves_the_range);
    RUN(what_cannot_be_calibrated_is_refused_before_the_run);
    return test_end();
}
