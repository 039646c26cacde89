/* Finds scales and the weights they belong to, and multiplies by them. */
#include "model_scale.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 512 };

static const char weight_end[] = ".weight";

static const char *const scale_ends[2] = {".scale_weight", ".weight_scale"};

static const char *const ignored_ends[] = {".scale_input", ".input_scale", ".comfy_quant"};

static int ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The tensor whose name has other_end in place of end; NULL when there is none. */
static struct reel_model_slot *neighbour(const struct reel_model_index *index, const char *name,
                                         const char *end, const char *other_end)
{
    char other[NAME_BYTES];
    int stem = (int)(strlen(name) - strlen(end));
    int length = snprintf(other, sizeof other, "%.*s%s", stem, name, other_end);
    return length < NAME_BYTES ? reel_model_index_named(index, other) : NULL;
}

static int is_marker(const struct reel_model_index *index, const struct reel_safetensors_entry *entry)
{
    static const char name[] = "scaled_fp8";
    size_t prefix = strlen(index->prefix);
    int named = strcmp(entry->name, name) == 0 ||
                (strncmp(entry->name, index->prefix, prefix) == 0 && strcmp(entry->name + prefix, name) == 0);
    return named && reel_dtype_is_fp8(entry->dtype) && entry->elements <= 2;
}

/* The role of a tensor that belongs to a layer's weight by the end of its name. */
static enum reel_model_role role_by_end(const struct reel_model_index *index, const char *name)
{
    for (size_t e = 0; e < sizeof scale_ends / sizeof scale_ends[0]; e++)
        if (ends_with(name, scale_ends[e])) {
            const struct reel_model_slot *weight = neighbour(index, name, scale_ends[e], weight_end);
            return weight && weight->role == REEL_ROLE_TENSOR ? REEL_ROLE_SCALE : REEL_ROLE_UNEXPECTED;
        }
    for (size_t e = 0; e < sizeof ignored_ends / sizeof ignored_ends[0]; e++)
        if (ends_with(name, ignored_ends[e])) {
            const struct reel_model_slot *weight = neighbour(index, name, ignored_ends[e], weight_end);
            return weight && weight->role == REEL_ROLE_TENSOR ? REEL_ROLE_IGNORED : REEL_ROLE_UNEXPECTED;
        }
    return REEL_ROLE_UNEXPECTED;
}

void reel_model_scale_roles(struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        struct reel_model_slot *slot = &index->slots[i];
        if (slot->role == REEL_ROLE_UNEXPECTED)
            slot->role =
                is_marker(index, slot->entry) ? REEL_ROLE_SCALE : role_by_end(index, slot->entry->name);
    }
}

enum reel_status reel_model_scale_refuse(const struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++)
        REEL_NEED(!ends_with(index->slots[i].entry->name, ".weight_scale_2"), REEL_BAD_INPUT,
                  "%s: tensor %s belongs to NVFP4 weights, expected F32, BF16, F16, F64, F8_E4M3 or F8_E5M2",
                  reel_safetensors_path(index->slots[i].file), index->slots[i].entry->name);
    return REEL_OK;
}

/* Whether anything in the files says that they have scales. */
static int has_scales(const struct reel_model_index *index)
{
    for (int64_t i = 0; i < index->count; i++) {
        const struct reel_model_slot *slot = &index->slots[i];
        if (slot->role == REEL_ROLE_SCALE || slot->role == REEL_ROLE_IGNORED ||
            reel_safetensors_metadata(slot->file, "_quantization_metadata"))
            return 1;
    }
    return 0;
}

static enum reel_status check_scale(const struct reel_model_slot *weight, const struct reel_model_slot *scale)
{
    const struct reel_safetensors_entry *entry = scale->entry;
    char found[REEL_SHAPE_TEXT_BYTES];
    REEL_NEED(reel_dtype_is_fp8(weight->entry->dtype), REEL_BAD_INPUT,
              "%s: tensor %s scales %s, which has dtype %s, expected F8_E4M3 or F8_E5M2",
              reel_safetensors_path(scale->file), entry->name, weight->entry->name,
              reel_dtype_name(weight->entry->dtype));
    REEL_NEED(entry->dtype == REEL_F32 || entry->dtype == REEL_BF16 || entry->dtype == REEL_F16 ||
                  entry->dtype == REEL_F64,
              REEL_BAD_INPUT, "%s: tensor %s has dtype %s, expected F32, BF16, F16 or F64",
              reel_safetensors_path(scale->file), entry->name, reel_dtype_name(entry->dtype));
    int64_t rows = weight->entry->shape[0];
    int per_row = entry->dims >= 1 && entry->dims <= 2 && entry->shape[0] == rows &&
                  (entry->dims == 1 || entry->shape[1] == 1);
    reel_shape_text(entry->dims, entry->shape, found);
    REEL_NEED(entry->elements == 1 || per_row, REEL_BAD_INPUT,
              "%s: tensor %s has shape %s, expected one number, or [%" PRId64 "] or [%" PRId64
              ", 1], one for each row",
              reel_safetensors_path(scale->file), entry->name, found, rows, rows);
    return REEL_OK;
}

enum reel_status reel_model_scale_attach(struct reel_model_index *index)
{
    int scaled = has_scales(index);
    for (int64_t i = 0; i < index->count; i++) {
        struct reel_model_slot *slot = &index->slots[i];
        const char *name = slot->entry->name;
        slot->scale = NULL;
        if (slot->role != REEL_ROLE_TENSOR || !ends_with(name, weight_end))
            continue;
        const struct reel_model_slot *old = neighbour(index, name, weight_end, scale_ends[0]);
        const struct reel_model_slot *new = neighbour(index, name, weight_end, scale_ends[1]);
        REEL_NEED(!old || !new, REEL_BAD_INPUT, "%s: tensor %s has two scales, %s and %s, expected one",
                  reel_safetensors_path(slot->file), name, old->entry->name, new->entry->name);
        slot->scale = old ? old : new;
        REEL_NEED(
            slot->scale || !scaled || !reel_dtype_is_fp8(slot->entry->dtype), REEL_BAD_INPUT,
            "%s: tensor %s has dtype %s and no scale, but this model's fp8 weights are scaled: expected "
            "%.*s%s",
            reel_safetensors_path(slot->file), name, reel_dtype_name(slot->entry->dtype),
            (int)(strlen(name) - strlen(weight_end)), name, scale_ends[0]);
        if (slot->scale)
            REEL_PASS(check_scale(slot, slot->scale));
    }
    return REEL_OK;
}

/* Reads the scales of the rows [first, first + count). */
static enum reel_status read_scales(const struct reel_model_slot *scale, int64_t first, int64_t count,
                                    float *scales)
{
    REEL_PASS(reel_safetensors_read_floats(scale->file, scale->entry, first, count, scales));
    for (int64_t r = 0; r < count; r++)
        REEL_NEED(isfinite(scales[r]), REEL_BAD_INPUT,
                  "%s: tensor %s holds %f at index %" PRId64 ", expected a finite number",
                  reel_safetensors_path(scale->file), scale->entry->name, (double)scales[r], first + r);
    return REEL_OK;
}

enum reel_status reel_model_scale_apply(const struct reel_model_slot *slot, int64_t first, int64_t count,
                                        float *values)
{
    enum { ROWS = 512 };
    float scales[ROWS];
    if (!slot->scale || count == 0)
        return REEL_OK;
    /* a single scale belongs to the whole tensor, which then counts as one row */
    int64_t rows = slot->scale->entry->elements, row_elements = slot->entry->elements / rows;
    int64_t row = first / row_elements, last_row = (first + count - 1) / row_elements;
    for (int64_t done = 0; row <= last_row; row += ROWS) {
        int64_t here = last_row - row + 1 < ROWS ? last_row - row + 1 : ROWS;
        REEL_PASS(read_scales(slot->scale, row, here, scales));
        for (int64_t r = 0; r < here; r++) {
            int64_t end = (row + r + 1) * row_elements - first;
            for (int64_t stop = end < count ? end : count; done < stop; done++)
                values[done] *= scales[r];
        }
    }
    return REEL_OK;
}
