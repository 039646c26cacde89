/* The job file: what is accepted, what is refused and with which message, and that the echo is the job. */
#include "job_file.h"
#include "job_value.h"
#include "launch_job_cases.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char good[] = "model:\n  path: synthetic:tiny\noutput:\n  latents: out.h5\n";

/* Writes a file of this name in the test's folder, with these bytes of text. */
static const char *write_file(const char *name, const char *text, size_t bytes)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(text, 1, bytes, file) == bytes, "%s cannot be written", path);
    if (file)
        fclose(file);
    return path;
}

/* Loads a job with standard error redirected to a file; checks that nothing was printed there. */
static enum reel_status load(const char *path, const char *set, struct reel_job *job)
{
    char capture[256];
    struct stat about = {0};
    snprintf(capture, sizeof capture, "%s/stderr", test_folder());
    reel_error_clear();
    fflush(stderr);
    int kept = dup(2), file = open(capture, O_CREAT | O_TRUNC | O_RDWR, 0600);
    dup2(file, 2);
    enum reel_status status = reel_job_load(path, &set, set ? 1 : 0, job);
    fflush(stderr);
    fstat(file, &about);
    dup2(kept, 2);
    close(kept);
    close(file);
    CHECK(about.st_size == 0, "%lld bytes on standard error", (long long)about.st_size);
    return status;
}

static enum reel_status load_text(const char *text, const char *set, struct reel_job *job)
{
    return load(write_file("job.yaml", text, strlen(text)), set, job);
}

/* Checks the message: one line that starts with the place and contains what is expected. */
static void check_refused(enum reel_status status, const char *what, const char *expected)
{
    const struct reel_error *error = reel_error_here();
    CHECK(status == REEL_BAD_JOB, "status %d of %s", (int)status, what);
    CHECK(strstr(error->cause, expected), "%s gives \"%s\" without \"%s\"", what, error->cause, expected);
    CHECK(!strchr(error->cause, '\n'), "%s gives \"%s\"", what, error->cause);
}

static void every_bad_setting_is_refused_in_one_sentence(void)
{
    struct reel_job job;
    for (size_t i = 0; i < sizeof bad_sets / sizeof bad_sets[0]; i++) {
        enum reel_status status = load_text(good, bad_sets[i].text, &job);
        CHECK(strncmp(reel_error_here()->cause, "--set ", 6) == 0 ||
                  strstr(reel_error_here()->cause, "job.yaml: "),
              "%s gives \"%s\"", bad_sets[i].text, reel_error_here()->cause);
        check_refused(status, bad_sets[i].text, bad_sets[i].expected);
    }
}

/* Adds the required keys to files whose error is found only in a whole job. */
static void every_bad_file_is_refused_in_one_sentence_with_its_line(void)
{
    struct reel_job job;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        char text[512];
        int whole = strstr(bad_files[i].expected, "is 96") || strstr(bad_files[i].expected, "TeaCache");
        snprintf(text, sizeof text, "%s%s", bad_files[i].text, whole ? good : "");
        enum reel_status status = load_text(text, NULL, &job);
        CHECK(strncmp(reel_error_here()->cause, test_folder(), strlen(test_folder())) == 0, "%s gives \"%s\"",
              text, reel_error_here()->cause);
        check_refused(status, text, bad_files[i].expected);
    }
}

static void what_is_no_page_of_text_is_refused(void)
{
    struct reel_job job;
    size_t bytes = REEL_JOB_FILE_BYTES + 1;
    char *large = malloc(bytes), deep[4096], missing[256];
    CHECK(large, "no memory");
    if (!large)
        return;
    memset(large, '#', bytes);
    check_refused(load(write_file("large.yaml", large, bytes), NULL, &job), "a large file",
                  "large.yaml: is larger than 1048576 bytes");
    memset(large, 0, 100);
    check_refused(load(write_file("binary.yaml", large, 100), NULL, &job), "a binary file",
                  "binary.yaml:1: byte 0 of the file is 0x00, expected UTF-8 text");
    memset(deep, '[', sizeof deep);
    check_refused(load(write_file("deep.yaml", deep, sizeof deep), NULL, &job), "a deep file",
                  "is not valid YAML");
    check_refused(load(test_folder(), NULL, &job), "a folder", "the job file cannot be read: Is a directory");
    snprintf(missing, sizeof missing, "%s/missing.yaml", test_folder());
    check_refused(load("", NULL, &job), "no name", "the name of the job file is empty, expected a path");
    check_refused(load(missing, NULL, &job), "no file",
                  "missing.yaml: the job file cannot be opened: No such file");
    memset(large, 'a', 5000);
    memcpy(large, "output.log=", 11);
    large[5000] = '\0';
    check_refused(load(write_file("good.yaml", good, sizeof good - 1), large, &job), "a long path",
                  "is too long, expected less than 1024 bytes with its folder");
    free(large);
}

static void a_small_file_of_aliases_stays_small(void)
{
    struct reel_job job;
    char text[4096];
    int used = snprintf(text, sizeof text, "a0: &a0 [x]\n");
    for (int i = 1; i < 30; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n", i,
                         i, i - 1, i - 1, i - 1, i - 1);
    check_refused(load_text(text, NULL, &job), "nested aliases", "job.yaml:1: a0 is not a key of a job");
}

static void an_output_never_overwrites_what_is_read(void)
{
    static const char *const keys[] = {"prompt.embeds", "sampler.noise", "diffusion_forcing.prefix_latents",
                                       "diffusion_forcing.end_latents", "output.log"};
    struct reel_job job;
    char set[512], expected[512], other[256];
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        snprintf(set, sizeof set, "%s=%s//./out.h5", keys[k], test_folder());
        snprintf(expected, sizeof expected,
                 "output.latents is %s/out.h5, the same as %s, expected another path", test_folder(),
                 keys[k]);
        check_refused(load_text(good, set, &job), set, expected);
    }
    snprintf(set, sizeof set, "output.latents=%s/job.yaml", test_folder());
    check_refused(load_text(good, set, &job), set, "the same as the job file itself");
    snprintf(other, sizeof other, "%s", write_file("embeds", "x", 1));
    snprintf(set, sizeof set, "%s/linked", test_folder());
    CHECK(symlink(other, set) == 0, "no link at %s", set);
    snprintf(set, sizeof set, "prompt.embeds=%s", other);
    check_refused(load_text("model:\n  path: synthetic:tiny\noutput:\n  latents: linked\n", set, &job), set,
                  "linked, the same as prompt.embeds");
}

static void relative_paths_start_at_the_file_or_at_the_working_directory(void)
{
    static const char text[] = "model:\n  path: ../weights\nprompt:\n  embeds: ./p/embeds.safetensors\n"
                               "sampler:\n  noise: /n//noise\noutput:\n  latents: out.h5\n";
    struct reel_job job;
    char here[512], expected[1024];
    CHECK(getcwd(here, sizeof here), "no working directory");
    CHECK(load_text(text, "output.log=logs/a.jsonl", &job) == REEL_OK, "%s", reel_error_here()->cause);
    snprintf(expected, sizeof expected, "%s/../weights", test_folder());
    CHECK(strcmp(job.model.path, expected) == 0, "%s", job.model.path);
    snprintf(expected, sizeof expected, "%s/p/embeds.safetensors", test_folder());
    CHECK(strcmp(job.prompt.embeds, expected) == 0, "%s", job.prompt.embeds);
    CHECK(strcmp(job.sampler.noise, "/n/noise") == 0, "%s", job.sampler.noise);
    snprintf(expected, sizeof expected, "%s/logs/a.jsonl", here);
    CHECK(strcmp(job.output.log, expected) == 0, "%s", job.output.log);
    /* the job file itself by a relative name */
    CHECK(chdir(test_folder()) == 0, "no %s", test_folder());
    CHECK(load("job.yaml", "output.log=", &job) == REEL_OK, "%s", reel_error_here()->cause);
    snprintf(expected, sizeof expected, "%s/out.h5", test_folder());
    CHECK(strcmp(job.output.latents, expected) == 0 && !job.output.log[0], "%s", job.output.latents);
    CHECK(chdir(here) == 0, "no %s", here);
}

static void defaults_are_those_of_the_contract(void)
{
    struct reel_job job;
    CHECK(load_text(good, NULL, &job) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(strcmp(job.model.path, "synthetic:tiny") == 0 && job.model.compute == REEL_COMPUTE_AUTO, "model");
    CHECK(job.video.width == 960 && job.video.height == 544 && job.video.frames == 257 && job.video.fps == 24,
          "video");
    CHECK(job.sampler.scheduler == REEL_UNIPC && job.sampler.steps == 30 && job.sampler.shift == 8 &&
              job.sampler.guidance_scale == 6 && job.sampler.seed == 42 && !job.sampler.noise[0],
          "sampler");
    CHECK(job.diffusion_forcing.base_frames == 97 && job.diffusion_forcing.overlap_frames == 17 &&
              job.diffusion_forcing.ar_step == 0 && job.diffusion_forcing.causal_block_size == 1 &&
              job.diffusion_forcing.causal_attention == 0 && job.diffusion_forcing.addnoise_condition == 0,
          "diffusion_forcing");
    CHECK(job.teacache.mode == REEL_TEACACHE_OFF && job.teacache.threshold == 0.2 &&
              job.teacache.coefficient_count == 0 && job.teacache.start_step == REEL_AUTO &&
              job.teacache.end_step == -1 && job.teacache.residual == REEL_RESIDUAL_BF16,
          "teacache");
    CHECK(job.partition.cfg == REEL_AUTO && job.partition.ulysses == REEL_AUTO, "partition");
    CHECK(job.communication.timeout_s == 600 && job.checkpoint.keep == 2 && job.checkpoint.grace_s == 20 &&
              job.checkpoint.time_limit_s == 0 && job.checkpoint.every_iterations == 0,
          "communication, checkpoint");
    char directory[REEL_PATH_BYTES + 16];
    snprintf(directory, sizeof directory, "%s.checkpoint", job.output.latents);
    CHECK(strcmp(job.checkpoint.directory, directory) == 0, "%s", job.checkpoint.directory);
}

/* Loads the echo of a job; every byte of the job must be the same. */
static void check_echo(const struct reel_job *job)
{
    struct reel_job again;
    char *echo = reel_job_echo(job);
    CHECK(echo, "no memory");
    if (!echo)
        return;
    enum reel_status status = load(write_file("echo.yaml", echo, strlen(echo)), NULL, &again);
    CHECK(status == REEL_OK, "%s in\n%s", reel_error_here()->cause, echo);
    CHECK(memcmp(job, &again, sizeof again) == 0, "the echo loads to another job:\n%s", echo);
    free(echo);
}

static const char all_keys[] =
    "%YAML 1.2\n--- # every key, with what this version takes\n"
    "model: {path: \"we ights: \\\"x\\\" #1\", compute: fp32}\n"
    "video:\n  width: 832\n  height: 480\n  frames: &frames 97\n  fps: 16\n"
    "prompt:\n  embeds: 'd\xc3\xa9j\xc3\xa0 \xe8\xa7\x86 \\ vu: {a}'\n"
    "sampler:\n  scheduler: euler\n  steps: 8\n  shift: 3.0000000000000004\n  guidance_scale: 5.1\n"
    "  seed: 9223372036854775807\n  noise: \"*noise\"\n"
    "diffusion_forcing:\n  base_frames: *frames\n  overlap_frames: 37\n  ar_step: 5\n  causal_block_size: 5\n"
    "  causal_attention: true\n  addnoise_condition: 20\n  prefix_latents: prefix\n  end_latents: end\n"
    "teacache:\n  mode: off\n  threshold: 2e-1\n  coefficients: auto\n  rescale: abs\n  start_step: auto\n"
    "  end_step: -1\n  metric: active\n  embedding: rows\n  residual_dtype: bf16\n"
    "partition:\n  cfg: 1\n  tensor: auto\n  ulysses: 4\n  ring: 1\n  weights: resident\n"
    "device: cpu\n"
    "communication:\n  transport: mpi\n  timeout_s: 600.0\n"
    "checkpoint:\n  directory: saved\n  every_iterations: 5\n  keep: 3\n  grace: 1m20s\n  on_error: stop\n"
    "  time_limit: 3h50m\n"
    "output:\n  latents: \"\\u00fcber.h5\"\n  log: log.jsonl\n  preview:\n";

static void the_echo_of_a_job_loads_to_the_same_bytes(void)
{
    struct reel_job job;
    CHECK(load_text(good, NULL, &job) == REEL_OK, "%s", reel_error_here()->cause);
    check_echo(&job);
    CHECK(load_text(all_keys, NULL, &job) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(job.sampler.seed == INT64_MAX && job.partition.ulysses == 4 &&
              job.diffusion_forcing.base_frames == 97 && job.sampler.scheduler == REEL_EULER &&
              job.diffusion_forcing.causal_attention == 1,
          "values of the job with every key");
    check_echo(&job);
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const char *leaf = strrchr(reel_key_at(k)->name, '.');
        CHECK(strstr(all_keys, leaf ? leaf + 1 : "device"), "%s is not in the job with every key",
              reel_key_at(k)->name);
    }
}

/* This version may refuse such values in a whole job, but still reads and prints them. */
static void every_value_prints_as_text_that_reads_the_same(void)
{
    static const struct {
        const char *key, *text, *printed;
    } values[] = {
        {"checkpoint.grace", "3h50m", "3h50m"},
        {"checkpoint.grace", "90", "1m30s"},
        {"checkpoint.grace", "1.5h", "1h30m"},
        {"checkpoint.grace", "0.25", "0.25"},
        {"checkpoint.grace", "0", "0"},
        {"checkpoint.time_limit", "3h50m", "3h50m"},
        {"checkpoint.time_limit", "1e-7", "1e-07"},
        {"checkpoint.directory", "auto", "auto"},
        {"checkpoint.directory", "off", "off"},
        {"checkpoint.directory", "c", "/f/c"},
        {"checkpoint.directory", "./auto", "/f/auto"},
        {"teacache.coefficients", "fit", "/f/fit"},
        {"teacache.coefficients", "auto", "auto"},
        {"teacache.mode", "e0", "e0"},
        {"teacache.start_step", "7", "7"},
        {"teacache.residual_dtype", "fp32", "fp32"},
        {"sampler.shift", "1e-3", "0.001"},
        {"sampler.shift", "0.1", "0.1"},
        {"output.preview", "a b", "\"/f/a b\""},
        {"model.path", "synthetic:tiny", "\"synthetic:tiny\""},
        {"model.compute", "fp8", "fp8"},
        {"partition.weights", "gathered", "gathered"},
    };
    struct reel_job job;
    char text[REEL_TEXT_BYTES];
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const struct reel_key *key = reel_key_named(values[i].key);
        struct reel_value value = reel_value_plain(values[i].text);
        memset(&job, 0, sizeof job);
        reel_error_clear();
        CHECK(reel_key_read(key, &value, "/f", "here", &job) == REEL_OK, "%s", reel_error_here()->cause);
        reel_key_print(key, &job, text);
        CHECK(strcmp(text, values[i].printed) == 0, "%s: %s is printed %s", values[i].key, values[i].text,
              text);
    }
    const struct reel_key *key = reel_key_named("teacache.coefficients");
    struct reel_value list = {.kind = REEL_VALUE_LIST, .count = 3, .items = {"-0.1", "5e-324", "1e22"}};
    CHECK(reel_key_read(key, &list, "/f", "here", &job) == REEL_OK, "%s", reel_error_here()->cause);
    reel_key_print(key, &job, text);
    CHECK(strcmp(text, "[-0.1, 4.94065645841247e-324, 1e+22]") == 0, "%s", text);
    CHECK(job.teacache.coefficient_count == 3 && job.teacache.coefficients[2] == 1e22, "coefficients");
}

static void every_default_is_a_value_its_key_takes(void)
{
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const struct reel_key *key = reel_key_at(k);
        struct reel_job job = {0};
        struct reel_value value = reel_value_plain(key->default_value ? key->default_value : "required");
        reel_error_clear();
        CHECK(reel_key_named(key->name) == key && reel_key_index(key) == k, "%s is there twice", key->name);
        CHECK(reel_key_read(key, &value, "/f", "here", &job) == REEL_OK, "%s", reel_error_here()->cause);
    }
}

/* Valid jobs with unusual values of settings that do not matter for them. */
static void settings_that_do_not_matter_are_not_refused(void)
{
    static const char *const texts[] = {
        /* as long as one chunk: the overlap of 17 does not matter */
        "video: {frames: 17}\ndiffusion_forcing: {base_frames: 17}\n",
        /* one pass with a sliding window that moves in time */
        "video: {frames: 257}\ndiffusion_forcing: {overlap_frames: 0, ar_step: 2}\n",
        "diffusion_forcing: {causal_block_size: 5, overlap_frames: 17}\n",
        "\xef\xbb\xbfvideo:\r\n  frames: 97\r\n",
        "video:\nprompt: ~\n",
    };
    struct reel_job job;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", texts[i], good);
        CHECK(load_text(text, NULL, &job) == REEL_OK, "%s: %s", texts[i], reel_error_here()->cause);
    }
    CHECK(load_text(good, "video.frames=101", &job) == REEL_OK, "%s", reel_error_here()->cause);
    /* a window slides through one pass: the whole video, not only the window, consists of blocks */
    check_refused(load_text("video: {frames: 101}\ndiffusion_forcing: {overlap_frames: 0, ar_step: 6,\n"
                            "  causal_block_size: 5}\nmodel: {path: synthetic:tiny}\noutput: {latents: o}\n",
                            NULL, &job),
                  "a sliding window over half a block",
                  "causal_block_size is 5 and video.frames is 101 (26 latent");
}

static void the_last_setting_of_a_key_holds(void)
{
    const char *const sets[] = {"sampler.steps=8", "output.log=a", "sampler.steps=9", "output.log=~"};
    const char *path = write_file("job.yaml", good, sizeof good - 1);
    struct reel_job job;
    reel_error_clear();
    CHECK(reel_job_load(path, sets, 4, &job) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(job.sampler.steps == 9 && !job.output.log[0], "%lld %s", (long long)job.sampler.steps,
          job.output.log);
}

static void the_help_names_every_key_in_a_hundred_columns(void)
{
    char *help = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&help, &bytes);
    CHECK(out, "no memory");
    if (!out)
        return;
    reel_job_help(out);
    fclose(out);
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const char *dot = strrchr(reel_key_at(k)->name, '.');
        CHECK(strstr(help, dot ? dot + 1 : "device"), "%s is not in the help", reel_key_at(k)->name);
    }
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1)
        CHECK(strcspn(line, "\n") <= 100, "%.*s", (int)strcspn(line, "\n"), line);
    free(help);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    RUN(every_bad_setting_is_refused_in_one_sentence);
    RUN(every_bad_file_is_refused_in_one_sentence_with_its_line);
    RUN(what_is_no_page_of_text_is_refused);
    RUN(a_small_file_of_aliases_stays_small);
    RUN(an_output_never_overwrites_what_is_read);
    RUN(relative_paths_start_at_the_file_or_at_the_working_directory);
    RUN(defaults_are_those_of_the_contract);
    RUN(the_echo_of_a_job_loads_to_the_same_bytes);
    RUN(every_value_prints_as_text_that_reads_the_same);
    RUN(every_default_is_a_value_its_key_takes);
    RUN(settings_that_do_not_matter_are_not_refused);
    RUN(the_last_setting_of_a_key_holds);
    RUN(the_help_names_every_key_in_a_hundred_columns);
    return test_end();
}
