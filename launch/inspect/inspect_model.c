/* reel inspect of a model. */
#include "inspect.h"

#include "model_file.h"
#include "wan.h"

#include <string.h>

enum reel_status reel_inspect_is_model(const char *path, int *is_model)
{
    struct reel_safetensors *file;
    struct reel_model_index index;
    struct reel_model inferred = {.width = 0};
    struct reel_network names;
    *is_model = 0;
    reel_wan_network(&inferred, &names);
    REEL_PASS(reel_safetensors_open(path, &file));
    enum reel_status status = reel_model_index_open(&file, 1, &names, &index);
    if (status == REEL_OK) {
        reel_model_index_infer(&index, &inferred);
        *is_model = inferred.layers > 0 || inferred.width > 0;
    }
    reel_model_index_close(&index);
    reel_safetensors_close(file);
    return status;
}

static json_t *layout_of(const struct reel_model_files *files)
{
    if (files->synthetic)
        return json_pack("{s:s, s:s, s:i}", "naming", "synthetic", "prefix", "", "files", 0);
    const char *naming = files->index.naming == REEL_NAMING_NATIVE ? "native" : "diffusers";
    return json_pack("{s:s, s:s, s:I, s:s}", "naming", naming, "prefix", files->index.prefix, "files",
                     (json_int_t)files->count, "config", files->config);
}

static json_t *architecture_of(const struct reel_model_files *files)
{
    const struct reel_model *model = &files->model;
    char presets[256];
    reel_model_presets_equal(model, presets, sizeof presets);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:I}", "kind",
        model->image_rows == 0    ? "t2v"
        : model->image_rows > 257 ? "flf2v"
                                  : "i2v",
        "width", (json_int_t)model->width, "ffn", (json_int_t)model->ffn, "heads", (json_int_t)model->heads,
        "layers", (json_int_t)model->layers, "in_channels", (json_int_t)model->in_channels, "out_channels",
        (json_int_t)model->out_channels, "text_rows", (json_int_t)model->text_rows, "text_width",
        (json_int_t)model->text_width, "frequencies", (json_int_t)model->frequencies, "image_rows",
        (json_int_t)model->image_rows, "image_width", (json_int_t)model->image_width, "fps_embedding",
        (int)model->has_fps, "presets", presets, "parameters",
        (json_int_t)reel_network_parameters(&files->network));
}

/* Tensors and bytes of every dtype that occurs: {"BF16": {"tensors": 98, "bytes": 1234}}. */
static json_t *dtypes_of(const struct reel_model_index *index)
{
    json_t *dtypes = json_object();
    for (int d = 0; d < REEL_DTYPES; d++) {
        int64_t tensors = 0, bytes = 0;
        for (int64_t i = 0; i < index->count; i++)
            if (index->slots[i].entry->dtype == (enum reel_dtype)d) {
                tensors++;
                bytes += index->slots[i].entry->bytes;
            }
        if (tensors > 0)
            json_object_set_new(
                dtypes, reel_dtype_name((enum reel_dtype)d),
                json_pack("{s:I, s:I}", "tensors", (json_int_t)tensors, "bytes", (json_int_t)bytes));
    }
    return dtypes;
}

/* The number of fp8 weights, and how many of them have a scale. */
static json_t *fp8_of(const struct reel_model_index *index)
{
    int64_t weights = 0, scaled = 0;
    for (int64_t i = 0; i < index->count; i++) {
        const struct reel_model_slot *slot = &index->slots[i];
        weights += slot->role == REEL_ROLE_TENSOR && reel_dtype_is_fp8(slot->entry->dtype);
        scaled += slot->scale != NULL;
    }
    return json_pack("{s:I, s:I}", "weights", (json_int_t)weights, "scaled", (json_int_t)scaled);
}

/* Adds to the report how the files differ from the architecture that they claim to be, and why reel would
 * refuse them. */
static void add_review(const char *path, struct reel_model_files *files, json_t *report)
{
    struct reel_model_review review = {0};
    enum reel_status status = reel_model_describe(path, files);
    if (status == REEL_OK) {
        json_object_set_new(report, "architecture", architecture_of(files));
        if (!files->synthetic)
            reel_model_index_review(&files->index, &files->network, &review);
        json_object_set_new(report, "expected_tensors", json_integer(reel_network_tensors(&files->network)));
        json_object_set_new(
            report, "missing",
            json_pack("{s:I, s:s}", "count", (json_int_t)review.missing.count, "names", review.missing.text));
        json_object_set_new(report, "unexpected",
                            json_pack("{s:I, s:s}", "count", (json_int_t)review.unexpected.count, "names",
                                      review.unexpected.text));
        status = reel_model_check_tensors(path, files);
    }
    json_object_set_new(report, "complete", json_boolean(status == REEL_OK));
    if (status != REEL_OK)
        json_object_set_new(report, "refused", json_string(reel_error_here()->cause));
    reel_error_clear();
    json_object_set_new(report, "fp8", fp8_of(&files->index));
}

enum reel_status reel_inspect_model(const char *path, json_t **report)
{
    struct reel_model_files files;
    *report = NULL;
    REEL_PASS(reel_model_find(path, &files));
    int64_t bytes = 0;
    for (int64_t i = 0; i < files.index.count; i++)
        bytes += files.index.slots[i].entry->bytes;
    *report = json_pack("{s:s, s:s, s:o, s:I, s:I, s:o}", "kind", "model", "path", path, "layout",
                        layout_of(&files), "tensors", (json_int_t)files.index.count, "bytes",
                        (json_int_t)bytes, "dtypes", dtypes_of(&files.index));
    if (*report)
        add_review(path, &files, *report);
    reel_model_close(&files);
    REEL_NEED(*report, REEL_NO_MEMORY, "%s: no memory for the report, or its path is not UTF-8", path);
    return REEL_OK;
}

static void print_architecture(json_t *model, FILE *to)
{
    long long width = (long long)reel_inspect_integer(model, "width");
    long long heads = (long long)reel_inspect_integer(model, "heads");
    const char *presets = reel_inspect_string(model, "presets");
    reel_inspect_line(to, "architecture", "%s, %s", reel_inspect_string(model, "kind"),
                      json_is_true(json_object_get(model, "fps_embedding")) ? "with fps embedding"
                                                                            : "without fps embedding");
    reel_inspect_line(to, "", "%lld layers of width %lld, ffn %lld, %lld heads of %lld channels",
                      (long long)reel_inspect_integer(model, "layers"), width,
                      (long long)reel_inspect_integer(model, "ffn"), heads, width / heads);
    reel_inspect_line(to, "", "%lld channels in, %lld out; %lld text rows of %lld; %lld frequencies",
                      (long long)reel_inspect_integer(model, "in_channels"),
                      (long long)reel_inspect_integer(model, "out_channels"),
                      (long long)reel_inspect_integer(model, "text_rows"),
                      (long long)reel_inspect_integer(model, "text_width"),
                      (long long)reel_inspect_integer(model, "frequencies"));
    if (reel_inspect_integer(model, "image_rows") > 0)
        reel_inspect_line(to, "", "%lld image rows of %lld",
                          (long long)reel_inspect_integer(model, "image_rows"),
                          (long long)reel_inspect_integer(model, "image_width"));
    reel_inspect_line(to, "preset", "%s", presets[0] ? presets : "none is equal");
    long long parameters = (long long)reel_inspect_integer(model, "parameters");
    int billions = parameters >= 1000000000;
    reel_inspect_line(to, "parameters", "%lld (%.2f %s)", parameters,
                      (double)parameters * (billions ? 1e-9 : 1e-6), billions ? "billion" : "million");
}

/* A line such as "missing  2: a, b"; nothing when the count is 0. */
static void print_names(json_t *report, const char *key, FILE *to)
{
    json_t *names = json_object_get(report, key);
    if (reel_inspect_integer(names, "count") > 0)
        reel_inspect_line(to, key, "%lld: %s", (long long)reel_inspect_integer(names, "count"),
                          reel_inspect_string(names, "names"));
}

static void print_tensors(json_t *report, FILE *to)
{
    const char *dtype;
    json_t *value, *fp8 = json_object_get(report, "fp8");
    char text[REEL_INSPECT_BYTES_TEXT];
    reel_inspect_line(to, "tensors", "%lld, %s", (long long)reel_inspect_integer(report, "tensors"),
                      reel_inspect_bytes(reel_inspect_integer(report, "bytes"), text));
    json_object_foreach(json_object_get(report, "dtypes"), dtype, value) reel_inspect_line(
        to, "", "%-8s %6lld tensors, %s", dtype, (long long)reel_inspect_integer(value, "tensors"),
        reel_inspect_bytes(reel_inspect_integer(value, "bytes"), text));
    if (reel_inspect_integer(fp8, "weights") > 0)
        reel_inspect_line(to, "fp8", "%lld weights, %lld of them with a scale",
                          (long long)reel_inspect_integer(fp8, "weights"),
                          (long long)reel_inspect_integer(fp8, "scaled"));
}

void reel_inspect_print_model(json_t *report, FILE *to)
{
    json_t *layout = json_object_get(report, "layout"), *model = json_object_get(report, "architecture");
    const char *prefix = reel_inspect_string(layout, "prefix"),
               *config = reel_inspect_string(layout, "config");
    long long files = (long long)reel_inspect_integer(layout, "files");
    int synthetic = files == 0;
    fprintf(to, "%s: a model\n", reel_inspect_string(report, "path"));
    if (synthetic)
        reel_inspect_line(to, "layout", "synthetic: seeded random weights, no files");
    else
        reel_inspect_line(to, "layout", "%s names, %s%s, %lld file%s", reel_inspect_string(layout, "naming"),
                          prefix[0] ? "prefix " : "no prefix", prefix, files, files == 1 ? "" : "s");
    if (!synthetic)
        reel_inspect_line(to, "config", "%s",
                          config[0] ? config : "none: the architecture follows from the shapes");
    if (model)
        print_architecture(model, to);
    if (synthetic)
        reel_inspect_line(to, "tensors", "%lld", (long long)reel_inspect_integer(report, "expected_tensors"));
    else
        print_tensors(report, to);
    print_names(report, "missing", to);
    print_names(report, "unexpected", to);
    if (json_is_true(json_object_get(report, "complete")))
        reel_inspect_line(to, "complete", "yes");
    else
        reel_inspect_line(to, "complete", "no: %s", reel_inspect_string(report, "refused"));
}
