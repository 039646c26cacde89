/* No bad input breaks the program: each gives its exit code and its sentence, once. */
#include "program.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- files --- */

static void write_bytes(const char *name, const void *bytes, size_t count)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, count, file);
    fclose(file);
}

/* Writes a safetensors file of one tensor, with count elements of four bytes, all equal. */
static void write_tensor(const char *file, const char *name, const char *dtype, const char *shape,
                         size_t count, uint32_t bits)
{
    char header[512];
    unsigned char *bytes = malloc(520 + 4 * count);
    uint64_t length = (uint64_t)snprintf(
        header, sizeof header, "{\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[0,%zu]}}", name,
        dtype, shape, 4 * count);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + 8 + length + 4 * i, &bits, 4);
    write_bytes(file, bytes, 8 + length + 4 * count);
    free(bytes);
}

/* The weights and the config of the reference cases' native model. */
static char *weights, *config;
static size_t weights_bytes, config_bytes;

static char *read_reference(const char *name, size_t *bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tiny-df/native/%s", test_reference(), name);
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 4 << 20);
    *bytes = fread(text, 1, 4 << 20, file);
    fclose(file);
    return text;
}

/* Makes a model folder with one change, in the header of the weights or in the config: `from` becomes `to`.
 * In the weights both have the same length. */
static void mutate(const char *folder, const char *in, const char *from, const char *to)
{
    char path[600], *changed_weights = malloc(weights_bytes), changed_config[4096];
    memcpy(changed_weights, weights, weights_bytes);
    memcpy(changed_config, config, config_bytes + 1);
    snprintf(path, sizeof path, "%s/%s", test_folder(), folder);
    mkdir(path, 0777);
    if (strcmp(in, "weights") == 0) {
        char *at = memmem(changed_weights, weights_bytes, from, strlen(from));
        CHECK(at && strlen(from) == strlen(to), "%s is not there to be changed", from);
        memcpy(at, to, strlen(to));
    } else {
        char *at = strstr(changed_config, from), rest[4096];
        CHECK(at, "%s is not there to be changed", from);
        snprintf(rest, sizeof rest, "%s", at + strlen(from));
        sprintf(at, "%s%s", to, rest);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    write_bytes(path, changed_weights, weights_bytes);
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_bytes(path, changed_config, strlen(changed_config));
    free(changed_weights);
}

static int tried;

/* The command, started without mpirun, fails with this code and this sentence. */
static void refused(int code, const char *arguments, const char *sentence)
{
    program_fails(0, arguments, code, sentence);
    tried++;
}

static void refused_with(int code, const char *key, const char *value, const char *sentence)
{
    char arguments[1024];
    snprintf(arguments, sizeof arguments, "run %s --set %s=%s",
             strcmp(key, "model.path") == 0 ? "model.yaml" : "job.yaml", key, value);
    refused(code, arguments, sentence);
}

/* --- bad inputs --- */

static void mutated_weights_are_refused_by_name(void)
{
    static const struct {
        const char *in, *from, *to, *sentence;
    } changes[] = {
        {"weights", "\"BF16\"", "\"BX16\"", "BX16"},
        {"weights", "\"BF16\"", "\"bf16\"", "bf16"},
        {"weights", "patch_embedding.weight", "patch_embedding.wieght", "patch_embedding.wei"},
        {"weights", "text_embedding.0.bias", "text_embedding.7.bias", "text_embedding.0.bias"},
        {"weights", "[128,16,1,2,2]", "[128,61,1,2,2]", "patch_embedding.weight"},
        {"weights", "[128,16,1,2,2]", "[16,128,1,2,2]", "patch_embedding.weight"},
        {"weights", "[0,16384]", "[1,16385]", "patch_embedding"},
        {"weights", "[0,16384]", "[0,16383]", "patch_embedding.weight"},
        {"weights", "[0,16384]", "[9,16384]", "patch_embedding.weight"},
        {"weights", "data_offsets", "data_offzets", "data_offsets"},
        {"weights", "\"shape\"", "\"shapy\"", "shape"},
        {"weights", "{\"", "[\"", "model.safetensors"},
        {"weights", "},\"", "}]\"", "model.safetensors"},
        {"config", "\"dim\": 128", "\"dim\": 127", "127"},
        {"config", "\"dim\": 128", "\"dim\": -1", "dim"},
        {"config", "\"dim\": 128", "\"dim\": 1e9", "dim"},
        {"config", "\"dim\": 128", "\"dim\": \"128\"", "dim"},
        {"config", "\"dim\": 128,", "", "dim"},
        {"config", "\"num_heads\": 4", "\"num_heads\": 3", "not divisible by 3 heads"},
        {"config", "\"num_heads\": 4", "\"num_heads\": 0", "num_heads"},
        {"config", "\"num_layers\": 3", "\"num_layers\": 4", "blocks.3."},
        {"config", "\"num_layers\": 3", "\"num_layers\": 2", "blocks.2."},
        {"config", "\"num_layers\": 3", "\"num_layers\": 9999999999", "num_layers"},
        {"config", "\"ffn_dim\": 352", "\"ffn_dim\": 353", "ffn.0"},
        {"config", "\"model_type\": \"t2v\"", "\"model_type\": \"x2v\"", "x2v"},
        {"config", "\"eps\": 1e-06", "\"eps\": -1", "eps"},
        {"config", "\"text_len\": 20", "\"text_len\": 0", "text_len"},
        {"config", "\"in_dim\": 16", "\"in_dim\": 17", "17 input channels"},
        {"config", "\"freq_dim\": 64", "\"freq_dim\": 63", "freq_dim"},
        {"config", "\"inject_sample_info\": true", "\"inject_sample_info\": false", "fps_"},
        {"config", "{", "", "config.json"},
        {"config", "{", "[{", "config.json"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char folder[32];
        snprintf(folder, sizeof folder, "mutant%zu", i);
        mutate(folder, changes[i].in, changes[i].from, changes[i].to);
        refused_with(4, "model.path", folder, changes[i].sentence);
    }
}

static void weights_of_another_kind_say_what_they_look_like(void)
{
    static const struct {
        const char *name, *bytes;
        size_t count;
        const char *sentence;
    } files[] = {
        {"empty.safetensors", "", 0, "empty"},
        {"short.safetensors", "\x10\0\0", 3, "short.safetensors"},
        {"huge.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, "huge.safetensors"},
        {"picture.safetensors", "\x89PNG\r\n\x1a\n________", 16, "PNG"},
        {"hdf5.safetensors", "\x89HDF\r\n\x1a\n________", 16, "HDF5"},
        {"pickle.safetensors", "PK\x03\x04____________", 16, "zip"},
        {"gguf.safetensors", "GGUF____________", 16, "GGUF"},
        {"text.safetensors", "model: {path: x}\n", 17, "text.safetensors"},
        {"open.safetensors", "\x02\0\0\0\0\0\0\0{\"", 10, "open.safetensors"},
        {"array.safetensors", "\x02\0\0\0\0\0\0\0[]", 10, "array.safetensors"},
        {"nothing.safetensors", "\x02\0\0\0\0\0\0\0{}", 10, "nothing.safetensors"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        write_bytes(files[i].name, files[i].bytes, files[i].count);
        refused_with(4, "model.path", files[i].name, files[i].sentence);
        refused_with(4, "prompt.embeds", files[i].name, files[i].sentence);
    }
    refused_with(4, "model.path", ".", "neither config.json");
    refused_with(4, "model.path", "absent", "absent");
    refused_with(4, "prompt.embeds", ".", "directory");
}

static void truncated_weights_and_weights_with_a_nan_are_refused(void)
{
    static const size_t kept[] = {8, 100, 5000};
    for (int i = 0; i < 3; i++) {
        write_bytes("cut.safetensors", weights, kept[i]);
        refused_with(4, "model.path", "cut.safetensors", "cut.safetensors");
    }
    mutate("cut", "config", "\"dim\": 128", "\"dim\": 128");
    write_bytes("cut/model.safetensors", weights, weights_bytes - 1);
    refused_with(4, "model.path", "cut", "model.safetensors");
    weights[weights_bytes - 1] = '\x7f';
    weights[weights_bytes - 2] = '\xc0';
    mutate("nan", "config", "\"dim\": 128", "\"dim\": 128");
    refused_with(4, "model.path", "nan", "expected a finite number");
}

static void tensors_of_another_shape_type_or_value_are_refused(void)
{
    const uint32_t half = 0x3f000000, nan = 0x7fc00000, infinite = 0x7f800000;
    write_tensor("rows.safetensors", "prompt_embeds", "F32", "21,48", 21 * 48, half);
    refused_with(4, "prompt.embeds", "rows.safetensors", "has 21 rows, expected at most 20");
    write_tensor("width.safetensors", "prompt_embeds", "F32", "3,47", 3 * 47, half);
    refused_with(4, "prompt.embeds", "width.safetensors", "[3, 47]");
    write_tensor("rank.safetensors", "prompt_embeds", "F32", "48", 48, half);
    refused_with(4, "prompt.embeds", "rank.safetensors", "[48]");
    write_tensor("type.safetensors", "prompt_embeds", "I32", "3,48", 3 * 48, 1);
    refused_with(4, "prompt.embeds", "type.safetensors", "dtype I32");
    write_tensor("nan.safetensors", "prompt_embeds", "F32", "3,48", 3 * 48, nan);
    refused_with(4, "prompt.embeds", "nan.safetensors", "expected a finite number");
    write_tensor("negative.safetensors", "negative_prompt_embeds", "F32", "3,48", 3 * 48, half);
    refused_with(4, "prompt.embeds", "negative.safetensors", "there is no tensor prompt_embeds");
    write_tensor("positive.safetensors", "prompt_embeds", "F32", "3,48", 3 * 48, half);
    refused_with(2, "prompt.embeds", "positive.safetensors", "there is no negative_prompt_embeds");

    write_tensor("noise.safetensors", "noise.0", "F32", "16,2,6,8", 16 * 2 * 48, half);
    refused_with(4, "sampler.noise", "noise.safetensors", "[16, 2, 6, 8], expected [16, 3, 6, 8]");
    write_tensor("channels.safetensors", "noise.0", "F32", "15,3,6,8", 15 * 3 * 48, half);
    refused_with(4, "sampler.noise", "channels.safetensors", "[15, 3, 6, 8]");
    write_tensor("infinite.safetensors", "noise.0", "F32", "16,3,6,8", 16 * 3 * 48, infinite);
    refused_with(4, "sampler.noise", "infinite.safetensors", "expected a finite number");
    write_tensor("other.safetensors", "noise.1", "F32", "16,3,6,8", 16 * 3 * 48, half);
    refused_with(4, "sampler.noise", "other.safetensors", "there is no tensor noise.0");

    write_tensor("prefix.safetensors", "prefix_latents", "F32", "16,1,6,9", 16 * 54, half);
    refused_with(4, "diffusion_forcing.prefix_latents", "prefix.safetensors", "[16, 1, 6, 9]");
    write_tensor("long.safetensors", "prefix_latents", "F32", "16,3,6,8", 16 * 3 * 48, half);
    refused_with(2, "diffusion_forcing.prefix_latents", "long.safetensors", "nothing to generate");
    write_tensor("end.safetensors", "end_latents", "F32", "16,1,8,6", 16 * 48, half);
    refused_with(4, "diffusion_forcing.end_latents", "end.safetensors", "[16, 1, 8, 6]");
}

static void jobs_and_command_lines_that_make_no_sense_are_refused(void)
{
    program_file("tabs.yaml", "model:\n\tpath: x\n");
    program_file("list.yaml", "- 1\n- 2\n");
    program_file("twice.yaml", "model: {path: 'synthetic:tiny'}\nmodel: {path: 'synthetic:tiny'}\n");
    refused(2, "run tabs.yaml", "tabs.yaml:2");
    refused(2, "run list.yaml", "list.yaml");
    refused(2, "run twice.yaml", "twice.yaml");
    refused(2, "run .", "directory");
    refused(2, "run model.safetensors", "model.safetensors");
    refused_with(2, "model.path", "synthetic:huge", "synthetic:huge");
    refused_with(2, "video.width", "100", "video.width is 100, expected a multiple of 16");
    refused_with(2, "sampler.steps", "0", "sampler.steps is 0");
    refused_with(2, "sampler.steps", "ten", "sampler.steps is ten");
    refused_with(2, "sampler.shift", "nan", "sampler.shift is nan");
    refused_with(2, "sampler.guidance_scale", "-1", "sampler.guidance_scale is -1");
    refused_with(2, "sampler.sheduler", "euler", "sampler.scheduler");
    refused_with(2, "sampler.scheduler", "dpm", "sampler.scheduler is dpm");
    refused_with(2, "diffusion_forcing.causal_block_size", "2", "causal_block_size");
    refused_with(2, "diffusion_forcing.ar_step", "-1", "ar_step is -1");
    refused_with(3, "partition.ulysses", "2", "ulysses 2 x tensor auto has 1 ranks");
    refused_with(5, "output.latents", "/proc/none/out.h5", "output.latents could not be written");
    refused_with(5, "output.preview", "/proc/none", "output.preview could not be made");
    refused(2, "walk", "walk is not a command");
    refused(2, "run job.yaml --set =3", "=3");
    refused(2, "run job.yaml --set sampler.steps", "sampler.steps");
}

int main(void)
{
    weights = read_reference("model.safetensors", &weights_bytes);
    config = read_reference("config.json", &config_bytes);
    program_file("job.yaml", "model: {path: 'synthetic:tiny'}\n"
                             "video: {width: 64, height: 48, frames: 9}\n"
                             "sampler: {steps: 2}\n"
                             "checkpoint: {directory: off}\noutput: {latents: out.h5}\n");
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "model: {path: %s/tiny-df/native}\n"
             "prompt: {embeds: %s/tiny-df/sync.inputs.safetensors}\n"
             "video: {width: 64, height: 48, frames: 9}\n"
             "sampler: {steps: 2}\n"
             "checkpoint: {directory: off}\noutput: {latents: out.h5}\n",
             test_reference(), test_reference());
    program_file("model.yaml", yaml);
    RUN(mutated_weights_are_refused_by_name);
    RUN(weights_of_another_kind_say_what_they_look_like);
    RUN(truncated_weights_and_weights_with_a_nan_are_refused);
    RUN(tensors_of_another_shape_type_or_value_are_refused);
    RUN(jobs_and_command_lines_that_make_no_sense_are_refused);
    CHECK(tried >= 80, "%d bad inputs were tried", tried);
    free(weights);
    free(config);
    return test_end();
}
