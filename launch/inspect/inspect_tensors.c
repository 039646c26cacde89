/* reel inspect of safetensors files that are not a model. */
#include "inspect.h"

#include "safetensors.h"
#include "statistics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 1 << 18, USE_BYTES = 200, NAME_COLUMNS = 44, SHAPE_COLUMNS = 38 };

/* The tensors that a job reads, by name. The tensor of one chunk is named NAME.<chunk>. */
static const struct use {
    const char *name, *key, *what;
    int dims;
    int whole, chunked; /* whether NAME is read; whether NAME.<chunk> is read */
    const char *from;   /* words between what and the number of the chunk */
} uses[] = {
    {"prompt_embeds", "prompt.embeds", "the prompt", 2, 1, 1, "from chunk"},
    {"negative_prompt_embeds", "prompt.embeds", "the negative prompt", 2, 1, 1, "from chunk"},
    {"clip_fea", "prompt.embeds", "the image of an i2v model", 2, 1, 0, ""},
    {"y", "prompt.embeds", "the condition of an i2v model", 4, 1, 1, "in chunk"},
    {"noise", "sampler.noise", "the noise", 4, 0, 1, "of chunk"},
    {"addnoise", "sampler.noise", "the prefix's noise", 5, 0, 1, "of chunk"},
    {"prefix_latents", "diffusion_forcing.prefix_latents", "the given start of the video", 4, 1, 0, ""},
    {"end_latents", "diffusion_forcing.end_latents", "the end that is appended", 4, 1, 0, ""},
};

/* The chunk when text is NAME.<chunk>; -1 when text is the name itself; -2 when it is another name. */
static int64_t chunk_of(const char *text, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(text, name, length) != 0)
        return -2;
    if (text[length] == '\0')
        return -1;
    const char *digits = text + length + 1;
    size_t count = strspn(digits, "0123456789");
    int plain = text[length] == '.' && count > 0 && count < 10 && digits[count] == '\0' &&
                (digits[0] != '0' || count == 1);
    return plain ? strtoll(digits, NULL, 10) : -2;
}

static int is_read(enum reel_dtype dtype)
{
    return dtype == REEL_F32 || dtype == REEL_BF16 || dtype == REEL_F16 || dtype == REEL_F64;
}

/* What reel run would use the tensor for: "sampler.noise: the noise of chunk 3", or "nothing". */
static void use_of(const struct reel_safetensors_entry *entry, char text[USE_BYTES])
{
    snprintf(text, USE_BYTES, "nothing");
    for (size_t u = 0; u < sizeof uses / sizeof uses[0]; u++) {
        const struct use *use = &uses[u];
        int64_t chunk = chunk_of(entry->name, use->name);
        if (chunk == -2 || (chunk == -1 && !use->whole) || (chunk >= 0 && !use->chunked))
            continue;
        if (entry->dims != use->dims)
            snprintf(text, USE_BYTES, "nothing: %s would be %s, but it has %d dimensions, expected %d",
                     use->key, use->what, entry->dims, use->dims);
        else if (!is_read(entry->dtype))
            snprintf(text, USE_BYTES, "nothing: %s is not read from %s, expected F32, BF16, F16 or F64",
                     use->key, reel_dtype_name(entry->dtype));
        else if (chunk >= 0)
            snprintf(text, USE_BYTES, "%s: %s %s %" PRId64, use->key, use->what, use->from, chunk);
        else
            snprintf(text, USE_BYTES, "%s: %s", use->key, use->what);
        return;
    }
}

/* Reads the whole tensor. *known is 0 when reel does not read its dtype; the statistics are then empty. */
static enum reel_status measure_tensor(const struct reel_safetensors *file,
                                       const struct reel_safetensors_entry *entry, void *room,
                                       struct reel_statistics *statistics, int *known)
{
    enum reel_dtype dtype = entry->dtype;
    int floating = is_read(dtype) || reel_dtype_is_fp8(dtype);
    *known = floating || dtype == REEL_I64 || dtype == REEL_I32 || dtype == REEL_U8 || dtype == REEL_BOOL;
    *statistics = (struct reel_statistics){0};
    for (int64_t first = 0; *known && first < entry->elements; first += SLICE) {
        int64_t count = entry->elements - first < SLICE ? entry->elements - first : SLICE;
        if (floating) {
            REEL_PASS(reel_safetensors_read_weights(file, entry, first, count, room));
            reel_statistics_add(statistics, room, count);
        } else {
            REEL_PASS(reel_safetensors_read_integers(file, entry, first, count, room));
            reel_statistics_add_integers(statistics, room, count);
        }
    }
    return REEL_OK;
}

static enum reel_status describe_tensor(const struct reel_safetensors *file,
                                        const struct reel_safetensors_entry *entry, void *room, json_t *list)
{
    struct reel_statistics s;
    char use[USE_BYTES];
    int known;
    REEL_PASS(measure_tensor(file, entry, room, &s, &known));
    use_of(entry, use);
    json_t *shape = json_array();
    for (int d = 0; d < entry->dims; d++)
        json_array_append_new(shape, json_integer(entry->shape[d]));
    int some = s.count > 0;
    json_t *item = json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:s}", "name", entry->name, "dtype",
                             reel_dtype_name(entry->dtype), "shape", shape, "bytes", (json_int_t)entry->bytes,
                             "min", some ? reel_inspect_real(s.min) : json_null(), "max",
                             some ? reel_inspect_real(s.max) : json_null(), "mean",
                             some ? reel_inspect_real(reel_statistics_mean(&s)) : json_null(), "non_finite",
                             known ? json_integer(s.not_finite) : json_null(), "use", use);
    REEL_NEED(item && json_array_append_new(list, item) == 0, REEL_NO_MEMORY, "no memory for the report");
    return REEL_OK;
}

static enum reel_status describe_tensors(const struct reel_safetensors *file, json_t *report)
{
    json_t *list = json_array(), *metadata = json_object();
    json_object_set_new(report, "tensors", list);
    json_object_set_new(report, "metadata", metadata);
    const char *key;
    for (int64_t k = 0; (key = reel_safetensors_metadata_key(file, k)); k++)
        json_object_set_new(metadata, key, json_string(reel_safetensors_metadata(file, key)));
    void *room = malloc(SLICE * sizeof(int64_t));
    REEL_NEED(room && list && metadata, REEL_NO_MEMORY, "%s: no memory to read it",
              reel_safetensors_path(file));
    enum reel_status status = REEL_OK;
    for (int64_t i = 0; i < reel_safetensors_count(file) && status == REEL_OK; i++)
        status = describe_tensor(file, reel_safetensors_at(file, i), room, list);
    free(room);
    return status;
}

enum reel_status reel_inspect_tensors(const char *path, json_t **report)
{
    struct reel_safetensors *file;
    *report = NULL;
    REEL_PASS(reel_safetensors_open(path, &file));
    json_t *made = json_pack("{s:s, s:s}", "kind", "tensors", "path", path);
    enum reel_status status =
        made ? describe_tensors(file, made)
             : reel_fail(REEL_NO_MEMORY, "%s: no memory for the report, or its path is not UTF-8", path);
    reel_safetensors_close(file);
    if (status == REEL_OK)
        *report = made;
    else
        json_decref(made);
    return status;
}

/* The shape in the report as text, such as "[16, 5, 68, 120]". */
static void shape_text(json_t *shape, char text[REEL_SHAPE_TEXT_BYTES])
{
    int64_t extents[REEL_SAFETENSORS_DIMS];
    int dims = (int)json_array_size(shape);
    for (int d = 0; d < dims; d++)
        extents[d] = json_integer_value(json_array_get(shape, (size_t)d));
    reel_shape_text(dims, extents, text);
}

static void print_tensor(json_t *tensor, FILE *to)
{
    char shape[REEL_SHAPE_TEXT_BYTES];
    const char *name = reel_inspect_string(tensor, "name"), *use = reel_inspect_string(tensor, "use");
    int cut = strlen(name) > NAME_COLUMNS;
    json_t *min = json_object_get(tensor, "min"), *not_finite = json_object_get(tensor, "non_finite");
    shape_text(json_object_get(tensor, "shape"), shape);
    fprintf(to, "  %.*s%s  %s  %.*s\n", cut ? NAME_COLUMNS - 3 : NAME_COLUMNS, name, cut ? "..." : "",
            reel_inspect_string(tensor, "dtype"), SHAPE_COLUMNS, shape);
    if (json_is_number(min))
        reel_inspect_line(to, "  values", "%.6g to %.6g, mean %.6g", json_number_value(min),
                          json_number_value(json_object_get(tensor, "max")),
                          json_number_value(json_object_get(tensor, "mean")));
    if (json_integer_value(not_finite) > 0)
        reel_inspect_line(to, "  not finite", "%lld", (long long)json_integer_value(not_finite));
    reel_inspect_line(to, "  used for", "%s", use);
}

void reel_inspect_print_tensors(json_t *report, FILE *to)
{
    json_t *tensors = json_object_get(report, "tensors"), *value;
    const char *key;
    size_t i;
    fprintf(to, "%s: %zu tensors\n", reel_inspect_string(report, "path"), json_array_size(tensors));
    json_array_foreach(tensors, i, value) print_tensor(value, to);
    json_object_foreach(json_object_get(report, "metadata"), key, value)
        reel_inspect_line(to, "metadata", "%s: %s", key, json_string_value(value));
}
