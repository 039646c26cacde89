/* The table of keys, and functions that search and describe it. */
#include "job_schema.h"

#include "model.h"

#include <stdio.h>
#include <string.h>

#define KEY(dotted, kind, member, value, text, ...)                                                          \
    {                                                                                                        \
        .name = (dotted), .type = REEL_KEY_##kind, .offset = offsetof(struct reel_job, member),              \
        .default_value = (value), .help = (text), __VA_ARGS__                                                \
    }
#define INTEGER(member, value, first, last, text)                                                            \
    KEY(#member, INTEGER, member, value, text, .min = (first), .max = (last))
#define OR_AUTO(member, first, last, text)                                                                   \
    KEY(#member, INTEGER_OR_AUTO, member, "auto", text, .min = (first), .max = (last))
#define CHOICE(member, value, list, text) KEY(#member, CHOICE, member, value, text, .choices = (list))
#define OPTIONAL(member, text) KEY(#member, PATH, member, "", text)

/* Bounds that only stop a typing error from becoming an absurd plan. */
enum { FRAMES_MAX = (1 << 24) + 1, ITERATIONS_MAX = 1000000, WAYS_MAX = 1024 };
/* The RoPE tables have 1024 positions per axis. A token covers 16 pixels, a latent frame 4 pixel frames. */
enum { PIXELS_MAX = 1024 * 16, WINDOW_FRAMES_MAX = 1023 * 4 + 1 };
#define SECONDS_MAX 1e8

static const struct reel_key keys[] = {
    KEY("model.path", MODEL, model.path, NULL,
        "config.json and safetensors, or one .safetensors with NAME.config.json beside it, or seeded random "
        "weights of a preset"),
    CHOICE(model.compute, "auto", "auto fp32 bf16 fp8", "auto: bf16 where the device computes it, else fp32"),

    INTEGER(video.width, "960", 16, PIXELS_MAX, "pixels, a multiple of 16"),
    INTEGER(video.height, "544", 16, PIXELS_MAX, "pixels, a multiple of 16"),
    INTEGER(video.frames, "257", 1, FRAMES_MAX, "pixel frames, 4k+1; these are k+1 latent frames"),
    INTEGER(video.fps, "24", 1, 240, "frames per second, given to models that have an fps embedding"),

    OPTIONAL(prompt.embeds, "prompt_embeds, and negative_prompt_embeds when guidance_scale > 1; required "
                            "unless the model is synthetic"),

    CHOICE(sampler.scheduler, "unipc", "unipc euler", "both on the same sigmas and timesteps"),
    INTEGER(sampler.steps, "30", 1, 1000, "timesteps of one frame"),
    KEY("sampler.shift", REAL, sampler.shift, "8", "shift of the sigmas", .to = 100),
    KEY("sampler.guidance_scale", REAL, sampler.guidance_scale, "6", "1 turns guidance off", .from = 1,
        .from_too = 1, .to = 100),
    INTEGER(sampler.seed, "42", 0, INT64_MAX,
            "torch.randn's noise of a CPU generator with this seed (mod 2^32)"),
    OPTIONAL(sampler.noise, "noise.<chunk> and addnoise.<chunk>, instead of the generator"),

    INTEGER(diffusion_forcing.base_frames, "97", 1, WINDOW_FRAMES_MAX, "pixel frames of one chunk, 4k+1"),
    INTEGER(
        diffusion_forcing.overlap_frames, "17", 0, WINDOW_FRAMES_MAX,
        "pixel frames that a chunk shares with the one before, 4k+1; 0: one pass, a window of base_frames"),
    INTEGER(diffusion_forcing.ar_step, "0", 0, 1000, "iterations by which a block lags the block before it"),
    INTEGER(diffusion_forcing.causal_block_size, "1", 1, 1024, "latent frames of one block"),
    KEY("diffusion_forcing.causal_attention", BOOLEAN, diffusion_forcing.causal_attention, "false",
        "a block does not attend to later blocks"),
    INTEGER(diffusion_forcing.addnoise_condition, "0", 0, 1000, "timestep to which prefix frames are noised"),
    OPTIONAL(diffusion_forcing.prefix_latents, "prefix_latents, the given start of the video"),
    OPTIONAL(diffusion_forcing.end_latents, "end_latents, appended to the last chunk as condition"),

    CHOICE(teacache.mode, "off", "off e e0", "the embedding whose change decides whether a call is skipped"),
    KEY("teacache.threshold", REAL, teacache.threshold, "0.2",
        "a call is computed when the accumulated distance reaches this", .to = 1000),
    KEY("teacache.coefficients", COEFFICIENTS, teacache.coefficients, "auto",
        "of the rescaling polynomial; auto: the published ones of the model and mode"),
    CHOICE(teacache.rescale, "abs", "abs signed", "whether a rescaled distance may be negative"),
    OR_AUTO(teacache.start_step, 0, ITERATIONS_MAX,
            "first iteration of a chunk that may be skipped; auto: 1 for e, 5 for e0"),
    INTEGER(teacache.end_step, "-1", -1, ITERATIONS_MAX,
            "first iteration that may no longer be skipped; -1: the last"),
    CHOICE(teacache.metric, "active", "active all",
           "frames that count: those that the iteration updates, or all"),
    CHOICE(teacache.embedding, "rows", "rows expanded", "one row per distinct timestep, or one per token"),
    KEY("teacache.residual_dtype", CHOICE, teacache.residual, "bf16",
        "dtype of the kept residuals; fp32 when compute is fp32", .choices = "bf16 fp32"),

    OR_AUTO(partition.cfg, 1, 2, "ways to cut the two branches of guidance"),
    OR_AUTO(partition.tensor, 1, WAYS_MAX, "ways to cut heads and weights"),
    OR_AUTO(partition.ulysses, 1, WAYS_MAX, "ways to cut tokens, exchanged for heads inside attention"),
    OR_AUTO(partition.ring, 1, WAYS_MAX, "ways to cut tokens, with keys and values passed around"),
    CHOICE(partition.weights, "auto", "auto resident gathered",
           "whole slices on every rank, or cut further and gathered when used"),

    CHOICE(device, "auto", "auto cpu cuda", "where the model is computed"),

    CHOICE(communication.transport, "auto", "auto mpi nccl", "transport of the communication inside a step"),
    KEY("communication.timeout_s", REAL, communication.timeout_s, "600",
        "seconds without progress of a rank after which the job ends with an error", .to = SECONDS_MAX),

    KEY("checkpoint.directory", FOLDER, checkpoint.directory, "auto", "auto: <output.latents>.checkpoint"),
    INTEGER(checkpoint.every_iterations, "0", 0, ITERATIONS_MAX,
            "iterations between saves; 0: only between chunks"),
    INTEGER(checkpoint.keep, "2", 1, 1000, "number of checkpoints to keep"),
    KEY("checkpoint.grace", DURATION, checkpoint.grace_s, "20s",
        "longest time from a preemption notice to the start of the save", .from_too = 1, .to = SECONDS_MAX),
    CHOICE(checkpoint.on_error, "continue", "continue stop",
           "when a save fails: warn and keep the old one, or stop"),
    KEY("checkpoint.time_limit", DURATION, checkpoint.time_limit_s, "",
        "save and exit 75 before this much wall time has passed", .to = SECONDS_MAX),

    KEY("output.latents", PATH, output.latents, NULL, "the HDF5 file to write, valid after every chunk"),
    OPTIONAL(output.log, "one JSON object per line, appended on resume"),
    OPTIONAL(output.preview, "folder of a PNG contact sheet per finished chunk"),
};

enum { KEYS = sizeof keys / sizeof keys[0] };
_Static_assert((int)KEYS <= (int)REEL_KEYS_MAX, "REEL_KEYS_MAX holds the table");

int64_t reel_key_count(void)
{
    return KEYS;
}

const struct reel_key *reel_key_at(int64_t index)
{
    return &keys[index];
}

const struct reel_key *reel_key_named(const char *name)
{
    for (int64_t k = 0; k < KEYS; k++)
        if (strcmp(keys[k].name, name) == 0)
            return &keys[k];
    return NULL;
}

int64_t reel_key_index(const struct reel_key *key)
{
    return key - keys;
}

int64_t reel_key_section_bytes(const struct reel_key *key)
{
    const char *dot = strchr(key->name, '.');
    return dot ? dot - key->name : 0;
}

int reel_section_exists(const char *section)
{
    size_t bytes = strlen(section);
    for (int64_t k = 0; k < KEYS; k++)
        if (bytes > 0 && strncmp(keys[k].name, section, bytes) == 0 && keys[k].name[bytes] == '.')
            return 1;
    return 0;
}

/* Insertions, deletions and replacements that turn a into b; both shorter than REEL_KEY_BYTES. */
static int64_t edit_distance(const char *a, const char *b)
{
    int64_t row[REEL_KEY_BYTES], columns = (int64_t)strlen(b);
    for (int64_t j = 0; j <= columns; j++)
        row[j] = j;
    for (int64_t i = 0; a[i]; i++) {
        int64_t diagonal = row[0];
        row[0] = i + 1;
        for (int64_t j = 0; j < columns; j++) {
            int64_t replaced = diagonal + (a[i] != b[j]);
            int64_t shifted = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = replaced < shifted ? replaced : shifted;
        }
    }
    return row[columns];
}

/* The part of a dotted name after the section. */
static const char *leaf_of(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? dot + 1 : name;
}

/* How far name is from a key: the edit distance. Two mistakes that need many edits count as near: the right
 * key in a wrong section or without one, and a section with only the beginning of one of its keys. */
static int64_t key_distance(const char *name, const struct reel_key *key)
{
    const char *leaf = leaf_of(name), *known = leaf_of(key->name);
    int64_t whole = edit_distance(name, key->name), part = edit_distance(leaf, known) + 1;
    if (strlen(name) >= 3 && strncmp(name, key->name, strlen(name)) == 0 && strlen(leaf) >= 3)
        part = 1;
    return whole < part ? whole : part;
}

const char *reel_key_nearest(const char *name, char nearest[REEL_KEY_BYTES])
{
    char section[REEL_KEY_BYTES];
    int64_t best = (int64_t)strlen(leaf_of(name)) / 2 + 1; /* not near when half of it is mistyped */
    nearest[0] = '\0';
    if (strlen(name) >= REEL_KEY_BYTES)
        return NULL;
    for (int64_t k = 0; k < KEYS; k++) {
        int64_t distance = key_distance(name, &keys[k]);
        if (distance < best) {
            best = distance;
            snprintf(nearest, REEL_KEY_BYTES, "%s", keys[k].name);
        }
        snprintf(section, sizeof section, "%.*s", (int)reel_key_section_bytes(&keys[k]), keys[k].name);
        distance = edit_distance(name, section);
        if (section[0] && distance < best) {
            best = distance;
            snprintf(nearest, REEL_KEY_BYTES, "%s", section);
        }
    }
    return nearest[0] ? nearest : NULL;
}

/* "auto fp32 bf16" becomes "auto, fp32 or bf16". */
static void list_choices(const char *choices, char text[REEL_EXPECTS_BYTES])
{
    size_t used = 0;
    for (const char *c = choices; *c && used + 8 < REEL_EXPECTS_BYTES; c++) {
        const char *between = *c != ' ' ? NULL : strchr(c + 1, ' ') ? ", " : " or ";
        if (between)
            used += (size_t)snprintf(text + used, REEL_EXPECTS_BYTES - used, "%s", between);
        else
            text[used++] = *c;
    }
    text[used] = '\0';
}

void reel_key_expects(const struct reel_key *key, char text[REEL_EXPECTS_BYTES])
{
    size_t bytes = REEL_EXPECTS_BYTES;
    const char *bound = key->from_too ? "from" : "above", *to = key->from_too ? "to" : "and at most";
    switch (key->type) {
    case REEL_KEY_INTEGER:
        snprintf(text, bytes, "an integer from %lld to %lld", (long long)key->min, (long long)key->max);
        break;
    case REEL_KEY_INTEGER_OR_AUTO:
        snprintf(text, bytes, "auto or an integer from %lld to %lld", (long long)key->min,
                 (long long)key->max);
        break;
    case REEL_KEY_REAL:
        snprintf(text, bytes, "a number %s %.9g %s %.9g", bound, key->from, to, key->to);
        break;
    case REEL_KEY_BOOLEAN:
        snprintf(text, bytes, "true or false");
        break;
    case REEL_KEY_CHOICE:
        list_choices(key->choices, text);
        break;
    case REEL_KEY_PATH:
        snprintf(text, bytes, "a path");
        break;
    case REEL_KEY_MODEL:
        snprintf(text, bytes, "a folder, a file, or synthetic: and one of %s", reel_model_presets());
        break;
    case REEL_KEY_FOLDER:
        snprintf(text, bytes, "auto, off or a folder");
        break;
    case REEL_KEY_DURATION:
        snprintf(text, bytes, "a time such as 20s, 10m or 3h50m, %s %.9g %s %.9g seconds", bound, key->from,
                 to, key->to);
        break;
    case REEL_KEY_COEFFICIENTS:
        snprintf(text, bytes, "auto, a list of 1 to %d numbers (highest power first) or a file",
                 REEL_COEFFICIENTS_MAX);
        break;
    }
}

void reel_job_place(const struct reel_job_origin *origin, const struct reel_key *key,
                    char place[REEL_PLACE_BYTES])
{
    int64_t k = reel_key_index(key);
    if (origin->set[k])
        snprintf(place, REEL_PLACE_BYTES, "--set %.120s", origin->set[k]);
    else if (origin->line[k])
        snprintf(place, REEL_PLACE_BYTES, "%.200s:%lld", origin->path, (long long)origin->line[k]);
    else
        snprintf(place, REEL_PLACE_BYTES, "%.200s", origin->path);
}
