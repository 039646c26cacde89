/* The program as users start it: exit codes, one message whatever the number of ranks, and the same bytes on any. */
#include "test.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_BYTES = 1 << 16 };

static char text[TEXT_BYTES]; /* what the last command said on standard error */

/* Runs reel under mpirun, or alone with 0 ranks; returns its exit code. */
static int reel(int ranks, const char *arguments)
{
    char command[4096], start[256] = "";
    if (ranks > 0)
        snprintf(start, sizeof start, "%s -n %d ", REEL_TEST_MPIRUN, ranks);
    snprintf(command, sizeof command, "cd %s && %s%s %s 2>stderr >stdout", test_folder(), start,
             REEL_TEST_PROGRAM, arguments);
    int code = system(command);
    snprintf(command, sizeof command, "%s/stderr", test_folder());
    FILE *file = fopen(command, "r");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

/* How often the last command's standard output holds the words. */
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

static int times_said(const char *words)
{
    int times = 0;
    for (const char *at = text; (at = strstr(at, words)); at++)
        times++;
    return times;
}

/* The command fails with that code and says the sentence once. */
static void fails(int ranks, const char *arguments, int code, const char *sentence)
{
    int found = reel(ranks, arguments);
    CHECK(found == code, "reel %s on %d ranks: exit %d, expected %d: %s", arguments, ranks, found, code,
          text);
    CHECK(times_said("reel: error: ") == 1 && times_said(sentence) == 1,
          "reel %s on %d ranks should say once: %s; it said: %s", arguments, ranks, sentence, text);
}

static void write_job(const char *name, const char *yaml)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "w");
    fputs(yaml, file);
    fclose(file);
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
    "output: {latents: out.h5, log: out.jsonl}\n";

static void bad_commands_exit_with_2_and_one_message(void)
{
    fails(0, "", 2, "there is no command");
    fails(3, "paint", 2, "paint is not a command");
    fails(0, "run", 2, "reel run has no job file");
    fails(0, "run a.yaml b.yaml", 2, "two job files, a.yaml and b.yaml");
    fails(0, "run --hurry a.yaml", 2, "--hurry is not an option of reel run");
    fails(0, "run a.yaml --set", 2, "--set is the last word");
    fails(0, "run absent.yaml", 2, "absent.yaml");
    fails(3, "run job.yaml --set sampler.step=3", 2, "sampler.steps");
    fails(0, "run job.yaml --set video.frames=16", 2, "video.frames is 16, expected 4k+1");
    fails(2, "run job.yaml --set teacache.mode=e", 2, "teacache.mode is e");
    fails(0, "inspect", 2, "reel inspect has no file");
    fails(0, "inspect --yaml prompts.safetensors", 2, "--yaml is not an option of reel inspect");
    fails(0, "inspect prompts.safetensors --job", 2, "--job is for an output of reel");
    fails(0, "inspect synthetic:huge", 2, "expected one of the presets");
}

static void bad_jobs_exit_with_the_code_of_their_kind(void)
{
    fails(3, "run job.yaml --set model.path=absent --set prompt.embeds=prompts.safetensors", 4, "absent");
    fails(0, "run job.yaml --set prompt.embeds=absent.safetensors", 4, "absent.safetensors");
    fails(3, "run job.yaml --set prompt.embeds=positive.safetensors", 2, "negative_prompt_embeds");
    fails(0, "run job.yaml --set sampler.noise=prompts.safetensors", 4, "there is no tensor noise.0");
    fails(5, "run job.yaml", 3, "leave a rank without a head");
    fails(2, "run job.yaml --set partition.ulysses=3", 3, "partition.ulysses is 3 on 2 ranks");
    fails(3, "run job.yaml --set output.latents=/proc/none/out.h5", 5, "output.latents could not be written");
    fails(0, "run job.yaml --set output.log=/proc/none/out.jsonl", 5, "output.log");
    fails(0, "run job.yaml --set diffusion_forcing.prefix_latents=prompts.safetensors", 4,
          "there is no tensor prefix_latents");
    fails(2, "inspect absent.h5", 4, "absent.h5: No such file");
    fails(0, "inspect job.yaml", 4, "expected safetensors, but the file looks like a text");
}

static void a_velocity_that_is_not_finite_stops_all_ranks_with_70(void)
{
    fails(3, "run job.yaml --set prompt.embeds=huge.safetensors", 70,
          "the velocity is not finite in chunk 0, iteration 0, latent frame 0");
    char path[256];
    snprintf(path, sizeof path, "%s/out.h5", test_folder());
    CHECK(access(path, F_OK) != 0, "something was saved");
}

static void help_and_version_answer_at_once(void)
{
    CHECK(reel(0, "--help") == 0 && reel(0, "run --help") == 0 && reel(0, "--version") == 0 &&
              reel(0, "inspect --help") == 0,
          "%s", text);
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
    CHECK(reel(0, "run job.yaml --set output.latents=alone.h5") == 0, "%s", text);
    float *alone = latents_of("alone.h5", &count);
    CHECK(count == 16 * 5 * 6 * 8, "%lld numbers", (long long)count);
    for (int ranks = 1; ranks <= 4; ranks++) {
        CHECK(reel(ranks, "run job.yaml") == 0, "%d ranks: %s", ranks, text);
        float *latents = latents_of("out.h5", &again);
        CHECK(again == count && memcmp(latents, alone, (size_t)count * sizeof *alone) == 0, "%d ranks differ",
              ranks);
        free(latents);
    }
    CHECK(reel(0, "inspect alone.h5 --job") == 0 && says("an output of reel") == 1 && says("complete ") == 1,
          "inspect alone.h5: %s", text);
    CHECK(reel(2, "inspect alone.h5 --json") == 0 && says("\"complete\": true") == 1, "--json: %s", text);
    CHECK(reel(2, "run job.yaml --set sampler.seed=8") == 0, "%s", text);
    float *other = latents_of("out.h5", &again);
    CHECK(memcmp(other, alone, (size_t)count * sizeof *alone) != 0, "another seed makes the same latents");
    free(other);
    free(alone);
}

int main(void)
{
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    write_job("job.yaml", small_job);
    write_prompts("prompts.safetensors", 0.5f, 1);
    write_prompts("positive.safetensors", 0.5f, 0);
    write_prompts("huge.safetensors", 3e38f, 1);
    RUN(bad_commands_exit_with_2_and_one_message);
    RUN(bad_jobs_exit_with_the_code_of_their_kind);
    RUN(a_velocity_that_is_not_finite_stops_all_ranks_with_70);
    RUN(help_and_version_answer_at_once);
    RUN(every_number_of_ranks_writes_the_same_latents);
    return test_end();
}
