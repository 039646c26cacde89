/* Model files: every layout gives the same weights, and errors name the wrong tensor. */
#include "model_file.h"
#include "synthetic.h"
#include "test.h"
#include "wan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Describes a file to write: the tiny model in one type, with one wrong tensor. */
struct variant {
    enum reel_dtype dtype;
    const char *prefix;
    const char *missing, *flattened, *retyped, *poisoned; /* native names */
    const char *extra;                                    /* name of an additional tensor */
};

/* Element i of every tensor that is written: exact in all floating types. */
static float pattern(int64_t i)
{
    return (float)(i * 7 % 64 - 32) / 64;
}

static uint16_t f16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value == 0)
        return 0;
    return (uint16_t)((bits >> 16 & 0x8000u) | (((bits >> 23 & 0xffu) - 112u) << 10) | (bits >> 13 & 0x3ffu));
}

static void write_value(FILE *file, enum reel_dtype dtype, float value)
{
    double wide = (double)value;
    uint16_t half = dtype == REEL_F16 ? f16_of(value) : reel_bf16_from_float(value);
    const void *from = dtype == REEL_F64 ? (void *)&wide : dtype == REEL_F32 ? (void *)&value : (void *)&half;
    fwrite(from, (size_t)reel_dtype_bytes(dtype), 1, file);
}

static int is(const char *wanted, const char *name)
{
    return wanted && strcmp(wanted, name) == 0;
}

/* Adds one tensor to the header and its values to the data. */
static void write_tensor(FILE *header, FILE *data, const char *name, int dims, const int64_t *shape,
                         const struct variant *variant)
{
    enum reel_dtype dtype = is(variant->retyped, name) ? REEL_I8 : variant->dtype;
    int64_t elements = 1, first = ftell(data);
    for (int d = 0; d < dims; d++)
        elements *= shape[d];
    for (int64_t i = 0; i < elements; i++)
        write_value(data, dtype, is(variant->poisoned, name) && i == 5 ? NAN : pattern(i));
    fprintf(header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", ftell(header) > 1 ? "," : "",
            variant->prefix ? variant->prefix : "", name, reel_dtype_name(dtype));
    if (is(variant->flattened, name))
        fprintf(header, "%lld", (long long)elements);
    for (int d = 0; d < dims && !is(variant->flattened, name); d++)
        fprintf(header, "%s%lld", d > 0 ? "," : "", (long long)shape[d]);
    fprintf(header, "],\"data_offsets\":[%lld,%lld]}", (long long)first, (long long)ftell(data));
}

/* Makes the folder in the test folder; returns the path of name in it. */
static const char *path_in(const char *folder, const char *name)
{
    static char paths[64][300]; /* the paths of one test stay valid together */
    static int next;
    char *path = paths[next++ % 64];
    snprintf(path, sizeof paths[0], "%s/%s", test_folder(), folder);
    mkdir(path, 0700);
    snprintf(path, sizeof paths[0], "%s/%s/%s", test_folder(), folder, name);
    return path;
}

static void write_model(const char *path, const struct variant *variant)
{
    struct reel_model model;
    struct reel_network network;
    char *texts[2], name[REEL_TENSOR_NAME_BYTES];
    size_t bytes[2];
    FILE *header = open_memstream(&texts[0], &bytes[0]), *data = open_memstream(&texts[1], &bytes[1]);
    reel_model_preset("tiny", &model);
    reel_wan_network(&model, &network);
    fputc('{', header);
    for (int t = 0; t < network.tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(&network, t); layer++) {
            reel_tensor_name(&network, REEL_NAMING_NATIVE, t, layer, name);
            if (!is(variant->missing, name))
                write_tensor(header, data, name, network.tensors[t].dims, network.tensors[t].shape, variant);
        }
    if (variant->extra)
        write_tensor(header, data, variant->extra, 1, (const int64_t[]){3}, variant);
    fputc('}', header);
    fclose(header);
    fclose(data);
    FILE *file = fopen(path, "wb");
    uint64_t length = bytes[0];
    CHECK(file && fwrite(&length, 8, 1, file) == 1 && fwrite(texts[0], bytes[0], 1, file) == 1 &&
              fwrite(texts[1], bytes[1], 1, file) == 1 && fclose(file) == 0,
          "%s is not written", path);
    free(texts[0]);
    free(texts[1]);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s is not written", path);
}

static void link_reference(const char *name, const char *path)
{
    char target[512];
    snprintf(target, sizeof target, "%s/%s", test_reference(), name);
    CHECK(symlink(target, path) == 0, "no link to %s", target);
}

/* The first element of a tensor in an array of all tensors, each with its layers one after the other. */
static int64_t place_of(const struct reel_network *network, int tensor, int64_t layer)
{
    int64_t before = 0;
    for (int t = 0; t < tensor; t++)
        before += reel_tensor_copies(network, t) * reel_tensor_elements(network, t);
    return before + layer * reel_tensor_elements(network, tensor);
}

/* Reads all tensors of open files; the caller frees them. */
static enum reel_status read_all(const struct reel_model_files *files, float **all)
{
    const struct reel_network *network = &files->network;
    *all = malloc((size_t)reel_network_parameters(network) * sizeof **all);
    for (int t = 0; t < network->tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(network, t); layer++)
            REEL_PASS(reel_model_read(files, t, layer, 0, reel_tensor_elements(network, t),
                                      *all + place_of(network, t, layer)));
    return REEL_OK;
}

/* Checks that the model at path cannot be opened or read: this status, and a cause that contains words. */
static void check_refused(const char *path, enum reel_status expected, const char *words)
{
    struct reel_model_files files;
    float *all = NULL;
    reel_error_clear();
    enum reel_status status = reel_model_open(path, &files);
    if (status == REEL_OK) {
        status = read_all(&files, &all);
        free(all);
        reel_model_close(&files);
    }
    CHECK(status == expected, "%s: status %d", words, status);
    CHECK(strstr(reel_error_here()->cause, words), "%s: %s", words, reel_error_here()->cause);
    CHECK(files.files == NULL && files.index.slots == NULL, "%s: something is left open", words);
    reel_error_clear();
}

/* All weights of the model at path; the caller frees them. */
static float *load(const char *path, struct reel_model *model, struct reel_network *network)
{
    struct reel_model_files files;
    float *all;
    CHECK(reel_model_open(path, &files) == REEL_OK, "%s", reel_error_here()->cause);
    reel_error_clear();
    *model = files.model;
    *network = files.network;
    CHECK(read_all(&files, &all) == REEL_OK, "%s: %s", path, reel_error_here()->cause);
    reel_error_clear();
    reel_model_close(&files);
    return all;
}

/* Checks that all paths give the same weights, and that these are the native file's. */
static void check_same(const char *const *names, int count, int64_t tensors)
{
    char path[512];
    struct reel_model model, other_model;
    struct reel_network network, other_network;
    snprintf(path, sizeof path, "%s/%s", test_reference(), names[0]);
    float *all = load(path, &model, &network);
    size_t bytes = (size_t)reel_network_parameters(&network) * sizeof *all;
    CHECK(reel_network_tensors(&network) == tensors, "%lld tensors",
          (long long)reel_network_tensors(&network));
    for (int n = 1; n < count; n++) {
        snprintf(path, sizeof path, "%s/%s", test_reference(), names[n]);
        float *other = load(path, &other_model, &other_network);
        CHECK(memcmp(&model, &other_model, sizeof model) == 0, "%s is another model", names[n]);
        CHECK(memcmp(all, other, bytes) == 0, "%s differs", names[n]);
        free(other);
    }
    struct reel_safetensors *file;
    snprintf(path, sizeof path, "%s/%s/model.safetensors", test_reference(), names[0]);
    CHECK(reel_safetensors_open(path, &file) == REEL_OK, "%s", reel_error_here()->cause);
    const struct reel_safetensors_entry *entry = reel_safetensors_find(file, "blocks.1.ffn.0.weight");
    float *direct = malloc((size_t)entry->elements * sizeof *direct);
    CHECK(reel_safetensors_read_floats(file, entry, 0, entry->elements, direct) == REEL_OK, "direct read");
    CHECK(memcmp(direct, all + place_of(&network, REEL_FFN_IN_WEIGHT, 1),
                 (size_t)entry->elements * sizeof *direct) == 0,
          "blocks.1.ffn.0.weight is not in its place");
    free(direct);
    reel_safetensors_close(file);
    free(all);
}

static void all_layouts_hold_the_same_weights(void)
{
    check_same((const char *const[]){"tiny-df/native", "tiny-df/native-sharded", "tiny-df/diffusers",
                                     "tiny-df/comfy.safetensors", "tiny-df/native/model.safetensors"},
               5, 101);
    check_same((const char *const[]){"tiny-i2v/native", "tiny-i2v/diffusers"}, 2, 87);
}

static void a_pipeline_folder_is_opened_at_its_transformer(void)
{
    char path[512];
    struct reel_model model, other;
    struct reel_network network;
    link_reference("tiny-df/diffusers", path_in("pipeline", "transformer"));
    free(load(path_in("pipeline", "."), &model, &network));
    snprintf(path, sizeof path, "%s/tiny-df/native", test_reference());
    free(load(path, &other, &network));
    CHECK(memcmp(&model, &other, sizeof model) == 0, "another model");
}

static void every_floating_type_and_prefix_is_read(void)
{
    static const struct variant variants[] = {{.dtype = REEL_F32},
                                              {.dtype = REEL_F16, .prefix = "model."},
                                              {.dtype = REEL_BF16, .prefix = "model.diffusion_model."},
                                              {.dtype = REEL_F64}};
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        struct reel_model model;
        struct reel_network network;
        int64_t wrong = 0;
        const char *path = path_in("types", "one.safetensors");
        write_model(path, &variants[v]);
        float *all = load(path, &model, &network);
        CHECK(model.heads == 1 && model.layers == 3 && model.ffn == 352 && model.text_rows == 512 &&
                  model.text_width == 48 && model.frequencies == 64 && model.has_fps == 1,
              "the shapes say another model");
        for (int t = 0; t < network.tensor_count; t++)
            for (int64_t layer = 0; layer < reel_tensor_copies(&network, t); layer++)
                for (int64_t i = 0; i < reel_tensor_elements(&network, t); i++)
                    wrong += all[place_of(&network, t, layer) + i] != pattern(i);
        CHECK(wrong == 0, "%s: %lld numbers differ", reel_dtype_name(variants[v].dtype), (long long)wrong);
        free(all);
    }
}

static void an_element_has_the_bytes_of_its_file(void)
{
    struct reel_model_files files;
    const char *path = path_in("types", "one.safetensors");
    write_model(path, &(struct variant){.dtype = REEL_F16});
    CHECK(reel_model_open(path, &files) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_model_stored_bytes(&files, REEL_FFN_IN_WEIGHT, 1) == 2, "F16");
    reel_model_close(&files);
    CHECK(reel_model_open("synthetic:tiny", &files) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_model_stored_bytes(&files, REEL_FFN_IN_WEIGHT, 1) == 4, "synthetic");
    reel_model_close(&files);
}

static void a_wrong_tensor_is_named(void)
{
    static const struct {
        struct variant variant;
        const char *words;
    } cases[] = {
        {{.missing = "blocks.1.self_attn.q.bias"},
         "of the model's 101 tensors 1 are missing: blocks.1.self_attn.q.bias, and 0 are not"},
        {{.extra = "vae.weight"}, "0 are missing, and 1 are not expected: vae.weight"},
        {{.missing = "head.modulation", .extra = "head.modulatoin"},
         "missing: head.modulation, and 1 are not expected: head.modulatoin"},
        {{.flattened = "blocks.2.ffn.0.weight"},
         "blocks.2.ffn.0.weight has shape [45056], expected [352, 128]"},
        {{.retyped = "blocks.0.ffn.0.weight", .extra = "scaled_int8"}, "blocks.0.ffn.0.weight has dtype I8"},
        {{.poisoned = "blocks.2.norm3.weight"}, "blocks.2.norm3.weight holds nan at index 5"},
        {{.poisoned = "patch_embedding.weight", .prefix = "model."}, "patch_embedding.weight holds nan"},
        {{.missing = "patch_embedding.weight"}, "it lacks patch_embedding.weight"},
        {{.missing = "blocks.2.modulation", .prefix = "model."}, "missing: blocks.2.modulation"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct variant variant = cases[c].variant;
        variant.dtype = REEL_BF16;
        const char *path = path_in("wrong", "one.safetensors");
        write_model(path, &variant);
        check_refused(path, REEL_BAD_INPUT, cases[c].words);
    }
}

#define NATIVE "\"dim\":128,\"ffn_dim\":352,\"num_layers\":3,\"freq_dim\":64,\"text_len\":20,\"eps\":1e-6"
#define DIFFUSERS "\"num_attention_heads\":4,\"ffn_dim\":352,\"num_layers\":3,\"freq_dim\":64,\"text_len\":20"

static const struct {
    const char *text, *words;
} bad_configs[] = {
    {"", "line 1"},
    {"[]", "expected a JSON object"},
    {"{\"dim\":1,\"dim\":1}", "duplicate"},
    {"{}", "dim is missing"},
    {"{" NATIVE "}", "num_heads is missing"},
    {"{" NATIVE ",\"num_heads\":0}", "num_heads is 0"},
    {"{" NATIVE ",\"num_heads\":-4}", "num_heads is -4"},
    {"{" NATIVE ",\"num_heads\":4.0}", "num_heads is 4.0"},
    {"{" NATIVE ",\"num_heads\":\"4\"}", "num_heads is \"4\""},
    {"{" NATIVE ",\"num_heads\":3}", "not divisible by 3 heads"},
    {"{" NATIVE ",\"num_heads\":128}", "even number"},
    {"{" NATIVE ",\"num_heads\":4,\"num_layers\":3}", "duplicate"},
    {"{" NATIVE ",\"num_heads\":4,\"model_type\":\"vace\"}", "model_type is \"vace\""},
    {"{" NATIVE ",\"num_heads\":4,\"model_type\":7}", "model_type is 7"},
    {"{" NATIVE ",\"num_heads\":4,\"in_dim\":36}", "36 input channels"},
    {"{" NATIVE ",\"num_heads\":4,\"model_type\":\"i2v\"}", "expected 36 input channels"},
    {"{" NATIVE ",\"num_heads\":4,\"model_type\":\"i2v\",\"in_dim\":36}", "missing: img_emb.proj.0.weight"},
    {"{" NATIVE ",\"num_heads\":4,\"text_dim\":4096}", "[128, 48], expected [128, 4096]"},
    {"{" NATIVE ",\"num_heads\":4,\"inject_sample_info\":false}", "5 are not expected: fps_embedding.weight"},
    {"{" NATIVE ",\"num_heads\":4,\"inject_sample_info\":1}", "inject_sample_info is 1"},
    {"{" NATIVE ",\"num_heads\":4,\"patch_size\":[1,4,4]}", "patch_size is [1,4,4]"},
    {"{" NATIVE ",\"num_heads\":4,\"qk_norm\":\"layer_norm\"}", "qk_norm is \"layer_norm\""},
    {"{" NATIVE ",\"num_heads\":4,\"qk_norm\":false}", "qk_norm is false"},
    {"{" NATIVE ",\"num_heads\":4,\"cross_attn_norm\":false}", "cross_attn_norm is false"},
    {"{" NATIVE ",\"num_heads\":4,\"window_size\":[8,8]}", "window_size is [8,8]"},
    {"{\"dim\":128,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":4}",
     "128 tensors 27 are missing: blocks.3"},
    {"{\"dim\":128,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":2}", "27 are not expected: blocks.2"},
    {"{\"dim\":256,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":3}", "expected [256, 16, 1, 2, 2]"},
    {"{\"dim\":128,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":3,\"eps\":0}", "eps is 0"},
    {"{\"dim\":128,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":3,\"eps\":\"x\"}", "eps is \"x\""},
    {"{\"dim\":128,\"ffn_dim\":352,\"num_heads\":4,\"num_layers\":3,\"freq_dim\":63}", "freq_dim is 63"},
    {"{" DIFFUSERS "}", "attention_head_dim is missing"},
    {"{" DIFFUSERS ",\"attention_head_dim\":31}", "even number"},
    {"{" DIFFUSERS ",\"attention_head_dim\":32,\"image_dim\":1280}", "added_kv_proj_dim"},
    {"{" DIFFUSERS ",\"attention_head_dim\":32,\"image_dim\":1280,\"added_kv_proj_dim\":64}",
     "added_kv_proj_dim is 64"},
    {"{" DIFFUSERS ",\"attention_head_dim\":32,\"pos_embed_seq_len\":257}", "pos_embed_seq_len is 257"},
    {"{" DIFFUSERS ",\"attention_head_dim\":99999}", "attention_head_dim is 99999"},
};

static void a_config_that_cannot_be_computed_is_refused(void)
{
    const char *path = path_in("config", "one.safetensors");
    write_model(path, &(struct variant){.dtype = REEL_BF16});
    for (size_t c = 0; c < sizeof bad_configs / sizeof bad_configs[0]; c++) {
        write_text(path_in("config", "one.config.json"), bad_configs[c].text);
        check_refused(path, REEL_BAD_INPUT, bad_configs[c].words);
    }
    struct reel_model_files files;
    write_text(path_in("config", "one.config.json"),
               "{" NATIVE
               ",\"num_heads\":4,\"model_type\":\"t2v\",\"text_dim\":null,\"qk_norm\":true,\"new\":[1]}");
    CHECK(reel_model_open(path, &files) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(files.model.heads == 4 && files.model.text_width == 48 && files.model.text_rows == 20 &&
              files.model.has_fps == 1,
          "what the config leaves open comes from the shapes");
    reel_model_close(&files);
}

static void a_folder_that_is_no_model_is_refused(void)
{
    static const char config[] = "{" NATIVE ",\"num_heads\":4}";
    check_refused("/no/such/folder", REEL_BAD_INPUT, "/no/such/folder: No such file");
    check_refused(path_in("empty", "."), REEL_BAD_INPUT, "neither config.json nor transformer/config.json");
    write_text(path_in("bare", "config.json"), config);
    check_refused(path_in("bare", "."), REEL_BAD_INPUT, "no *.safetensors");
    write_text(path_in("bare", "a.safetensors"), "PK\x03\x04 and so on, a zip archive");
    check_refused(path_in("bare", "."), REEL_BAD_INPUT, "looks like a zip archive");

    write_text(path_in("twice", "config.json"), config);
    link_reference("tiny-df/native/model.safetensors", path_in("twice", "a.safetensors"));
    link_reference("tiny-df/native/model.safetensors", path_in("twice", "b.safetensors"));
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "is also in");
    const char *index = path_in("twice", "a.safetensors.index.json");
    write_text(index, "{\"weight_map\":{\"head.modulation\":\"gone.safetensors\"}}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "gone.safetensors: No such file");
    write_text(index, "{\"weight_map\":{\"head.modulation\":\"../twice/a.safetensors\"}}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT,
                  "does not name a file of this folder for tensor head.modulation");
    write_text(index, "{\"weight_map\":{\"head.modulation\":3}}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT,
                  "does not name a file of this folder for tensor head.modulation");
    write_text(index, "{\"weight_map\":{\"tail.modulation\":\"a.safetensors\"}}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "tensor tail.modulation is not in the file");
    write_text(index, "{\"weight_map\":{}}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "weight_map is missing");
    write_text(index, "{");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "a.safetensors.index.json: line 1");
    write_text(path_in("twice", "b.safetensors.index.json"), "{}");
    check_refused(path_in("twice", "."), REEL_BAD_INPUT, "two indexes");

    link_reference("tiny-i2v/native/model.safetensors", path_in("alone", "narrow.safetensors"));
    check_refused(path_in("alone", "narrow.safetensors"), REEL_BAD_INPUT, "96 is not a multiple of 128");
    link_reference("tiny-df/native-sharded/diffusion_pytorch_model-00001-of-00002.safetensors",
                   path_in("alone", "half.safetensors"));
    check_refused(path_in("alone", "half.safetensors"), REEL_BAD_INPUT, "missing");
}

static void philox_gives_the_known_answers(void)
{
    static const uint32_t known[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
         0x5001e420, 0x24126ea1}};
    for (int k = 0; k < 3; k++) {
        uint32_t words[4];
        reel_philox(known[k], known[k] + 4, words);
        CHECK(memcmp(words, known[k] + 6, sizeof words) == 0, "answer %d starts with %08x", k, words[0]);
    }
}

static void a_slice_of_synthetic_weights_is_the_slice_of_the_whole(void)
{
    enum { COUNT = 3000 };
    static const int64_t firsts[] = {0, 1, 7, 8, 9, 100, 2991}, counts[] = {0, 1, 5, 8, 9, 64, 77};
    struct reel_model model;
    struct reel_network network;
    float whole[COUNT], slice[COUNT], other[COUNT];
    reel_model_preset("wan2.1-t2v-14b", &model);
    reel_wan_network(&model, &network);
    reel_synthetic_fill(&network, REEL_SELF_Q_WEIGHT, 39, 0, COUNT, whole);
    for (size_t f = 0; f < sizeof firsts / sizeof firsts[0]; f++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            int64_t count = counts[c] < COUNT - firsts[f] ? counts[c] : COUNT - firsts[f];
            slice[count] = -7;
            reel_synthetic_fill(&network, REEL_SELF_Q_WEIGHT, 39, firsts[f], count, slice);
            CHECK(memcmp(slice, whole + firsts[f], (size_t)count * sizeof *slice) == 0 && slice[count] == -7,
                  "%lld from %lld on", (long long)count, (long long)firsts[f]);
        }
    reel_synthetic_fill(&network, REEL_SELF_Q_WEIGHT, 38, 0, COUNT, other);
    CHECK(memcmp(whole, other, sizeof whole) != 0, "two layers are equal");
    reel_synthetic_fill(&network, REEL_SELF_K_WEIGHT, 39, 0, COUNT, other);
    CHECK(memcmp(whole, other, sizeof whole) != 0, "two tensors are equal");
}

static void synthetic_weights_have_the_promised_spread(void)
{
    static const struct {
        enum reel_tensor tensor;
        double mean, deviation;
    } cases[] = {
        {REEL_FFN_OUT_WEIGHT, 0, 0.00850517}, /* 1/sqrt(13824) */
        {REEL_PATCH_WEIGHT, 0, 0.125},        {REEL_FFN_IN_BIAS, 0, 0.02}, {REEL_SELF_NORM_Q, 1, 0.05},
        {REEL_CROSS_NORM_BIAS, 0, 0.02},      {REEL_MODULATION, 0, 0.2},   {REEL_HEAD_MODULATION, 0, 0.2}};
    enum { COUNT = 5120 };
    struct reel_model model;
    struct reel_network network;
    float values[COUNT];
    reel_model_preset("wan2.1-t2v-14b", &model);
    reel_wan_network(&model, &network);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        double sum = 0, squares = 0;
        int exact = 0;
        reel_synthetic_fill(&network, cases[c].tensor, 3, 0, COUNT, values);
        for (int i = 0; i < COUNT; i++) {
            sum += (double)values[i];
            squares += pow((double)values[i] - cases[c].mean, 2);
            exact += reel_float_from_bf16(reel_bf16_from_float(values[i])) == values[i];
        }
        double deviation = sqrt(squares / COUNT);
        CHECK(exact == COUNT, "tensor %d: %d of %d are bfloat16", (int)cases[c].tensor, exact, COUNT);
        CHECK(fabs(sum / COUNT - cases[c].mean) < 0.06 * cases[c].deviation, "mean %g", sum / COUNT);
        CHECK(fabs(deviation / cases[c].deviation - 1) < 0.03, "tensor %d: deviation %g, not %g",
              (int)cases[c].tensor, deviation, cases[c].deviation);
    }
}

static void a_synthetic_model_is_read_without_files(void)
{
    struct reel_model_files files;
    float expected[128], *all;
    CHECK(reel_model_open("synthetic:tiny", &files) == REEL_OK && files.synthetic, "synthetic:tiny");
    CHECK(read_all(&files, &all) == REEL_OK, "%s", reel_error_here()->cause);
    reel_synthetic_fill(&files.network, REEL_SELF_NORM_K, 2, 0, 128, expected);
    CHECK(memcmp(all + place_of(&files.network, REEL_SELF_NORM_K, 2), expected, sizeof expected) == 0,
          "norm_k");
    free(all);
    reel_model_close(&files);
    check_refused("synthetic:huge", REEL_BAD_JOB, "skyreels-v2-df-14b");
}

int main(void)
{
    RUN(all_layouts_hold_the_same_weights);
    RUN(a_pipeline_folder_is_opened_at_its_transformer);
    RUN(every_floating_type_and_prefix_is_read);
    RUN(an_element_has_the_bytes_of_its_file);
    RUN(a_wrong_tensor_is_named);
    RUN(a_config_that_cannot_be_computed_is_refused);
    RUN(a_folder_that_is_no_model_is_refused);
    RUN(philox_gives_the_known_answers);
    RUN(a_slice_of_synthetic_weights_is_the_slice_of_the_whole);
    RUN(synthetic_weights_have_the_promised_spread);
    RUN(a_synthetic_model_is_read_without_files);
    return test_end();
}
