/* Opens the files of model.path and checks them against the model of their config or shapes. */
#include "model_file.h"

#include "model_config.h"
#include "model_scale.h"
#include "synthetic.h"
#include "wan.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(REEL_CONFIG_PATH_BYTES == PATH_MAX, "the config's path has the length of any path");

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static int visible(const struct dirent *item, const char *end)
{
    return item->d_name[0] != '.' && ends_with(item->d_name, end);
}

static int is_shard(const struct dirent *item)
{
    return visible(item, ".safetensors");
}

static int is_index(const struct dirent *item)
{
    return visible(item, ".safetensors.index.json");
}

static int file_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

/* The names in folder for which filter returns 1, ordered; free_names frees them. */
static enum reel_status list_folder(const char *folder, int (*filter)(const struct dirent *),
                                    struct dirent ***names, int *count)
{
    *count = scandir(folder, names, filter, alphasort);
    REEL_NEED(*count >= 0, REEL_BAD_INPUT, "%s: %s", folder, strerror(errno));
    return REEL_OK;
}

static void free_names(struct dirent **names, int count)
{
    for (int n = 0; n < count; n++)
        free(names[n]);
    free(names);
}

static enum reel_status join_path(const char *folder, const char *name, char path[PATH_MAX])
{
    int written = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    REEL_NEED(written < PATH_MAX, REEL_BAD_INPUT, "%s: the path is too long", folder);
    return REEL_OK;
}

/* Opens one more file; files->files has room for it. */
static enum reel_status open_shard(struct reel_model_files *files, const char *path)
{
    REEL_PASS(reel_safetensors_open(path, &files->files[files->count]));
    files->count++;
    return REEL_OK;
}

static enum reel_status make_room(struct reel_model_files *files, size_t count)
{
    files->files = calloc(count, sizeof *files->files);
    REEL_NEED(files->files, REEL_NO_MEMORY, "no memory for %zu files", count);
    return REEL_OK;
}

/* The open file of that path, or NULL. */
static const struct reel_safetensors *opened(const struct reel_model_files *files, const char *path)
{
    for (int64_t f = 0; f < files->count; f++)
        if (strcmp(reel_safetensors_path(files->files[f]), path) == 0)
            return files->files[f];
    return NULL;
}

/* Opens every file that the index names, and checks that each holds the tensors that the index maps to it. */
static enum reel_status open_mapped(struct reel_model_files *files, const char *folder, const char *index,
                                    json_t *map)
{
    const char *tensor;
    json_t *value;
    REEL_NEED(json_is_object(map) && json_object_size(map) > 0, REEL_BAD_INPUT,
              "%s: weight_map is missing, empty or not an object", index);
    REEL_PASS(make_room(files, json_object_size(map)));
    json_object_foreach(map, tensor, value)
    {
        char path[PATH_MAX];
        const char *name = json_string_value(value);
        REEL_NEED(name && !strchr(name, '/'), REEL_BAD_INPUT,
                  "%s: weight_map does not name a file of this folder for tensor %s", index, tensor);
        REEL_PASS(join_path(folder, name, path));
        if (!opened(files, path))
            REEL_TRY(open_shard(files, path), "opening the files that %s names", index);
        REEL_NEED(reel_safetensors_find(opened(files, path), tensor), REEL_BAD_INPUT,
                  "%s: tensor %s is not in the file, where %s says it is", path, tensor, index);
    }
    return REEL_OK;
}

static enum reel_status open_indexed(struct reel_model_files *files, const char *folder, const char *name)
{
    char path[PATH_MAX];
    json_error_t problem;
    REEL_PASS(join_path(folder, name, path));
    json_t *index = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    REEL_NEED(index, REEL_BAD_INPUT, "%s: line %d: %s", path, problem.line, problem.text);
    enum reel_status status = open_mapped(files, folder, path, json_object_get(index, "weight_map"));
    json_decref(index);
    return status;
}

static enum reel_status open_listed(struct reel_model_files *files, const char *folder,
                                    struct dirent *const *names, int count)
{
    REEL_NEED(count > 0, REEL_BAD_INPUT, "%s: the folder holds no *.safetensors file", folder);
    REEL_PASS(make_room(files, (size_t)count));
    for (int n = 0; n < count; n++) {
        char path[PATH_MAX];
        REEL_PASS(join_path(folder, names[n]->d_name, path));
        REEL_PASS(open_shard(files, path));
    }
    return REEL_OK;
}

static enum reel_status open_folder(struct reel_model_files *files, const char *folder)
{
    struct dirent **names;
    int count;
    REEL_PASS(list_folder(folder, is_index, &names, &count));
    enum reel_status status = REEL_OK;
    if (count > 1)
        status = reel_fail(REEL_BAD_INPUT, "%s: the folder has two indexes, %s and %s, expected one", folder,
                           names[0]->d_name, names[1]->d_name);
    else if (count == 1)
        status = open_indexed(files, folder, names[0]->d_name);
    int indexed = count > 0;
    free_names(names, count);
    if (indexed || status != REEL_OK)
        return status;
    REEL_PASS(list_folder(folder, is_shard, &names, &count));
    status = open_listed(files, folder, names, count);
    free_names(names, count);
    return status;
}

/* Finds config.json in the folder at path or in its transformer/; sets config to its path and folder to its
 * folder. */
static enum reel_status find_folder(const char *path, char folder[PATH_MAX], char config[PATH_MAX])
{
    snprintf(folder, PATH_MAX, "%s", path);
    REEL_PASS(join_path(folder, "config.json", config));
    if (file_exists(config))
        return REEL_OK;
    REEL_PASS(join_path(path, "transformer", folder));
    REEL_PASS(join_path(folder, "config.json", config));
    REEL_NEED(file_exists(config), REEL_BAD_INPUT,
              "%s: the folder has neither config.json nor transformer/config.json", path);
    return REEL_OK;
}

/* Sets config to the path of the config beside a single file; empty when there is none. */
static enum reel_status find_config(const char *path, char config[PATH_MAX])
{
    size_t stem = strlen(path) - (ends_with(path, ".safetensors") ? strlen(".safetensors") : 0);
    int written = snprintf(config, PATH_MAX, "%.*s.config.json", (int)stem, path);
    REEL_NEED(written < PATH_MAX, REEL_BAD_INPUT, "%s: the path is too long", path);
    if (file_exists(config))
        return REEL_OK;
    const char *slash = strrchr(path, '/');
    snprintf(config, PATH_MAX, "%.*sconfig.json", slash ? (int)(slash - path) + 1 : 0, path);
    if (!file_exists(config))
        config[0] = '\0';
    return REEL_OK;
}

/* Takes the model from the shapes: without a config only the released layout can be recognised. */
static enum reel_status trust_shapes(const char *path, const struct reel_model *inferred,
                                     struct reel_model *model)
{
    REEL_NEED(inferred->width > 0 && inferred->ffn > 0 && inferred->layers > 0, REEL_BAD_INPUT,
              "%s: there is no NAME.config.json beside the file, and it lacks patch_embedding.weight or "
              "blocks.0.ffn.0.bias, which would say what model it is",
              path);
    REEL_NEED(inferred->heads > 0, REEL_BAD_INPUT,
              "%s: there is no NAME.config.json beside the file, and the width %" PRId64
              " is not a multiple of 128, so the number of heads is unknown",
              path, inferred->width);
    *model = *inferred;
    return reel_model_check(path, model);
}

static enum reel_status find_files(const char *path, struct reel_model_files *files)
{
    struct stat facts;
    char folder[PATH_MAX];
    REEL_NEED(stat(path, &facts) == 0, REEL_BAD_INPUT, "%s: %s", path, strerror(errno));
    if (S_ISDIR(facts.st_mode)) {
        REEL_PASS(find_folder(path, folder, files->config));
        REEL_PASS(open_folder(files, folder));
    } else {
        REEL_PASS(find_config(path, files->config));
        REEL_PASS(make_room(files, 1));
        REEL_PASS(open_shard(files, path));
    }
    return reel_model_index_open(files->files, files->count, &files->network, &files->index);
}

enum reel_status reel_model_find(const char *path, struct reel_model_files *files)
{
    static const char synthetic[] = "synthetic:";
    *files = (struct reel_model_files){.index.prefix = ""};
    reel_wan_network(&files->model, &files->network); /* names alone, until the model is known */
    if (strncmp(path, synthetic, sizeof synthetic - 1) == 0) {
        const char *preset = path + sizeof synthetic - 1;
        REEL_NEED(reel_model_preset(preset, &files->model), REEL_BAD_JOB,
                  "model.path is %s, expected one of the presets %s", path, reel_model_presets());
        reel_wan_network(&files->model, &files->network);
        files->synthetic = 1;
        return REEL_OK;
    }
    enum reel_status status = find_files(path, files);
    if (status != REEL_OK)
        reel_model_close(files);
    return status;
}

enum reel_status reel_model_describe(const char *path, struct reel_model_files *files)
{
    struct reel_model inferred;
    if (files->synthetic)
        return REEL_OK;
    reel_model_index_infer(&files->index, &inferred);
    if (files->config[0])
        REEL_PASS(reel_model_config_read(files->config, &inferred, &files->model));
    else
        REEL_PASS(trust_shapes(path, &inferred, &files->model));
    reel_wan_network(&files->model, &files->network);
    return REEL_OK;
}

enum reel_status reel_model_check_tensors(const char *path, struct reel_model_files *files)
{
    if (!files->synthetic)
        REEL_TRY(reel_model_index_check(&files->index, path, &files->network),
                 "comparing the tensors with %s",
                 files->config[0] ? files->config : "their own shapes");
    return REEL_OK;
}

enum reel_status reel_model_open_network(const char *path, const struct reel_network *network,
                                         struct reel_model_files *files)
{
    *files = (struct reel_model_files){.network = *network, .index.prefix = "", .synthetic = !path};
    if (!path)
        return REEL_OK;
    enum reel_status status = find_files(path, files);
    if (status == REEL_OK)
        status = reel_model_index_check(&files->index, path, &files->network);
    if (status != REEL_OK)
        reel_model_close(files);
    return status;
}

enum reel_status reel_model_open(const char *path, struct reel_model_files *files)
{
    REEL_PASS(reel_model_find(path, files));
    enum reel_status status = reel_model_describe(path, files);
    if (status == REEL_OK)
        status = reel_model_check_tensors(path, files);
    if (status != REEL_OK)
        reel_model_close(files);
    return status;
}

/* Sets *has to 1 when the folder holds any *.safetensors. */
static enum reel_status has_weights(const char *folder, int *has)
{
    struct dirent **names;
    int count;
    REEL_PASS(list_folder(folder, is_shard, &names, &count));
    free_names(names, count);
    *has = count > 0;
    return REEL_OK;
}

enum reel_status reel_model_sizes(const char *path, struct reel_model *model)
{
    struct stat facts;
    struct reel_model_files files;
    char folder[PATH_MAX], config[PATH_MAX];
    int has = 1;
    if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        REEL_PASS(find_folder(path, folder, config));
        REEL_PASS(has_weights(folder, &has));
    }
    if (!has) {
        struct reel_model published;
        reel_model_index_infer(&(struct reel_model_index){.prefix = ""}, &published);
        return reel_model_config_read(config, &published, model);
    }
    REEL_PASS(reel_model_open(path, &files));
    *model = files.model;
    reel_model_close(&files);
    return REEL_OK;
}

void reel_model_close(struct reel_model_files *files)
{
    for (int64_t f = 0; f < files->count; f++)
        reel_safetensors_close(files->files[f]);
    free(files->scales);
    free(files->files);
    reel_model_index_close(&files->index);
    *files = (struct reel_model_files){.index.prefix = ""};
}

int64_t reel_first_not_finite(const float *values, int64_t count)
{
    enum { PIECE = 4096 };
    for (int64_t first = 0; first < count; first += PIECE) {
        int64_t end = count - first < PIECE ? count : first + PIECE;
        uint32_t bits, bad = 0;
        for (int64_t i = first; i < end; i++) { /* no branch, so that the loop runs at memory speed */
            memcpy(&bits, &values[i], sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        for (int64_t i = first; bad && i < end; i++) {
            memcpy(&bits, &values[i], sizeof bits);
            if ((bits & 0x7f800000u) == 0x7f800000u)
                return i;
        }
    }
    return count;
}

/* The scale of random weights as fp8: divided by it, their standard deviation, 1 / sqrt(inputs), is well
 * within the range of fp8. */
static const float synthetic_scale = 0x1p-10f;

/* The scale of a weight that is kept as F8_E4M3. */
static enum reel_status scale_of(const struct reel_model_files *files, int tensor, int64_t layer,
                                 float *scale)
{
    const struct reel_model_slot *slot =
        files->synthetic ? NULL : reel_model_index_find(&files->index, &files->network, tensor, layer);
    *scale = slot ? 1 : synthetic_scale;
    if (!slot)
        return REEL_OK;
    REEL_NEED(slot->entry->dtype == REEL_F8_E4M3, REEL_BAD_INPUT,
              "%s: model.compute is fp8 and tensor %s has dtype %s, expected F8_E4M3, or model.compute bf16",
              reel_safetensors_path(slot->file), slot->entry->name, reel_dtype_name(slot->entry->dtype));
    REEL_NEED(!slot->scale || slot->scale->entry->elements == 1, REEL_BAD_INPUT,
              "%s: model.compute is fp8 and tensor %s has a scale for each row, expected one number, or "
              "model.compute "
              "bf16",
              reel_safetensors_path(slot->file), slot->entry->name);
    return reel_model_scale_apply(slot, 0, 1, scale);
}

enum reel_status reel_model_keep_fp8(struct reel_model_files *files)
{
    const struct reel_network *network = &files->network;
    int64_t layers = network->layers, tensors = network->tensor_count;
    float *scales = calloc((size_t)(layers * tensors), sizeof *scales);
    enum reel_status status = REEL_OK;
    REEL_NEED(scales, REEL_NO_MEMORY, "no memory for the scales of %" PRId64 " layers", layers);
    for (int64_t layer = 0; layer < layers; layer++)
        for (int t = 0; t < network->tensor_count && status == REEL_OK; t++)
            if (reel_tensor_is_matrix(network, t) && reel_tensor_exists(network, t))
                status = scale_of(files, t, layer, &scales[layer * tensors + t]);
    files->scales = scales;
    return status;
}

/* Random weights; rounded to F8_E4M3, without their scale, after reel_model_keep_fp8. */
static void read_synthetic(const struct reel_model_files *files, int tensor, int64_t layer, int64_t first,
                           int64_t count, float *out)
{
    reel_synthetic_fill(&files->network, tensor, layer, first, count, out);
    int rounded = files->scales && reel_tensor_is_matrix(&files->network, tensor);
    for (int64_t i = 0; rounded && i < count; i++)
        out[i] = reel_float_from_f8_e4m3(reel_f8_e4m3_from_float(out[i] / synthetic_scale));
}

enum reel_status reel_model_read(const struct reel_model_files *files, int tensor, int64_t layer,
                                 int64_t first, int64_t count, float *out)
{
    if (files->synthetic) {
        read_synthetic(files, tensor, layer, first, count, out);
        return REEL_OK;
    }
    const struct reel_model_slot *slot = reel_model_index_find(&files->index, &files->network, tensor, layer);
    REEL_NEED(slot, REEL_INTERNAL,
              "tensor %d of layer %" PRId64 " was requested, but the model does not have it", tensor, layer);
    REEL_PASS(reel_safetensors_read_weights(slot->file, slot->entry, first, count, out));
    if (!files->scales || !reel_tensor_is_matrix(&files->network, tensor))
        REEL_PASS(reel_model_scale_apply(slot, first, count, out));
    int64_t bad = reel_first_not_finite(out, count);
    REEL_NEED(bad == count, REEL_BAD_INPUT,
              "%s: tensor %s holds %f at index %" PRId64 ", expected a finite number",
              reel_safetensors_path(slot->file), slot->entry->name, (double)out[bad], first + bad);
    return REEL_OK;
}

int64_t reel_model_stored_bytes(const struct reel_model_files *files, int tensor, int64_t layer)
{
    const struct reel_model_slot *slot =
        files->synthetic ? NULL : reel_model_index_find(&files->index, &files->network, tensor, layer);
    return reel_dtype_bytes(slot ? slot->entry->dtype : REEL_F32);
}
