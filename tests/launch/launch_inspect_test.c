/* reel inspect: what it prints of models, inputs and outputs, in lines of at most 100 columns. */
#include "inspect.h"
#include "output.h"
#include "output_read.h"
#include "statistics.h"
#include "test.h"

#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *reference(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_reference(), name);
    return path;
}

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

/* Checks that the printed report contains all the words in this order. Lines after the first have at most 100
 * columns. */
static void check_print(void (*print)(json_t *, FILE *), json_t *report, const char *const *words, int count)
{
    char *text;
    size_t bytes;
    FILE *to = open_memstream(&text, &bytes);
    print(report, to);
    fclose(to);
    for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        CHECK(strcspn(line + 1, "\n") <= 100, "%.*s", (int)strcspn(line + 1, "\n"), line + 1);
    const char *at = text;
    for (int w = 0; w < count; w++) {
        const char *found = strstr(at, words[w]);
        CHECK(found, "%s is missing in: %s", words[w], text);
        at = found ? found : at;
    }
    free(text);
}

static int64_t integer_at(json_t *report, const char *outer, const char *inner)
{
    return reel_inspect_integer(json_object_get(report, outer), inner);
}

static int is_text(json_t *report, const char *outer, const char *inner, const char *text)
{
    return strcmp(reel_inspect_string(json_object_get(report, outer), inner), text) == 0;
}

static void a_model_is_described_in_every_layout(void)
{
    static const struct {
        const char *name, *naming, *prefix, *presets, *kind;
        int64_t files, tensors, width;
    } cases[] = {
        {"tiny-df/native", "native", "", "tiny", "t2v", 1, 101, 128},
        {"tiny-df/native-sharded", "native", "", "tiny", "t2v", 2, 101, 128},
        {"tiny-df/diffusers", "diffusers", "", "tiny", "t2v", 1, 101, 128},
        {"tiny-df/comfy.safetensors", "native", "model.diffusion_model.", "tiny", "t2v", 1, 101, 128},
        {"tiny-i2v/native", "native", "", "", "i2v", 1, 87, 96},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        json_t *report;
        CHECK(reel_inspect_model(reference(cases[c].name), &report) == REEL_OK, "%s",
              reel_error_here()->cause);
        CHECK(is_text(report, "layout", "naming", cases[c].naming) &&
                  is_text(report, "layout", "prefix", cases[c].prefix) &&
                  integer_at(report, "layout", "files") == cases[c].files,
              "layout of %s", cases[c].name);
        CHECK(is_text(report, "architecture", "presets", cases[c].presets) &&
                  is_text(report, "architecture", "kind", cases[c].kind) &&
                  integer_at(report, "architecture", "width") == cases[c].width,
              "architecture of %s", cases[c].name);
        CHECK(reel_inspect_integer(report, "tensors") == cases[c].tensors &&
                  integer_at(json_object_get(report, "dtypes"), "BF16", "tensors") == cases[c].tensors &&
                  integer_at(json_object_get(report, "dtypes"), "BF16", "bytes") ==
                      2 * integer_at(report, "architecture", "parameters"),
              "tensors of %s", cases[c].name);
        CHECK(json_is_true(json_object_get(report, "complete")), "%s", cases[c].name);
        check_print(reel_inspect_print_model, report,
                    (const char *const[]){": a model", cases[c].naming, "architecture", "BF16", "yes"}, 5);
        json_decref(report);
    }
}

static void a_part_of_a_model_says_what_is_missing(void)
{
    json_t *report;
    int is_model = 0;
    const char *part = "tiny-df/native-sharded/diffusion_pytorch_model-00001-of-00002.safetensors";
    CHECK(reel_inspect_is_model(reference(part), &is_model) == REEL_OK && is_model, "a shard is no model");
    CHECK(reel_inspect_model(reference(part), &report) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(json_is_false(json_object_get(report, "complete")) &&
              integer_at(report, "missing", "count") == 51 && integer_at(report, "unexpected", "count") == 0,
          "%lld are missing", (long long)integer_at(report, "missing", "count"));
    check_print(reel_inspect_print_model, report,
                (const char *const[]){"missing", "51: ", "complete", "no:", "of the model's 101 tensors"}, 5);
    json_decref(report);

    CHECK(symlink(reference(part), own("alone.safetensors")) == 0, "no link");
    CHECK(reel_inspect_model(own("alone.safetensors"), &report) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(json_is_false(json_object_get(report, "complete")) &&
              strstr(reel_inspect_string(report, "refused"), "are missing"),
          "without a config: %s", reel_inspect_string(report, "refused"));
    json_decref(report);
}

static void a_preset_is_described_without_files(void)
{
    json_t *report;
    CHECK(reel_inspect_model("synthetic:wan2.1-t2v-14b", &report) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(is_text(report, "architecture", "presets", "skyreels-v2-df-14b, wan2.1-t2v-14b") &&
              integer_at(report, "architecture", "parameters") == 14288491584 &&
              reel_inspect_integer(report, "expected_tensors") == 1095,
          "wan2.1-t2v-14b");
    check_print(reel_inspect_print_model, report, (const char *const[]){"synthetic", "1095", "yes"}, 3);
    json_decref(report);
    CHECK(reel_inspect_model("synthetic:huge", &report) == REEL_BAD_JOB && !report, "synthetic:huge");
    reel_error_clear();
}

/* Writes five floats, three integers and two halves; reel uses some of the names. */
static void write_inputs(const char *path)
{
    static const char header[] =
        "{\"noise.12\":{\"dtype\":\"F32\",\"shape\":[1,1,1,5],\"data_offsets\":[0,20]},"
        "\"noise\":{\"dtype\":\"I32\",\"shape\":[3],\"data_offsets\":[20,32]},"
        "\"prompt_embeds\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[32,36]},"
        "\"clip_fea\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,2],\"data_offsets\":[36,38]},"
        "\"y\":{\"dtype\":\"I8\",\"shape\":[1,1,1,2],\"data_offsets\":[38,40]},"
        "\"end_latents\":{\"dtype\":\"F32\",\"shape\":[0,1,1,1],\"data_offsets\":[40,40]},"
        "\"__metadata__\":{\"made_by\":\"a test\"}}";
    const float floats[5] = {1, NAN, -3, INFINITY, 5};
    const int32_t integers[3] = {7, -7, 3};
    const unsigned char rest[8] = {0x80, 0x3f, 0x00, 0xc0, 0x38, 0xff, 1, 2};
    uint64_t length = sizeof header - 1;
    FILE *file = fopen(path, "wb");
    CHECK(fwrite(&length, 8, 1, file) == 1 && fwrite(header, length, 1, file) == 1 &&
              fwrite(floats, sizeof floats, 1, file) == 1 &&
              fwrite(integers, sizeof integers, 1, file) == 1 && fwrite(rest, sizeof rest, 1, file) == 1 &&
              fclose(file) == 0,
          "%s is not written", path);
}

static void inputs_are_measured_and_their_use_is_named(void)
{
    static const struct {
        const char *name;
        double min, max, mean; /* NaN: the report has none */
        int64_t not_finite;    /* -1: unknown */
        const char *use;
    } cases[] = {
        {"clip_fea", 1, 1, 1, 1, "nothing: prompt.embeds is not read from F8_E4M3"},
        {"end_latents", NAN, NAN, NAN, 0, "diffusion_forcing.end_latents: the end that is appended"},
        {"noise", -7, 7, 1, 0, "nothing"},
        {"noise.12", -3, 5, 1, 2, "sampler.noise: the noise of chunk 12"},
        {"prompt_embeds", -2, 1, -0.5, 0, "it has 1 dimensions, expected 2"},
        {"y", NAN, NAN, NAN, -1, "nothing: prompt.embeds is not read from I8"},
    };
    json_t *report;
    int is_model = 1;
    write_inputs(own("inputs.safetensors"));
    CHECK(reel_inspect_is_model(own("inputs.safetensors"), &is_model) == REEL_OK && !is_model, "a model");
    CHECK(reel_inspect_tensors(own("inputs.safetensors"), &report) == REEL_OK, "%s",
          reel_error_here()->cause);
    json_t *tensors = json_object_get(report, "tensors");
    CHECK(json_array_size(tensors) == 6 && is_text(report, "metadata", "made_by", "a test"), "%zu tensors",
          json_array_size(tensors));
    for (size_t c = 0; c < 6; c++) {
        json_t *t = json_array_get(tensors, c), *min = json_object_get(t, "min");
        json_t *not_finite = json_object_get(t, "non_finite");
        CHECK(strcmp(reel_inspect_string(t, "name"), cases[c].name) == 0, "%s",
              reel_inspect_string(t, "name"));
        CHECK(isnan(cases[c].min) ? json_is_null(min)
                                  : json_real_value(min) == cases[c].min &&
                                        json_real_value(json_object_get(t, "max")) == cases[c].max &&
                                        json_real_value(json_object_get(t, "mean")) == cases[c].mean,
              "%s from %g", cases[c].name, json_real_value(min));
        CHECK(cases[c].not_finite < 0 ? json_is_null(not_finite)
                                      : json_integer_value(not_finite) == cases[c].not_finite,
              "%s: %lld", cases[c].name, (long long)json_integer_value(not_finite));
        CHECK(strstr(reel_inspect_string(t, "use"), cases[c].use), "%s: %s", cases[c].name,
              reel_inspect_string(t, "use"));
    }
    check_print(reel_inspect_print_tensors, report,
                (const char *const[]){": 6 tensors", "noise.12", "-3 to 5, mean 1", "not finite", "2",
                                      "of chunk 12", "made_by: a test"},
                7);
    json_decref(report);
}

static struct reel_job job;

/* Writes an output with 3 of 4 latent frames, in two chunks. Channel 1 is 10 times channel 0 and holds one
 * NaN. */
static void write_output(const char *path)
{
    static float latents[2 * 4 * 3 * 5];
    static int64_t timesteps[6], intervals[4];
    static uint8_t updates[6];
    struct reel_timesteps matrices[2] = {{.timestep = timesteps, .update = updates, .interval = intervals}};
    const struct reel_call calls[] = {{.chunk = 0, .computed = 1},
                                      {.chunk = 0, .branch = 1, .computed = 1},
                                      {.chunk = 0, .iteration = 1},
                                      {.chunk = 0, .iteration = 1, .branch = 1, .computed = 1},
                                      {.chunk = 1, .computed = 1}};
    matrices[0].rows = 2;
    matrices[0].frames = 3;
    matrices[1] = matrices[0];
    matrices[1].rows = 1;
    for (int i = 0; i < 60; i++) {
        latents[i] = i % 2 ? 1.5f : -0.5f;
        latents[60 + i] = 10 * latents[i];
    }
    latents[60] = NAN;
    job.video.width = 40;
    job.video.height = 24;
    job.video.frames = 13;
    job.video.fps = 8;
    job.sampler.seed = 7;
    snprintf(job.output.latents, sizeof job.output.latents, "%s", path);
    CHECK(reel_output_write(&(struct reel_output){.job = &job,
                                                  .job_text = "video:\n  frames: 13\n",
                                                  .channels = 2,
                                                  .video_frames = 4,
                                                  .rows = 3,
                                                  .columns = 5,
                                                  .finished_frames = 3,
                                                  .latents = latents,
                                                  .matrices = matrices,
                                                  .chunks = 2,
                                                  .calls = calls,
                                                  .call_count = 5}) == REEL_OK,
          "%s", reel_error_here()->cause);
}

static void an_output_says_where_it_stands(void)
{
    json_t *report;
    write_output(own("out.h5"));
    CHECK(reel_inspect_output(own("out.h5"), 1, &report) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(json_is_false(json_object_get(report, "complete")) &&
              reel_inspect_integer(report, "finished_frames") == 9 &&
              reel_inspect_integer(report, "frames") == 13 && reel_inspect_integer(report, "seed") == 7 &&
              reel_inspect_integer(report, "latent_frames") == 4 &&
              reel_inspect_integer(report, "finished_latent_frames") == 3,
          "%lld frames", (long long)reel_inspect_integer(report, "finished_frames"));
    CHECK(reel_inspect_integer(report, "non_finite") == 1, "the NaN");
    json_t *first = json_array_get(json_object_get(report, "chunks"), 0), *channel;
    CHECK(json_integer_value(json_array_get(json_object_get(first, "computed"), 0)) == 1 &&
              json_integer_value(json_array_get(json_object_get(first, "skipped"), 0)) == 1 &&
              json_integer_value(json_array_get(json_object_get(first, "computed"), 1)) == 2 &&
              reel_inspect_integer(first, "iterations") == 2,
          "chunk 0");
    channel = json_array_get(json_object_get(report, "channels"), 0);
    double mean = json_real_value(json_object_get(channel, "mean"));
    double deviation = json_real_value(json_object_get(channel, "deviation"));
    CHECK(fabs(mean - 21.5 / 45) < 1e-12 && fabs(deviation - sqrt(4. * 22 * 23) / 45) < 1e-12, "%.17g, %.17g",
          mean, deviation);
    check_print(reel_inspect_print_output, report,
                (const char *const[]){"an output of reel ", "40 x 24 pixels, 8 fps",
                                      "9 of 13 finished, 1.12 s", "not finite", "1 computed, 1 skipped",
                                      "deviation", "frames: 13"},
                7);
    json_decref(report);
    CHECK(reel_inspect_output(own("out.h5"), 0, &report) == REEL_OK && !json_object_get(report, "job"),
          "the job was not asked for");
    json_decref(report);
}

static void check_no_output(const char *words)
{
    json_t *report;
    CHECK(reel_inspect_output(own("bad.h5"), 0, &report) == REEL_BAD_INPUT && !report &&
              strstr(reel_error_here()->cause, words),
          "%s: %s", words, reel_error_here()->cause);
    reel_error_clear();
}

static void an_hdf5_file_that_is_no_output_is_refused(void)
{
    int64_t finished = 2;
    CHECK(!reel_output_is_hdf5(own("inputs.safetensors")) && !reel_output_is_hdf5("/no/such"), "no HDF5");
    check_no_output("expected an HDF5 file");
    H5Fclose(H5Fcreate(own("bad.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    check_no_output("expected an output of reel, but the attribute reel_version is missing");
    write_output(own("bad.h5"));
    hid_t file = H5Fopen(own("bad.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t attribute = H5Aopen(file, "finished_frames", H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &finished);
    H5Aclose(attribute);
    H5Fclose(file);
    check_no_output("/latents has 3 frames, but finished_frames is 2");
    write_output(own("bad.h5"));
    file = H5Fopen(own("bad.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, "/chunks/1", H5P_DEFAULT);
    H5Fclose(file);
    check_no_output("is of chunk 1, branch 0, which do not exist");
    write_output(own("bad.h5"));
    CHECK(truncate(own("bad.h5"), 1000) == 0, "not cut short");
    check_no_output("damaged or cut short");
}

static void statistics_leave_out_what_is_no_number(void)
{
    const float values[5] = {1e6f, NAN, 1e6f + 1, -INFINITY, 1e6f + 2};
    struct reel_statistics s = {0}, none = {0};
    reel_statistics_add(&s, values, 5);
    CHECK(s.count == 3 && s.not_finite == 2 && s.min == 1e6 && s.max == 1e6 + 2, "%lld finite",
          (long long)s.count);
    CHECK(reel_statistics_mean(&s) == 1e6 + 1 && fabs(reel_statistics_deviation(&s) - sqrt(2. / 3)) < 1e-12,
          "mean %.17g", reel_statistics_mean(&s));
    CHECK(reel_statistics_mean(&none) == 0 && reel_statistics_deviation(&none) == 0, "of nothing");
}

int main(void)
{
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    RUN(a_model_is_described_in_every_layout);
    RUN(a_part_of_a_model_says_what_is_missing);
    RUN(a_preset_is_described_without_files);
    RUN(inputs_are_measured_and_their_use_is_named);
    RUN(an_output_says_where_it_stands);
    RUN(an_hdf5_file_that_is_no_output_is_refused);
    RUN(statistics_leave_out_what_is_no_number);
    return test_end();
}
