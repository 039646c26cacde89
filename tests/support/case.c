/* Writing a reference case as a job file. */
#include "case.h"

#include "test.h"

#include <string.h>

static void teacache(FILE *file, const char *text)
{
    /* the metadata's JSON is YAML as well */
    if (text)
        fprintf(file, "teacache: %s\n", text);
}

static long long number(struct reference_file *expected, const char *key, double neutral)
{
    return (long long)reference_number(expected, key, neutral);
}

static long long pixel_frames(long long latent)
{
    return latent > 0 ? 4 * (latent - 1) + 1 : 0;
}

static void forcing(FILE *file, struct reference_file *expected, const char *inputs)
{
    long long base = number(expected, "base_latent_frames", reference_number(expected, "latent_frames", 0));
    fprintf(file, "diffusion_forcing:\n  base_frames: %lld\n", pixel_frames(base));
    if (number(expected, "overlap_latent_frames", 0) > 0)
        fprintf(file, "  overlap_frames: %lld\n", pixel_frames(number(expected, "overlap_latent_frames", 0)));
    fprintf(
        file,
        "  ar_step: %lld\n  causal_block_size: %lld\n  causal_attention: %s\n  addnoise_condition: %lld\n",
        number(expected, "ar_step", 0), number(expected, "causal_block_size", 1),
        reference_number(expected, "causal_attention", 0) != 0 ? "true" : "false",
        number(expected, "addnoise_condition", 0));
    if (number(expected, "prefix_latent_frames", 0) > 0)
        fprintf(file, "  prefix_latents: %s\n", inputs);
    if (number(expected, "end_latent_frames", 0) > 0)
        fprintf(file, "  end_latents: %s\n", inputs);
}

const char *case_write(const char *folder, const char *name, const char *model, const char *output,
                       struct reference_file *expected, const char *extra)
{
    static char path[600];
    char inputs[512];
    long long h = 0, w = 0;
    sscanf(reference_text(expected, "latent_hw"), "[%lld, %lld]", &h, &w);
    snprintf(path, sizeof path, "%s/%s.yaml", test_folder(), name);
    snprintf(inputs, sizeof inputs, "%s/%s/%s.inputs.safetensors", test_reference(), folder, name);
    FILE *file = fopen(path, "w");
    const char *scheduler = reference_text(expected, "scheduler");
    fprintf(file, "model:\n  path: %s/%s/%s\n", test_reference(), folder, model);
    fprintf(file, "video:\n  width: %lld\n  height: %lld\n  frames: %lld\n  fps: %lld\n", w * 8, h * 8,
            pixel_frames(number(expected, "latent_frames", 0)), number(expected, "fps", 24));
    fprintf(file, "prompt:\n  embeds: %s\n", inputs);
    fprintf(file, "sampler:\n  scheduler: %s\n  steps: %lld\n  shift: %.17g\n  guidance_scale: %.17g\n",
            scheduler ? scheduler : "unipc", number(expected, "steps", 0),
            reference_number(expected, "shift", 0), reference_number(expected, "guidance_scale", 1));
    if (reference_text(expected, "noise_seed"))
        fprintf(file, "  seed: %lld\n", number(expected, "noise_seed", 0));
    else
        fprintf(file, "  noise: %s\n", inputs);
    forcing(file, expected, inputs);
    teacache(file, reference_text(expected, "teacache"));
    fprintf(file, "output:\n  latents: %s\n%s", output, extra);
    fclose(file);
    return path;
}
