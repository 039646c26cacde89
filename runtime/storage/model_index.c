/* One list of the tensors of all files of a model. */
#include "model_index.h"

#include "model_scale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    const struct reel_model_slot *left = a, *right = b;
    return strcmp(left->entry->name, right->entry->name);
}

static int starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* The prefix of the first name that has one; no tensor's own name begins with "model.". */
static const char *find_prefix(const struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        const char *name = index->slots[i].entry->name;
        if (starts_with(name, "model.diffusion_model."))
            return "model.diffusion_model.";
        if (starts_with(name, "model."))
            return "model.";
    }
    return "";
}

static enum reel_naming find_naming(const struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        const char *name = index->slots[i].entry->name;
        if (starts_with(name, index->prefix) &&
            starts_with(name + strlen(index->prefix), "condition_embedder."))
            return REEL_NAMING_DIFFUSERS;
    }
    return REEL_NAMING_NATIVE;
}

enum reel_status reel_model_index_open(struct reel_safetensors *const *files, int64_t count,
                                       struct reel_model_index *index)
{
    int64_t tensors = 0;
    for (int64_t f = 0; f < count; f++)
        tensors += reel_safetensors_count(files[f]);
    *index = (struct reel_model_index){.prefix = ""};
    index->slots = calloc((size_t)tensors + 1, sizeof *index->slots);
    REEL_NEED(index->slots, REEL_NO_MEMORY, "no memory for a list of %" PRId64 " tensors", tensors);
    for (int64_t f = 0; f < count; f++)
        for (int64_t i = 0; i < reel_safetensors_count(files[f]); i++)
            index->slots[index->count++] =
                (struct reel_model_slot){.file = files[f], .entry = reel_safetensors_at(files[f], i)};
    qsort(index->slots, (size_t)index->count, sizeof *index->slots, by_name);
    for (int64_t i = 1; i < index->count; i++) {
        const struct reel_model_slot *slot = &index->slots[i], *before = slot - 1;
        REEL_NEED(by_name(before, slot) != 0, REEL_BAD_INPUT, "%s: tensor %s is also in %s, expected it once",
                  reel_safetensors_path(slot->file), slot->entry->name, reel_safetensors_path(before->file));
    }
    index->prefix = find_prefix(index);
    index->naming = find_naming(index);
    return REEL_OK;
}

void reel_model_index_close(struct reel_model_index *index)
{
    free(index->slots);
    *index = (struct reel_model_index){.prefix = ""};
}

struct reel_model_slot *reel_model_index_find(const struct reel_model_index *index, enum reel_tensor tensor,
                                              int64_t layer)
{
    char own[REEL_TENSOR_NAME_BYTES], name[2 * REEL_TENSOR_NAME_BYTES];
    reel_tensor_name(index->naming, tensor, layer, own);
    snprintf(name, sizeof name, "%s%s", index->prefix, own);
    return reel_model_index_named(index, name);
}

struct reel_model_slot *reel_model_index_named(const struct reel_model_index *index, const char *name)
{
    struct reel_safetensors_entry entry = {.name = name};
    struct reel_model_slot wanted = {.entry = &entry};
    if (index->count == 0) /* bsearch must not get a NULL array */
        return NULL;
    return bsearch(&wanted, index->slots, (size_t)index->count, sizeof wanted, by_name);
}

/* One extent of a tensor's shape; fallback when there is no such tensor or it has not that number of
 * dimensions. */
static int64_t extent(const struct reel_model_index *index, enum reel_tensor tensor, int dims, int dimension,
                      int64_t fallback)
{
    const struct reel_model_slot *slot = reel_model_index_find(index, tensor, 0);
    return slot && slot->entry->dims == dims ? slot->entry->shape[dimension] : fallback;
}

/* The max block number, plus one. */
static int64_t count_layers(const struct reel_model_index *index)
{
    int64_t layers = 0;
    for (int64_t i = 0; i < index->count; i++) {
        long long layer;
        const char *name = index->slots[i].entry->name;
        if (starts_with(name, index->prefix) &&
            sscanf(name + strlen(index->prefix), "blocks.%5lld.", &layer) == 1 && layer >= layers)
            layers = layer + 1;
    }
    return layers;
}

void reel_model_index_infer(const struct reel_model_index *index, struct reel_model *model)
{
    int64_t width = extent(index, REEL_PATCH_WEIGHT, 5, 0, 0);
    int64_t patch_outputs = extent(index, REEL_HEAD_BIAS, 1, 0, 64);
    int image = reel_model_index_find(index, REEL_CROSS_K_IMAGE_WEIGHT, 0) != NULL;
    int positions = reel_model_index_find(index, REEL_IMAGE_POSITIONS, 0) != NULL;
    *model = (struct reel_model){
        .width = width,
        .ffn = extent(index, REEL_FFN_IN_BIAS, 1, 0, 0),
        .heads = width % 128 == 0 ? width / 128 : 0,
        .layers = count_layers(index),
        .in_channels = extent(index, REEL_PATCH_WEIGHT, 5, 1, 16),
        .out_channels = patch_outputs / 4,
        .text_rows = 512,
        .text_width = extent(index, REEL_TEXT_IN_WEIGHT, 2, 1, 4096),
        .frequencies = extent(index, REEL_TIME_IN_WEIGHT, 2, 1, 256),
        .image_rows = !image      ? 0
                      : positions ? 514
                                  : 257,
        .image_width = image ? extent(index, REEL_IMAGE_NORM_IN_WEIGHT, 1, 0, 1280) : 0,
        .rope_positions = 1024,
        .has_fps = reel_model_index_find(index, REEL_FPS_ROWS, 0) != NULL,
        .epsilon = 1e-6,
    };
}

static void names_add(struct reel_names *names, const char *name)
{
    size_t used = strlen(names->text);
    if (names->count < REEL_NAMES_SHOWN)
        snprintf(names->text + used, sizeof names->text - used, "%s%.180s", names->count > 0 ? ", " : "",
                 name);
    else if (names->count == REEL_NAMES_SHOWN)
        snprintf(names->text + used, sizeof names->text - used, ", ...");
    names->count++;
}

static enum reel_status check_dtypes(const struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        const struct reel_model_slot *slot = &index->slots[i];
        enum reel_dtype dtype = slot->entry->dtype;
        REEL_NEED(slot->role != REEL_ROLE_TENSOR || dtype == REEL_F32 || dtype == REEL_BF16 ||
                      dtype == REEL_F16 || dtype == REEL_F64 || reel_dtype_is_fp8(dtype),
                  REEL_BAD_INPUT,
                  "%s: tensor %s has dtype %s, expected F32, BF16, F16, F64, F8_E4M3 or F8_E5M2",
                  reel_safetensors_path(slot->file), slot->entry->name, reel_dtype_name(dtype));
    }
    return REEL_OK;
}

static enum reel_status check_shape(const struct reel_model_slot *slot, const struct reel_model *model,
                                    enum reel_tensor tensor)
{
    int64_t shape[REEL_DIMS_MAX];
    int dims = reel_tensor_shape(model, tensor, shape), equal = dims == slot->entry->dims;
    for (int d = 0; equal && d < dims; d++)
        equal = shape[d] == slot->entry->shape[d];
    char found[REEL_SHAPE_TEXT_BYTES], expected[REEL_SHAPE_TEXT_BYTES];
    reel_shape_text(slot->entry->dims, slot->entry->shape, found);
    reel_shape_text(dims, shape, expected);
    REEL_NEED(equal, REEL_BAD_INPUT, "%s: tensor %s has shape %s, expected %s",
              reel_safetensors_path(slot->file), slot->entry->name, found, expected);
    return REEL_OK;
}

/* Sets the role of every tensor that the model has, and collects the names that no file has. */
static void mark_expected(struct reel_model_index *index, const struct reel_model *model,
                          struct reel_names *missing)
{
    for (int t = 0; t < REEL_TENSORS; t++) {
        enum reel_tensor tensor = (enum reel_tensor)t;
        int64_t copies = t < REEL_GLOBAL_TENSORS ? 1 : model->layers;
        for (int64_t layer = 0; layer < copies && reel_tensor_exists(model, tensor); layer++) {
            char name[REEL_TENSOR_NAME_BYTES];
            struct reel_model_slot *slot = reel_model_index_find(index, tensor, layer);
            reel_tensor_name(index->naming, tensor, layer, name);
            if (slot)
                slot->role = REEL_ROLE_TENSOR;
            else
                names_add(missing, name);
        }
    }
}

void reel_model_index_review(struct reel_model_index *index, const struct reel_model *model,
                             struct reel_model_review *review)
{
    *review = (struct reel_model_review){0};
    for (int64_t i = 0; i < index->count; i++)
        index->slots[i].role = REEL_ROLE_UNEXPECTED;
    mark_expected(index, model, &review->missing);
    reel_model_scale_roles(index);
    for (int64_t i = 0; i < index->count; i++)
        if (index->slots[i].role == REEL_ROLE_UNEXPECTED)
            names_add(&review->unexpected, index->slots[i].entry->name);
}

enum reel_status reel_model_index_check(struct reel_model_index *index, const char *path,
                                        const struct reel_model *model)
{
    struct reel_model_review review;
    reel_model_index_review(index, model, &review);
    const struct reel_names *missing = &review.missing, *unexpected = &review.unexpected;
    /* files of other quantisations also hold unexpected tensors: a message about their format says more than
     * the names */
    REEL_PASS(reel_model_scale_refuse(index));
    REEL_PASS(check_dtypes(index));
    int64_t all = reel_model_tensors(model);
    REEL_NEED(missing->count == 0 && unexpected->count == 0, REEL_BAD_INPUT,
              "%s: of the model's %" PRId64 " tensors %" PRId64 " are missing%s%s, and %" PRId64
              " are not expected%s%s",
              path, all, missing->count, missing->count > 0 ? ": " : "", missing->text, unexpected->count,
              unexpected->count > 0 ? ": " : "", unexpected->text);
    for (int t = 0; t < REEL_TENSORS; t++) {
        enum reel_tensor tensor = (enum reel_tensor)t;
        int64_t copies = t < REEL_GLOBAL_TENSORS ? 1 : model->layers;
        for (int64_t layer = 0; layer < copies && reel_tensor_exists(model, tensor); layer++)
            REEL_PASS(check_shape(reel_model_index_find(index, tensor, layer), model, tensor));
    }
    return reel_model_scale_attach(index);
}
