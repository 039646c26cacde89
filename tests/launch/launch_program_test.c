/* The program as users start it: exit codes, one message whatever the number of ranks, and the same bytes on
 * any number of ranks. */
#include "program.h"
#include "test.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How many lines of the last command's standard output contain the words. */
static int says(const char *words)
{
    char command[512];
    int times = -1;
    snprintf(command, sizeof command, "grep -c '%s' %s/stdout", words, test_folder());
    FILE *found = popen(command, "r");
    if (fscanf(found, "%d", &times) != 1)
        times = -1;
    pclose(found);
    return times;
}

/* Two prompts [2, 48] of one value each, as safetensors. */
static void write_prompts(const char *name, float value, int negative)
{
    char path[256], header[512];
    float rows[2 * 96];
    for (int i = 0; i < 2 * 96; i++)
        rows[i] = value;
    int length =
        snprintf(header, sizeof header,
                 "{\"prompt_embeds\":{\"dtype\":\"F32\",\"shape\":[2,48],\"data_offsets\":[0,384]}%s}",
                 negative ? ",\"negative_prompt_embeds\":{\"dtype\":\"F32\",\"shape\":[2,48],"
                            "\"data_offsets\":[384,768]}"
                          : "");
    uint64_t bytes = (uint64_t)length;
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "wb");
    fwrite(&bytes, 8, 1, file);
    fwrite(header, 1, (size_t)length, file);
    fwrite(rows, 384, negative ? 2 : 1, file);
    fclose(file);
}

static const char small_job[] =
    "model: {path: 'synthetic:tiny'}\n"
    "video: {width: 64, height: 48, frames: 17}\n"
    "sampler: {steps: 3, seed: 7}\n"
    "diffusion_forcing: {base_frames: 9, overlap_frames: 5, addnoise_condition: 20}\n"
    "checkpoint: {directory: off}\n"
    "output: {latents: out.h5, log: out.jsonl}\n";

static void bad_commands_exit_with_2_and_one_message(void)
{
    program_fails(0, "", 2, "there is no command");
    program_fails(3, "paint", 2, "paint is not a command");
    program_fails(0, "run", 2, "reel run has no job file");
    program_fails(0, "run a.yaml b.yaml", 2, "two job files, a.yaml and b.yaml");
    program_fails(0, "run --hurry a.yaml", 2, "--hurry is not an option of reel run");
    program_fails(0, "run a.yaml --set", 2, "--set is the last argument");
    program_fails(0, "run absent.yaml", 2, "absent.yaml");
    program_fails(3, "run job.yaml --set sampler.step=3", 2, "sampler.steps");
    program_fails(0, "run job.yaml --set video.frames=16", 2, "video.frames is 16, expected 4k+1");
    program_fails(2, "run job.yaml --set teacache.mode=e", 2,
                  "teacache.coefficients is auto and none were published");
    program_fails(0, "inspect", 2, "reel inspect has no file");
    program_fails(0, "inspect --yaml prompts.safetensors", 2, "--yaml is not an option of reel inspect");
    program_fails(0, "inspect prompts.safetensors --job", 2, "--job is for an output of reel");
    program_fails(0, "inspect synthetic:huge", 2, "expected one of the presets");
    program_fails(2, "inspect absent.h5", 4, "absent.h5: No such file");
    program_fails(0, "inspect job.yaml", 4, "expected safetensors, but the file looks like a text");
}

static void bad_jobs_exit_with_the_code_of_their_kind(void)
{
    program_fails(3, "run job.yaml --set model.path=absent --set prompt.embeds=prompts.safetensors", 4,
                  "absent");
    program_fails(0, "run job.yaml --set prompt.embeds=absent.safetensors", 4, "absent.safetensors");
    program_fails(3, "run job.yaml --set prompt.embeds=positive.safetensors", 2, "negative_prompt_embeds");
    program_fails(0, "run job.yaml --set sampler.noise=prompts.safetensors", 4, "there is no tensor noise.0");
    program_fails(5, "run job.yaml --set partition.ring=1", 3,
                  "ring 1 x ulysses auto x tensor auto has 5 ranks");
    program_fails(2, "run job.yaml --set partition.ulysses=3", 3,
                  "cfg auto x ring auto x ulysses 3 x tensor auto has 2 ranks");
    program_fails(2, "run job.yaml --set partition.cfg=2 --set sampler.guidance_scale=1", 3,
                  "leaves one branch");
    program_fails(3, "run job.yaml --set output.latents=/proc/none/out.h5", 5,
                  "output.latents could not be written");
    program_fails(0, "run job.yaml --set output.log=/proc/none/out.jsonl", 5, "output.log");
    program_fails(0, "run job.yaml --set diffusion_forcing.prefix_latents=prompts.safetensors", 4,
                  "there is no tensor prefix_latents");
}

static void outputs_that_cannot_be_replaced_are_found_beforehand(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/folder.h5", test_folder());
    mkdir(path, 0777);
    program_fails(0, "run job.yaml --set output.latents=folder.h5", 5, "output.latents is no regular file");
    program_fails(0, "run job.yaml --set output.latents=/dev/null", 5, "output.latents is no regular file");
    snprintf(path, sizeof path, "%s/fifo", test_folder());
    mkfifo(path, 0666);
    program_fails(0, "run job.yaml --set output.log=fifo", 5, "output.log cannot be opened");
}

/* 16384 x 16384 pixels fit into no machine's memory today, on any of three ranks. */
static void a_job_that_does_not_fit_is_refused_with_3(void)
{
    program_fails(
        3,
        "run job.yaml --set video.width=16384 --set video.height=16384 --set video.frames=2001 --set "
        "diffusion_forcing.base_frames=1001",
        3, "rank 0 of 3 needs");
}

static void a_velocity_that_is_not_finite_stops_all_ranks_with_70(void)
{
    program_fails(3, "run job.yaml --set prompt.embeds=huge.safetensors", 70,
                  "the velocity is not finite in chunk 0, iteration 0, latent frame 0");
    char path[256];
    snprintf(path, sizeof path, "%s/out.h5", test_folder());
    CHECK(access(path, F_OK) != 0, "something was saved");
}

static void help_and_version_answer_at_once(void)
{
    CHECK(program_run(0, "", "--help") == 0 && program_run(0, "", "run --help") == 0 &&
              program_run(0, "", "--version") == 0,
          "%s", program_said);
}

/* The latents of a file of 5 latent frames; the caller frees them. */
static float *latents_of(const char *name, int64_t *count)
{
    char path[256];
    hsize_t shape[4] = {0};
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/latents", H5P_DEFAULT);
    hid_t space = H5Dget_space(set);
    H5Sget_simple_extent_dims(space, shape, NULL);
    *count = (int64_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    float *values = calloc((size_t)*count, sizeof *values);
    H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    return values;
}

static void every_number_of_ranks_writes_the_same_latents(void)
{
    int64_t count, again;
    CHECK(program_run(0, "", "run job.yaml --set output.latents=alone.h5") == 0, "%s", program_said);
    float *alone = latents_of("alone.h5", &count);
    CHECK(count == 16 * 5 * 6 * 8, "%lld numbers", (long long)count);
    /* one thread where more are requested, and an invalid number */
    static const char *const environments[] = {"OMP_NUM_THREADS=4 OMP_THREAD_LIMIT=1",
                                               "OMP_NUM_THREADS=2 OMP_DYNAMIC=true", "OMP_NUM_THREADS="};
    for (int e = 0; e < 3; e++) {
        CHECK(program_run(0, environments[e], "run job.yaml") == 0, "%s: %s", environments[e], program_said);
        float *latents = latents_of("out.h5", &again);
        CHECK(again == count && memcmp(latents, alone, (size_t)count * sizeof *alone) == 0, "%s differs",
              environments[e]);
        free(latents);
    }
    for (int ranks = 1; ranks <= 4; ranks++) {
        CHECK(program_run(ranks, "", "run job.yaml") == 0, "%d ranks: %s", ranks, program_said);
        float *latents = latents_of("out.h5", &again);
        CHECK(again == count && memcmp(latents, alone, (size_t)count * sizeof *alone) == 0, "%d ranks differ",
              ranks);
        free(latents);
    }
    CHECK(program_run(0, "", "inspect alone.h5 --job") == 0 && says("an output of reel") == 1 &&
              says("complete ") == 1,
          "inspect alone.h5: %s", program_said);
    CHECK(program_run(2, "", "run job.yaml") == 0 && says("iteration 3/3") == 3 && says("\\[") == 0,
          "no plain lines into a file: %s", program_said);
    CHECK(program_run(2, "REEL_TERMINAL_COLUMNS=80", "run job.yaml") == 0 && says("\\[=*\\]") > 0,
          "no bar for a terminal: %s", program_said);
    CHECK(program_run(2, "", "inspect alone.h5 --json") == 0 && says("\"complete\": true") == 1, "--json: %s",
          program_said);
    CHECK(program_run(2, "", "run job.yaml --set sampler.seed=8") == 0, "%s", program_said);
    float *other = latents_of("out.h5", &again);
    CHECK(memcmp(other, alone, (size_t)count * sizeof *alone) != 0, "another seed makes the same latents");
    free(other);
    free(alone);
}

int main(void)
{
    program_file("job.yaml", small_job);
    write_prompts("prompts.safetensors", 0.5f, 1);
    write_prompts("positive.safetensors", 0.5f, 0);
    write_prompts("huge.safetensors", 3e38f, 1);
    RUN(bad_commands_exit_with_2_and_one_message);
    RUN(bad_jobs_exit_with_the_code_of_their_kind);
    RUN(outputs_that_cannot_be_replaced_are_found_beforehand);
    RUN(a_job_that_does_not_fit_is_refused_with_3);
    RUN(a_velocity_that_is_not_finite_stops_all_ranks_with_70);
    RUN(help_and_version_answer_at_once);
    RUN(every_number_of_ranks_writes_the_same_latents);
    return test_end();
}
