/* config.json -> struct reel_model. */
#include "model_config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 120, TWO_IMAGES_ROWS = 514, ONE_IMAGE_ROWS = 257 };

/* An integer field: its offset in reel_model, its range, and whether the file must have it. */
struct field {
    const char *key;
    size_t place;
    int64_t min, max;
    int required;
};

#define FIELD(key, member, min, max, required)                                                               \
    {                                                                                                        \
        key, offsetof(struct reel_model, member), min, max, required                                         \
    }

/* The max values keep products of two extents far from overflow. */
static const struct field native_fields[] = {
    FIELD("dim", width, 1, 1 << 16, 1),         FIELD("ffn_dim", ffn, 1, 1 << 20, 1),
    FIELD("num_heads", heads, 1, 1 << 12, 1),   FIELD("num_layers", layers, 1, 1 << 10, 1),
    FIELD("in_dim", in_channels, 1, 1024, 0),   FIELD("out_dim", out_channels, 1, 1024, 0),
    FIELD("freq_dim", frequencies, 2, 8192, 0), FIELD("text_len", text_rows, 1, 1 << 20, 0),
    FIELD("text_dim", text_width, 1, 65536, 0),
};

/* width holds attention_head_dim until read_diffusers multiplies it by the heads. */
static const struct field diffusers_fields[] = {
    FIELD("attention_head_dim", width, 1, 4096, 1),
    FIELD("num_attention_heads", heads, 1, 1 << 12, 1),
    FIELD("ffn_dim", ffn, 1, 1 << 20, 1),
    FIELD("num_layers", layers, 1, 1 << 10, 1),
    FIELD("in_channels", in_channels, 1, 1024, 0),
    FIELD("out_channels", out_channels, 1, 1024, 0),
    FIELD("freq_dim", frequencies, 2, 8192, 0),
    FIELD("text_len", text_rows, 1, 1 << 20, 0),
    FIELD("text_dim", text_width, 1, 65536, 0),
    FIELD("rope_max_seq_len", rope_positions, 1, 1 << 20, 0),
    FIELD("image_dim", image_width, 1, 65536, 0),
    FIELD("pos_embed_seq_len", image_rows, TWO_IMAGES_ROWS, TWO_IMAGES_ROWS, 0),
};

/* Fields for which reel supports one value; other_value is another way to write the same. */
static const struct {
    const char *key, *value, *other_value;
} fixed[] = {
    {"patch_size", "[1,2,2]", NULL},
    {"qk_norm", "\"rms_norm_across_heads\"", "true"},
    {"cross_attn_norm", "true", NULL},
    {"window_size", "[-1,-1]", NULL},
};

/* The value of key; NULL when it is absent or null, which mean the same in these files. */
static json_t *value_of(json_t *config, const char *key)
{
    json_t *value = json_object_get(config, key);
    return json_is_null(value) ? NULL : value;
}

/* The value as JSON text, cut to VALUE_BYTES. */
static const char *text_of(json_t *value, char text[VALUE_BYTES])
{
    char *whole = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(text, VALUE_BYTES, "%s", whole ? whole : "?");
    free(whole);
    return text;
}

static enum reel_status read_fields(const char *path, json_t *config, const struct field *fields,
                                    size_t count, struct reel_model *model)
{
    char text[VALUE_BYTES];
    for (size_t f = 0; f < count; f++) {
        const struct field *field = &fields[f];
        json_t *value = value_of(config, field->key);
        REEL_NEED(value || !field->required, REEL_BAD_INPUT, "%s: %s is missing", path, field->key);
        if (!value)
            continue;
        int64_t number = json_integer_value(value);
        REEL_NEED(json_is_integer(value) && number >= field->min && number <= field->max, REEL_BAD_INPUT,
                  "%s: %s is %s, expected an integer from %" PRId64 " to %" PRId64, path, field->key,
                  text_of(value, text), field->min, field->max);
        memcpy((char *)model + field->place, &number, sizeof number);
    }
    return REEL_OK;
}

static enum reel_status read_common(const char *path, json_t *config, struct reel_model *model)
{
    char text[VALUE_BYTES];
    for (size_t f = 0; f < sizeof fixed / sizeof fixed[0]; f++) {
        json_t *value = value_of(config, fixed[f].key);
        if (!value)
            continue;
        text_of(value, text);
        REEL_NEED(strcmp(text, fixed[f].value) == 0 ||
                      (fixed[f].other_value && strcmp(text, fixed[f].other_value) == 0),
                  REEL_BAD_INPUT, "%s: %s is %s, but reel computes only %s", path, fixed[f].key, text,
                  fixed[f].value);
    }
    json_t *epsilon = value_of(config, "eps"), *fps = value_of(config, "inject_sample_info");
    if (epsilon) {
        model->epsilon = json_number_value(epsilon);
        REEL_NEED(model->epsilon > 0 && model->epsilon <= 0.01, REEL_BAD_INPUT,
                  "%s: eps is %s, expected a number above 0, at most 0.01", path, text_of(epsilon, text));
    }
    if (fps) {
        REEL_NEED(json_is_boolean(fps), REEL_BAD_INPUT,
                  "%s: inject_sample_info is %s, expected true or false", path, text_of(fps, text));
        model->has_fps = json_is_true(fps);
    }
    return REEL_OK;
}

static enum reel_status read_native(const char *path, json_t *config, struct reel_model *model)
{
    char text[VALUE_BYTES];
    REEL_PASS(
        read_fields(path, config, native_fields, sizeof native_fields / sizeof native_fields[0], model));
    json_t *type = value_of(config, "model_type");
    if (!type)
        return REEL_OK;
    const char *name = json_is_string(type) ? json_string_value(type) : "";
    int image = strcmp(name, "i2v") == 0 || strcmp(name, "flf2v") == 0;
    REEL_NEED(image || strcmp(name, "t2v") == 0, REEL_BAD_INPUT,
              "%s: model_type is %s, expected t2v, i2v or flf2v", path, text_of(type, text));
    if (!image) {
        model->image_rows = model->image_width = 0;
    } else if (model->image_rows == 0) {
        /* the tensors are missing: the check will report them with their usual shapes */
        model->image_rows = ONE_IMAGE_ROWS;
        model->image_width = 1280;
    }
    return REEL_OK;
}

static enum reel_status read_diffusers(const char *path, json_t *config, struct reel_model *model)
{
    int64_t inferred_rows = model->image_rows;
    model->image_rows = model->image_width = 0;
    REEL_PASS(read_fields(path, config, diffusers_fields,
                          sizeof diffusers_fields / sizeof diffusers_fields[0], model));
    model->width *= model->heads;
    if (model->image_width == 0)
        model->image_rows = 0;
    else if (model->image_rows == 0)
        model->image_rows = inferred_rows > 0 ? inferred_rows : ONE_IMAGE_ROWS;
    json_t *added = value_of(config, "added_kv_proj_dim");
    REEL_NEED((added != NULL) == (model->image_width > 0), REEL_BAD_INPUT,
              "%s: image_dim and added_kv_proj_dim belong together, but only one of them is set", path);
    char text[VALUE_BYTES];
    REEL_NEED(!added || (json_is_integer(added) && json_integer_value(added) == model->width), REEL_BAD_INPUT,
              "%s: added_kv_proj_dim is %s, expected the width, %" PRId64, path, text_of(added, text),
              model->width);
    return REEL_OK;
}

enum reel_status reel_model_check(const char *path, const struct reel_model *model)
{
    /* values inferred from shapes have not been checked yet */
    for (size_t f = 0; f < sizeof native_fields / sizeof native_fields[0]; f++) {
        const struct field *field = &native_fields[f];
        int64_t number;
        memcpy(&number, (const char *)model + field->place, sizeof number);
        REEL_NEED(number >= field->min && number <= field->max, REEL_BAD_INPUT,
                  "%s: %s is %" PRId64 ", expected an integer from %" PRId64 " to %" PRId64, path, field->key,
                  number, field->min, field->max);
    }
    REEL_NEED(model->image_rows == 0 || (model->image_width >= 1 && model->image_width <= 65536),
              REEL_BAD_INPUT, "%s: the image width is %" PRId64 ", expected 1 to 65536", path,
              model->image_width);
    REEL_NEED(model->width % model->heads == 0, REEL_BAD_INPUT,
              "%s: the width %" PRId64 " is not divisible by %" PRId64 " heads", path, model->width,
              model->heads);
    REEL_NEED(reel_model_head_channels(model) % 2 == 0, REEL_BAD_INPUT,
              "%s: a head has %" PRId64 " channels (width %" PRId64 ", %" PRId64
              " heads), expected an even number",
              path, reel_model_head_channels(model), model->width, model->heads);
    REEL_NEED(model->frequencies % 2 == 0, REEL_BAD_INPUT,
              "%s: freq_dim is %" PRId64 ", expected an even number", path, model->frequencies);
    int64_t condition = model->image_rows > 0 ? 4 + model->out_channels : 0;
    REEL_NEED(model->in_channels == model->out_channels + condition, REEL_BAD_INPUT,
              "%s: %s model has %" PRId64 " input channels and %" PRId64 " output channels, expected %" PRId64
              " input channels",
              path, condition ? "an i2v" : "a t2v", model->in_channels, model->out_channels,
              model->out_channels + condition);
    return REEL_OK;
}

enum reel_status reel_model_config_read(const char *path, const struct reel_model *inferred,
                                        struct reel_model *model)
{
    json_error_t problem;
    json_t *config = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    REEL_NEED(config, REEL_BAD_INPUT, "%s: line %d: %s", path, problem.line, problem.text);
    *model = *inferred;
    enum reel_status status = REEL_OK;
    if (!json_is_object(config))
        status = reel_fail(REEL_BAD_INPUT, "%s: expected a JSON object", path);
    else if (json_object_get(config, "num_attention_heads"))
        status = read_diffusers(path, config, model);
    else
        status = read_native(path, config, model);
    if (status == REEL_OK)
        status = read_common(path, config, model);
    json_decref(config);
    return status == REEL_OK ? reel_model_check(path, model) : status;
}
