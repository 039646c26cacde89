/* Reads a job's inputs on rank 0 and broadcasts them. */
#include "inputs.h"

#include "fault.h"
#include "noise.h"
#include "tensor_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { NAME_BYTES = 64, DIMS = 5 };

/* A tensor to read, and its expected shape: -1 takes any extent. */
struct wanted {
    const char *path;
    char name[NAME_BYTES];
    int dims;
    int64_t shape[DIMS];
};

/* The tensor NAME.CHUNK, or NAME where chunk is -1. */
static struct wanted want_tensor(const char *path, const char *name, int64_t chunk, int dims,
                                 const int64_t *shape)
{
    struct wanted wanted = {.path = path, .dims = dims};
    if (chunk >= 0)
        snprintf(wanted.name, sizeof wanted.name, "%s.%lld", name, (long long)chunk);
    else
        snprintf(wanted.name, sizeof wanted.name, "%s", name);
    memcpy(wanted.shape, shape, (size_t)dims * sizeof *shape);
    return wanted;
}

/* Collective over world. Reads a tensor on rank 0 and broadcasts it to *out, which the caller frees; its
 * shape is found [dims]. */
static enum reel_status share_tensor(struct reel_comm *comm, const struct wanted *wanted, int64_t *found,
                                     float **out)
{
    int64_t count = 1;
    enum reel_status status = REEL_OK;
    *out = NULL;
    if (reel_fault(REEL_FAULT_INPUT_READ))
        status = reel_fail(REEL_BAD_INPUT, "planted: %s cannot be read", wanted->name);
    else if (comm->world.rank == 0)
        status = reel_input_floats(wanted->path, wanted->name, wanted->dims, wanted->shape, found, out);
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_broadcast(comm, found, wanted->dims * (int64_t)sizeof *found));
    for (int d = 0; d < wanted->dims; d++)
        count *= found[d];
    if (comm->world.rank != 0 && !reel_fault(REEL_FAULT_INPUT_MEMORY))
        *out = malloc((size_t)(count ? count : 1) * sizeof **out);
    status = *out ? REEL_OK
                  : reel_fail(REEL_NO_MEMORY, "no memory for %s of %s: %lld values", wanted->name,
                              wanted->path, (long long)count);
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status = reel_broadcast(comm, *out, count * (int64_t)sizeof **out);
    if (status != REEL_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

/* As share_tensor, into the caller's memory, for a shape without -1. */
static enum reel_status share_into(struct reel_comm *comm, const struct wanted *wanted, float *out)
{
    int64_t found[DIMS], count = 1;
    float *read;
    REEL_PASS(share_tensor(comm, wanted, found, &read));
    for (int d = 0; d < wanted->dims; d++)
        count *= found[d];
    memcpy(out, read, (size_t)count * sizeof *out);
    free(read);
    return REEL_OK;
}

/* Collective over world. Sets *has to 1 when the file has a tensor of that name. */
static enum reel_status share_has(struct reel_comm *comm, const char *path, const char *name, int *has)
{
    enum reel_status status = REEL_OK;
    *has = 0;
    if (comm->world.rank == 0)
        status = reel_input_has(path, name, has);
    REEL_PASS(reel_agree(comm, status));
    return reel_broadcast(comm, has, (int64_t)sizeof *has);
}

/* The shape of latents with that many frames (-1: any). */
static void latent_shape(const struct reel_job *job, const struct reel_model *model, int64_t channels,
                         int64_t frames, int64_t shape[4])
{
    shape[0] = channels;
    shape[1] = frames;
    shape[2] = job->video.height / model->stride;
    shape[3] = job->video.width / model->stride;
}

enum reel_status reel_inputs_open(struct reel_comm *comm, const struct reel_job *job,
                                  const struct reel_model *model, struct reel_inputs *inputs)
{
    int64_t shape[4], found[4];
    memset(inputs, 0, sizeof *inputs);
    latent_shape(job, model, model->out_channels, -1, shape);
    if (job->diffusion_forcing.prefix_latents[0]) {
        struct wanted prefix =
            want_tensor(job->diffusion_forcing.prefix_latents, "prefix_latents", -1, 4, shape);
        REEL_TRY(share_tensor(comm, &prefix, found, &inputs->prefix),
                 "reading diffusion_forcing.prefix_latents");
        inputs->prefix_frames = found[1];
    }
    if (job->diffusion_forcing.end_latents[0]) {
        struct wanted end = want_tensor(job->diffusion_forcing.end_latents, "end_latents", -1, 4, shape);
        REEL_TRY(share_tensor(comm, &end, found, &inputs->end), "reading diffusion_forcing.end_latents");
        inputs->end_frames = found[1];
    }
    if (model->image_rows > 0) {
        REEL_NEED(job->prompt.embeds[0], REEL_BAD_JOB,
                  "prompt.embeds is missing, expected a file with clip_fea and y: the model is i2v");
        int64_t rows[2] = {model->image_rows, model->image_width};
        struct wanted image = want_tensor(job->prompt.embeds, "clip_fea", -1, 2, rows);
        REEL_TRY(share_tensor(comm, &image, found, &inputs->image), "reading prompt.embeds");
    }
    return REEL_OK;
}

static const char *const prompt_names[2] = {"prompt_embeds", "negative_prompt_embeds"};

/* A random prompt, for synthetic models. */
static enum reel_status make_prompt(const struct reel_model *model, int64_t branch, float **out)
{
    int64_t count = model->text_rows * model->text_width;
    struct reel_noise random;
    *out = malloc((size_t)count * sizeof **out);
    REEL_NEED(*out, REEL_NO_MEMORY, "no memory for a prompt of %lld values", (long long)count);
    reel_noise_seed(&random, 0x7e47u + (uint64_t)branch);
    reel_noise_normal(&random, count, *out);
    return REEL_OK;
}

/* Collective over world. Reads the prompt of that name, padded, to *out on all ranks; NULL when the file has
 * none. */
static enum reel_status share_prompt(struct reel_comm *comm, const struct reel_job *job,
                                     const struct reel_model *model, const char *name, float **out)
{
    int has = 0;
    int64_t count = model->text_rows * model->text_width;
    enum reel_status status = REEL_OK;
    *out = NULL;
    REEL_PASS(share_has(comm, job->prompt.embeds, name, &has));
    if (!has)
        return REEL_OK;
    if (comm->world.rank == 0)
        status = reel_input_prompt(job->prompt.embeds, name, model->text_rows, model->text_width, out);
    else if (!(*out = malloc((size_t)count * sizeof **out)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for %s", name);
    REEL_PASS(reel_agree(comm, status));
    return reel_broadcast(comm, *out, count * (int64_t)sizeof **out);
}

/* Collective over world. Reads a branch's prompts of all chunks. */
static enum reel_status prompts_of(struct reel_comm *comm, const struct reel_job *job,
                                   const struct reel_model *model, int64_t branch, struct reel_inputs *inputs)
{
    char name[NAME_BYTES];
    float **prompt = inputs->prompt[branch];
    inputs->prompts_made = !job->prompt.embeds[0];
    if (inputs->prompts_made)
        return reel_agree(comm, make_prompt(model, branch, &prompt[0]));
    for (int64_t chunk = 0; chunk < inputs->prompts; chunk++) {
        snprintf(name, sizeof name, "%s.%lld", prompt_names[branch], (long long)chunk);
        REEL_PASS(share_prompt(comm, job, model, name, &prompt[chunk]));
    }
    if (!prompt[0])
        REEL_PASS(share_prompt(comm, job, model, prompt_names[branch], &prompt[0]));
    REEL_NEED(prompt[0] || branch == 0, REEL_BAD_JOB,
              "%s: there is no negative_prompt_embeds, expected one because sampler.guidance_scale is %g "
              "(guidance_scale 1 needs none)",
              job->prompt.embeds, job->sampler.guidance_scale);
    REEL_NEED(prompt[0], REEL_BAD_INPUT,
              "%s: there is no tensor prompt_embeds, expected [rows <= %lld, %lld]", job->prompt.embeds,
              (long long)model->text_rows, (long long)model->text_width);
    return REEL_OK;
}

static int64_t shared_frames(const struct reel_chunk *chunk)
{
    return chunk->frames + chunk->end_frames;
}

static struct wanted noise_of(const struct reel_job *job, const struct reel_model *model,
                              const struct reel_chunk *chunk)
{
    int64_t shape[4];
    latent_shape(job, model, model->out_channels, chunk->frames, shape);
    return want_tensor(job->sampler.noise, "noise", chunk->index, 4, shape);
}

static struct wanted addnoise_of(const struct reel_job *job, const struct reel_model *model,
                                 const struct reel_chunk *chunk, int64_t iterations)
{
    int64_t shape[5] = {iterations};
    latent_shape(job, model, model->out_channels, chunk->prefix_frames, shape + 1);
    return want_tensor(job->sampler.noise, "addnoise", chunk->index, 5, shape);
}

/* The tensor y.<chunk> where the file has it, else y. Not collective; rank 0 calls it. */
static enum reel_status condition_of(const struct reel_job *job, const struct reel_model *model,
                                     const struct reel_chunk *chunk, struct wanted *wanted)
{
    int64_t shape[4];
    int has;
    latent_shape(job, model, model->in_channels - model->out_channels, shared_frames(chunk), shape);
    *wanted = want_tensor(job->prompt.embeds, "y", chunk->index, 4, shape);
    REEL_PASS(reel_input_has(wanted->path, wanted->name, &has));
    if (!has)
        *wanted = want_tensor(job->prompt.embeds, "y", -1, 4, shape);
    return REEL_OK;
}

static enum reel_status check_tensor(const struct wanted *wanted)
{
    return reel_input_check(wanted->path, wanted->name, wanted->dims, wanted->shape);
}

/* Checks the tensors that a chunk will read. Not collective; rank 0 calls it. */
static enum reel_status check_chunk(const struct reel_job *job, const struct reel_model *model,
                                    const struct reel_chunk *chunk, int64_t iterations)
{
    if (job->sampler.noise[0]) {
        struct wanted noise = noise_of(job, model, chunk);
        REEL_TRY(check_tensor(&noise), "checking sampler.noise");
        if (job->diffusion_forcing.addnoise_condition > 0 && chunk->prefix_frames > 0) {
            struct wanted addnoise = addnoise_of(job, model, chunk, iterations);
            REEL_TRY(check_tensor(&addnoise), "checking sampler.noise");
        }
    }
    if (model->in_channels > model->out_channels) {
        struct wanted condition;
        REEL_TRY(condition_of(job, model, chunk, &condition), "checking prompt.embeds");
        REEL_TRY(check_tensor(&condition), "checking prompt.embeds");
    }
    return REEL_OK;
}

enum reel_status reel_inputs_chunks(struct reel_comm *comm, const struct reel_job *job,
                                    const struct reel_model *model, const struct reel_chunk *chunks,
                                    const struct reel_timesteps *matrices, int64_t count,
                                    struct reel_inputs *inputs)
{
    enum reel_status status = REEL_OK;
    inputs->prompts = count;
    for (int64_t branch = 0; branch < 2; branch++) {
        inputs->prompt[branch] = calloc((size_t)count, sizeof *inputs->prompt[branch]);
        if (!inputs->prompt[branch])
            status = reel_fail(REEL_NO_MEMORY, "no memory for the prompts of %lld chunks", (long long)count);
    }
    REEL_PASS(reel_agree(comm, status));
    for (int64_t branch = 0; branch < (job->sampler.guidance_scale > 1 ? 2 : 1); branch++)
        REEL_PASS(prompts_of(comm, job, model, branch, inputs));
    for (int64_t k = 0; comm->world.rank == 0 && status == REEL_OK && k < count; k++)
        status = check_chunk(job, model, &chunks[k], matrices[k].rows);
    return reel_agree(comm, status);
}

static unsigned long long hash_of(const float *values, int64_t count)
{
    return XXH3_64bits(values, (size_t)count * sizeof *values);
}

/* Writes the hash of values in memory as a line; nothing when values is NULL. */
static void hash_line(FILE *out, const char *key, const float *values, int64_t count)
{
    if (values)
        fprintf(out, "%s: %016llx\n", key, hash_of(values, count));
}

/* Reads a tensor of a chunk and writes its hash as a line. */
static enum reel_status file_line(FILE *out, int64_t chunk, const char *what, const struct wanted *wanted)
{
    int64_t found[DIMS], count = 1;
    float *values = NULL;
    REEL_PASS(reel_input_floats(wanted->path, wanted->name, wanted->dims, wanted->shape, found, &values));
    for (int d = 0; d < wanted->dims; d++)
        count *= found[d];
    fprintf(out, "chunk %lld %s: %016llx\n", (long long)chunk, what, hash_of(values, count));
    free(values);
    return REEL_OK;
}

enum reel_status reel_inputs_fingerprint_chunk(const struct reel_job *job, const struct reel_model *model,
                                               const struct reel_chunk *chunk, int64_t iterations,
                                               const struct reel_inputs *inputs, FILE *out)
{
    static const char *const prompts[2] = {"prompt", "negative prompt"};
    for (int64_t branch = 0; branch < (job->sampler.guidance_scale > 1 ? 2 : 1); branch++) {
        int changed;
        const float *prompt = reel_inputs_prompt(inputs, branch, chunk->index, &changed);
        fprintf(out, "chunk %lld %s: %016llx\n", (long long)chunk->index, prompts[branch],
                hash_of(prompt, model->text_rows * model->text_width));
    }
    if (job->sampler.noise[0]) {
        struct wanted noise = noise_of(job, model, chunk);
        REEL_PASS(file_line(out, chunk->index, "noise", &noise));
        if (job->diffusion_forcing.addnoise_condition > 0 && chunk->prefix_frames > 0) {
            struct wanted addnoise = addnoise_of(job, model, chunk, iterations);
            REEL_PASS(file_line(out, chunk->index, "addnoise", &addnoise));
        }
    }
    if (model->in_channels > model->out_channels) {
        struct wanted condition;
        REEL_PASS(condition_of(job, model, chunk, &condition));
        REEL_PASS(file_line(out, chunk->index, "y", &condition));
    }
    return REEL_OK;
}

void reel_inputs_fingerprint(const struct reel_job *job, const struct reel_model *model,
                             const struct reel_inputs *inputs, FILE *out)
{
    int64_t frame = model->out_channels * (job->video.height / model->stride) *
                    (job->video.width / model->stride);
    hash_line(out, "prefix_latents", inputs->prefix, inputs->prefix_frames * frame);
    hash_line(out, "end_latents", inputs->end, inputs->end_frames * frame);
    hash_line(out, "clip_fea", inputs->image, model->image_rows * model->image_width);
}

void reel_inputs_close(struct reel_inputs *inputs)
{
    for (int64_t branch = 0; branch < 2; branch++) {
        for (int64_t chunk = 0; inputs->prompt[branch] && chunk < inputs->prompts; chunk++)
            free(inputs->prompt[branch][chunk]);
        free(inputs->prompt[branch]);
    }
    free(inputs->prefix);
    free(inputs->end);
    free(inputs->image);
    memset(inputs, 0, sizeof *inputs);
}

const float *reel_inputs_prompt(const struct reel_inputs *inputs, int64_t branch, int64_t chunk, int *changed)
{
    int64_t in_force = chunk;
    while (!inputs->prompt[branch][in_force])
        in_force--;
    *changed = in_force == chunk;
    return inputs->prompt[branch][in_force];
}

enum reel_status reel_inputs_noise(struct reel_comm *comm, const struct reel_job *job,
                                   const struct reel_model *model, const struct reel_chunk *chunk, float *out)
{
    struct wanted noise = noise_of(job, model, chunk);
    return share_into(comm, &noise, out);
}

enum reel_status reel_inputs_addnoise(struct reel_comm *comm, const struct reel_job *job,
                                      const struct reel_model *model, const struct reel_chunk *chunk,
                                      int64_t iterations, float **out)
{
    int64_t found[DIMS];
    struct wanted addnoise = addnoise_of(job, model, chunk, iterations);
    return share_tensor(comm, &addnoise, found, out);
}

enum reel_status reel_inputs_condition(struct reel_comm *comm, const struct reel_job *job,
                                       const struct reel_model *model, const struct reel_chunk *chunk,
                                       float *out)
{
    struct wanted condition = {.dims = 4};
    enum reel_status status = REEL_OK;
    if (comm->world.rank == 0)
        status = condition_of(job, model, chunk, &condition);
    REEL_PASS(reel_agree(comm, status));
    return share_into(comm, &condition, out);
}
