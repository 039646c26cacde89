/* One list of the tensors of all files of a model. */
#include "model_index.h"

#include "model_scale.h"
#include "wan.h"

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

static enum reel_naming find_naming(const struct reel_model_index *index, const struct reel_network *network)
{
    for (int64_t i = 0; i < index->count && network->diffusers; i++) {
        const char *name = index->slots[i].entry->name;
        if (starts_with(name, index->prefix) &&
            starts_with(name + strlen(index->prefix), network->diffusers))
            return REEL_NAMING_DIFFUSERS;
    }
    return REEL_NAMING_NATIVE;
}

enum reel_status reel_model_index_open(struct reel_safetensors *const *files, int64_t count,
                                       const struct reel_network *network, struct reel_model_index *index)
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
    index->naming = find_naming(index, network);
    return REEL_OK;
}

void reel_model_index_close(struct reel_model_index *index)
{
    free(index->slots);
    *index = (struct reel_model_index){.prefix = ""};
}

struct reel_model_slot *reel_model_index_find(const struct reel_model_index *index,
                                              const struct reel_network *network, int tensor, int64_t layer)
{
    char own[REEL_TENSOR_NAME_BYTES], name[2 * REEL_TENSOR_NAME_BYTES];
    reel_tensor_name(network, index->naming, tensor, layer, own);
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

/* What is inferred from: the list, and the names of the tensors. */
struct inference {
    const struct reel_model_index *index;
    const struct reel_network *network;
};

/* One extent of a tensor's shape; fallback when there is no such tensor or it has not that number of
 * dimensions. */
static int64_t extent(struct inference from, int tensor, int dims, int dimension, int64_t fallback)
{
    const struct reel_model_slot *slot = reel_model_index_find(from.index, from.network, tensor, 0);
    return slot && slot->entry->dims == dims ? slot->entry->shape[dimension] : fallback;
}

static int has_tensor(struct inference from, int tensor)
{
    return reel_model_index_find(from.index, from.network, tensor, 0) != NULL;
}

/* The max block number, plus one. */
static int64_t count_layers(struct inference from)
{
    const char *prefix = from.index->prefix, *block = from.network->block;
    int64_t layers = 0;
    for (int64_t i = 0; i < from.index->count; i++) {
        long long layer;
        const char *name = from.index->slots[i].entry->name;
        if (starts_with(name, prefix) && starts_with(name + strlen(prefix), block) &&
            sscanf(name + strlen(prefix) + strlen(block), "%5lld.", &layer) == 1 && layer >= layers)
            layers = layer + 1;
    }
    return layers;
}

void reel_model_index_infer(const struct reel_model_index *index, struct reel_model *model)
{
    enum { PATCH = 2, STRIDE = 8 }; /* of the published models */
    struct reel_network names;
    reel_wan_network(&(struct reel_model){.width = 0}, &names);
    struct inference from = {index, &names};
    int64_t width = extent(from, REEL_PATCH_WEIGHT, 5, 0, 0);
    int64_t patch_outputs = extent(from, REEL_HEAD_BIAS, 1, 0, 64);
    int image = has_tensor(from, REEL_CROSS_K_IMAGE_WEIGHT);
    *model = (struct reel_model){
        .width = width,
        .ffn = extent(from, REEL_FFN_IN_BIAS, 1, 0, 0),
        .heads = width % 128 == 0 ? width / 128 : 0,
        .layers = count_layers(from),
        .in_channels = extent(from, REEL_PATCH_WEIGHT, 5, 1, 16),
        .out_channels = patch_outputs / (PATCH * PATCH),
        .patch = PATCH,
        .stride = STRIDE,
        .text_rows = 512,
        .text_width = extent(from, REEL_TEXT_IN_WEIGHT, 2, 1, 4096),
        .frequencies = extent(from, REEL_TIME_IN_WEIGHT, 2, 1, 256),
        .image_rows = !image                                    ? 0
                      : has_tensor(from, REEL_IMAGE_POSITIONS) ? 514
                                                                : 257,
        .image_width = image ? extent(from, REEL_IMAGE_NORM_IN_WEIGHT, 1, 0, 1280) : 0,
        .rope_positions = 1024,
        .has_fps = has_tensor(from, REEL_FPS_ROWS),
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

static enum reel_status check_shape(const struct reel_model_slot *slot, const struct reel_tensor_spec *spec)
{
    int equal = spec->dims == slot->entry->dims;
    for (int d = 0; equal && d < spec->dims; d++)
        equal = spec->shape[d] == slot->entry->shape[d];
    char found[REEL_SHAPE_TEXT_BYTES], expected[REEL_SHAPE_TEXT_BYTES];
    reel_shape_text(slot->entry->dims, slot->entry->shape, found);
    reel_shape_text(spec->dims, spec->shape, expected);
    REEL_NEED(equal, REEL_BAD_INPUT, "%s: tensor %s has shape %s, expected %s",
              reel_safetensors_path(slot->file), slot->entry->name, found, expected);
    return REEL_OK;
}

/* Sets the role of every tensor that the network has, and collects the names that no file has. */
static void mark_expected(struct reel_model_index *index, const struct reel_network *network,
                          struct reel_names *missing)
{
    for (int t = 0; t < network->tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(network, t); layer++) {
            char name[REEL_TENSOR_NAME_BYTES];
            struct reel_model_slot *slot = reel_model_index_find(index, network, t, layer);
            reel_tensor_name(network, index->naming, t, layer, name);
            if (slot)
                slot->role = REEL_ROLE_TENSOR;
            else
                names_add(missing, name);
        }
}

void reel_model_index_review(struct reel_model_index *index, const struct reel_network *network,
                             struct reel_model_review *review)
{
    *review = (struct reel_model_review){0};
    for (int64_t i = 0; i < index->count; i++)
        index->slots[i].role = REEL_ROLE_UNEXPECTED;
    mark_expected(index, network, &review->missing);
    reel_model_scale_roles(index);
    for (int64_t i = 0; i < index->count; i++)
        if (index->slots[i].role == REEL_ROLE_UNEXPECTED)
            names_add(&review->unexpected, index->slots[i].entry->name);
}

enum reel_status reel_model_index_check(struct reel_model_index *index, const char *path,
                                        const struct reel_network *network)
{
    struct reel_model_review review;
    reel_model_index_review(index, network, &review);
    const struct reel_names *missing = &review.missing, *unexpected = &review.unexpected;
    /* files of other quantisations also hold unexpected tensors: a message about their format says more than
     * the names */
    REEL_PASS(reel_model_scale_refuse(index));
    REEL_PASS(check_dtypes(index));
    int64_t all = reel_network_tensors(network);
    REEL_NEED(missing->count == 0 && unexpected->count == 0, REEL_BAD_INPUT,
              "%s: of the model's %" PRId64 " tensors %" PRId64 " are missing%s%s, and %" PRId64
              " are not expected%s%s",
              path, all, missing->count, missing->count > 0 ? ": " : "", missing->text, unexpected->count,
              unexpected->count > 0 ? ": " : "", unexpected->text);
    for (int t = 0; t < network->tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(network, t); layer++)
            REEL_PASS(check_shape(reel_model_index_find(index, network, t, layer), &network->tensors[t]));
    return reel_model_scale_attach(index);
}
