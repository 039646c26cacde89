/* fp8 weights: the value of every code, scaled and unscaled files in every naming, and errors that name the
 * wrong tensor. */
#include "dtype.h"
#include "model_file.h"
#include "tensor_input.h"
#include "test.h"
#include "wan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SCALAR = 0, ROWS = 1, ROWS_BY_ONE = 2, COLUMNS = 3, LAYER = 1 };

/* An fp8 file of the tiny model: every matrix of a block is fp8. */
struct variant {
    enum reel_dtype dtype;
    enum reel_naming naming;
    const char *prefix;     /* NULL: none */
    const char *scale;      /* suffix of a scale's name; NULL: unscaled */
    int shape;              /* of the scales: SCALAR, ... */
    enum reel_dtype stored; /* of the scales; F64 (0) stands for F32 */
    int marker;             /* elements of scaled_fp8, plus one; 0: no such tensor */
    int extras;             /* every layer has scale_input, input_scale and comfy_quant */
    const char *metadata;
    const char *unscaled; /* the layer whose scale is missing */
    const char *extra;    /* an additional tensor, F32 [1] */
    float poison;         /* scale of blocks.1.ffn.0, unless 0 */
    int code;             /* first code of blocks.1.ffn.0.weight, unless 0 */
};

/* The files of the native reference model. */
static struct reel_model_files native;

/* The value of a code: sign * 2^exponent * fraction, by the definition of the two formats. */
static double plain(enum reel_dtype dtype, int code)
{
    int fraction_bits = dtype == REEL_F8_E4M3 ? 3 : 2, bias = dtype == REEL_F8_E4M3 ? 7 : 15;
    int exponent = (code & 0x7f) >> fraction_bits, fraction = code & ((1 << fraction_bits) - 1);
    double sign = code & 0x80 ? -1 : 1, steps = ldexp(1, fraction_bits);
    if (dtype == REEL_F8_E4M3 && (code & 0x7f) == 0x7f)
        return (double)NAN;
    if (dtype == REEL_F8_E5M2 && exponent == 31)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign *
           (exponent == 0 ? ldexp(fraction / steps, 1 - bias) : ldexp(1 + fraction / steps, exponent - bias));
}

static void every_code_has_its_value(void)
{
    static const enum reel_dtype dtypes[] = {REEL_F8_E4M3, REEL_F8_E5M2};
    for (int d = 0; d < 2; d++)
        for (int code = 0; code < 256; code++) {
            uint8_t byte = (uint8_t)code;
            float expected = (float)plain(dtypes[d], code), found = 0;
            float alone = d == 0 ? reel_float_from_f8_e4m3(byte) : reel_float_from_f8_e5m2(byte);
            CHECK(reel_floats_from(dtypes[d], &byte, 1, &found) == 1, "code %d", code);
            int same = isnan(expected)
                           ? isnan(found) && isnan(alone)
                           : memcmp(&expected, &found, 4) == 0 && memcmp(&expected, &alone, 4) == 0;
            CHECK(same, "%s %02x is %g, expected %g", reel_dtype_name(dtypes[d]), (unsigned)code,
                  (double)found, (double)expected);
        }
    CHECK(plain(REEL_F8_E4M3, 0x7e) == 448 && plain(REEL_F8_E5M2, 0x7b) == 57344 &&
              plain(REEL_F8_E4M3, 0x38) == 1,
          "the formula itself");
}

/* The code of the nearest value: positive codes grow with their values. */
static uint8_t encode(enum reel_dtype dtype, double value)
{
    static double worth[2][128]; /* entry 1 is 0 until the table is filled */
    double *of = worth[dtype == REEL_F8_E5M2], size = fabs(value);
    for (int code = 0; of[1] <= 0 && code < 128; code++)
        of[127 - code] = plain(dtype, 127 - code);
    int low = 0, high = dtype == REEL_F8_E4M3 ? 0x7e : 0x7b;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (of[middle] <= size)
            low = middle;
        else
            high = middle;
    }
    int nearest = size - of[low] < of[high] - size ? low : high;
    return (uint8_t)(nearest | (value < 0 ? 0x80 : 0));
}

static int is_quantised(int tensor)
{
    const struct reel_tensor_spec *spec = &native.network.tensors[tensor];
    return spec->in_block && spec->dims == 2;
}

/* The scale: a number whose float products are rounded. */
static float scale_of(const struct variant *variant, int tensor, int64_t layer, int64_t row)
{
    if (!variant->scale)
        return 1;
    int64_t step = variant->shape == SCALAR ? 0 : row % 5;
    return 0.0007f * (float)(1 + layer + step) + 0.00003f * (float)tensor;
}

struct writer {
    FILE *header, *data;
};

static void put(struct writer *w, const char *name, enum reel_dtype dtype, int dims, const int64_t *shape,
                const void *values)
{
    int64_t elements = 1, first = ftell(w->data);
    fprintf(w->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", ftell(w->header) > 1 ? "," : "", name,
            reel_dtype_name(dtype));
    for (int d = 0; d < dims; d++) {
        fprintf(w->header, "%s%lld", d > 0 ? "," : "", (long long)shape[d]);
        elements *= shape[d];
    }
    fwrite(values, (size_t)reel_dtype_bytes(dtype), (size_t)elements, w->data);
    fprintf(w->header, "],\"data_offsets\":[%lld,%ld]}", (long long)first, ftell(w->data));
}

/* Writes the scale of a layer and the additional tensors with the same stem. */
static void put_scale(struct writer *w, const struct variant *variant, const char *stem,
                      int tensor, int64_t layer, int64_t rows, int64_t columns)
{
    char name[300];
    float scales[512];
    uint16_t halves[512];
    const int64_t shapes[4][2] = {{1, 1}, {rows, 1}, {rows, 1}, {1, columns}};
    int dims = variant->shape == SCALAR ? (int)layer % 2 : variant->shape == ROWS ? 1 : 2;
    for (int64_t r = 0; r < 512; r++) {
        scales[r] = scale_of(variant, tensor, layer, r);
        if (variant->poison != 0 && layer == LAYER && tensor == REEL_FFN_IN_WEIGHT)
            scales[r] = variant->poison;
        halves[r] = reel_bf16_from_float(scales[r]);
    }
    snprintf(name, sizeof name, "%s%s", stem, variant->scale);
    int half = variant->stored == REEL_BF16 || variant->stored == REEL_I16;
    put(w, name, variant->stored ? variant->stored : REEL_F32, dims, shapes[variant->shape],
        half ? (void *)halves : (void *)scales);
    for (int e = 0; variant->extras && e < 3; e++) {
        static const char *const ends[] = {".scale_input", ".input_scale", ".comfy_quant"};
        snprintf(name, sizeof name, "%s%s", stem, ends[e]);
        put(w, name, e < 2 ? REEL_F32 : REEL_U8, 1, (const int64_t[]){1}, scales);
    }
}

static void put_fp8(struct writer *w, const struct variant *variant, const char *name,
                    int tensor, int64_t layer, const float *values)
{
    const int64_t *shape = native.network.tensors[tensor].shape;
    int64_t count = reel_tensor_elements(&native.network, tensor);
    char stem[200];
    uint8_t *codes = malloc((size_t)count);
    for (int64_t i = 0; i < count; i++)
        codes[i] = encode(variant->dtype,
                          (double)values[i] / (double)scale_of(variant, tensor, layer, i / shape[1]));
    if (variant->code && layer == LAYER && tensor == REEL_FFN_IN_WEIGHT)
        codes[0] = (uint8_t)variant->code;
    put(w, name, variant->dtype, 2, shape, codes);
    snprintf(stem, sizeof stem, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
    if (variant->scale && !(variant->unscaled && strcmp(variant->unscaled, stem) == 0))
        put_scale(w, variant, stem, tensor, layer, shape[0], shape[1]);
    free(codes);
}

static void put_tensor(struct writer *w, const struct variant *variant, int tensor,
                       int64_t layer)
{
    char own[REEL_TENSOR_NAME_BYTES], name[200];
    const struct reel_tensor_spec *spec = &native.network.tensors[tensor];
    int64_t count = reel_tensor_elements(&native.network, tensor);
    float *values = malloc((size_t)count * sizeof *values);
    CHECK(reel_model_read(&native, tensor, layer, 0, count, values) == REEL_OK, "%s",
          reel_error_here()->cause);
    reel_tensor_name(&native.network, variant->naming, tensor, layer, own);
    snprintf(name, sizeof name, "%s%s", variant->prefix ? variant->prefix : "", own);
    if (is_quantised(tensor))
        put_fp8(w, variant, name, tensor, layer, values);
    else
        put(w, name, REEL_F32, spec->dims, spec->shape, values);
    free(values);
}

/* Writes the variant, with the config of the reference beside it; returns its path. */
static const char *write_model(const struct variant *variant)
{
    static char path[300];
    char *texts[2], name[200];
    size_t bytes[2];
    struct writer w = {open_memstream(&texts[0], &bytes[0]), open_memstream(&texts[1], &bytes[1])};
    fputc('{', w.header);
    if (variant->metadata)
        fprintf(w.header, "\"__metadata__\":{\"%s\":\"{}\"}", variant->metadata);
    for (int t = 0; t < native.network.tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(&native.network, t); layer++)
            put_tensor(&w, variant, t, layer);
    snprintf(name, sizeof name, "%sscaled_fp8", variant->prefix ? variant->prefix : "");
    if (variant->marker > 0)
        put(&w, name, variant->dtype, 1, (const int64_t[]){variant->marker - 1}, "\0\0\0");
    if (variant->extra)
        put(&w, variant->extra, REEL_F32, 1, (const int64_t[]){1}, "\0\0\0");
    fputc('}', w.header);
    fclose(w.header);
    fclose(w.data);
    snprintf(path, sizeof path, "%s/fp8.safetensors", test_folder());
    FILE *file = fopen(path, "wb");
    uint64_t length = bytes[0];
    CHECK(fwrite(&length, 8, 1, file) == 1 && fwrite(texts[0], bytes[0], 1, file) == 1 &&
              fwrite(texts[1], bytes[1], 1, file) == 1 && fclose(file) == 0,
          "%s is not written", path);
    free(texts[0]);
    free(texts[1]);
    return path;
}

/* Reads a tensor in parts that end within rows; counts the values that are not exactly scale * value of the
 * code. */
static int64_t wrong_in(const struct reel_model_files *files, const struct variant *variant,
                        int tensor, int64_t layer)
{
    enum { PIECE = 1001 };
    const struct reel_tensor_spec *spec = &native.network.tensors[tensor];
    int64_t count = reel_tensor_elements(&native.network, tensor), wrong = 0;
    float *expected = malloc((size_t)count * sizeof *expected),
          *found = malloc((size_t)count * sizeof *found);
    CHECK(reel_model_read(&native, tensor, layer, 0, count, expected) == REEL_OK, "%s",
          reel_error_here()->cause);
    double changed = 0;
    for (int64_t i = 0; i < count && is_quantised(tensor); i++) {
        float scale = scale_of(variant, tensor, layer, i / spec->shape[spec->dims - 1]);
        uint8_t code = encode(variant->dtype, (double)expected[i] / (double)scale);
        if (variant->stored == REEL_BF16)
            scale = reel_float_from_bf16(reel_bf16_from_float(scale));
        float value = (float)plain(variant->dtype, code) * scale;
        changed += fabs((double)(value - expected[i]));
        expected[i] = value;
    }
    CHECK((changed > 0) == is_quantised(tensor), "tensor %d has changed by %g", tensor, changed);
    for (int64_t first = 0; first < count; first += PIECE)
        CHECK(reel_model_read(files, tensor, layer, first, count - first < PIECE ? count - first : PIECE,
                              found + first) == REEL_OK,
              "%s", reel_error_here()->cause);
    for (int64_t i = 0; i < count; i++)
        wrong += memcmp(&found[i], &expected[i], sizeof *found) != 0;
    free(expected);
    free(found);
    return wrong;
}

static void every_kind_of_fp8_file_gives_scale_times_value(void)
{
    static const struct variant variants[] = {
        {.dtype = REEL_F8_E4M3},
        {.dtype = REEL_F8_E5M2, .prefix = "model.diffusion_model."},
        {.dtype = REEL_F8_E4M3, .scale = ".scale_weight", .marker = 1 + 0},
        {.dtype = REEL_F8_E5M2, .scale = ".scale_weight", .marker = 1 + 1, .extras = 1, .prefix = "model."},
        {.dtype = REEL_F8_E4M3, .scale = ".scale_weight", .marker = 1 + 2, .shape = ROWS_BY_ONE},
        {.dtype = REEL_F8_E4M3, .scale = ".weight_scale", .shape = ROWS, .extras = 1, .stored = REEL_BF16},
        {.dtype = REEL_F8_E5M2,
         .scale = ".weight_scale",
         .shape = ROWS,
         .metadata = "_quantization_metadata",
         .prefix = "model.diffusion_model."},
        {.dtype = REEL_F8_E4M3, .scale = ".weight_scale", .naming = REEL_NAMING_DIFFUSERS, .marker = 1},
    };
    for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++) {
        struct reel_model_files files;
        int64_t wrong = 0;
        enum reel_status status = reel_model_open(write_model(&variants[v]), &files);
        CHECK(status == REEL_OK, "variant %zu: %s", v, reel_error_here()->cause);
        reel_error_clear();
        for (int t = 0; t < native.network.tensor_count && status == REEL_OK; t++)
            for (int64_t layer = 0; layer < reel_tensor_copies(&native.network, t); layer += 2)
                wrong += wrong_in(&files, &variants[v], t, layer);
        CHECK(wrong == 0, "variant %zu: %lld numbers differ", v, (long long)wrong);
        reel_model_close(&files);
    }
}

static void what_is_wrong_with_an_fp8_file_is_named(void)
{
#define SCALED .dtype = REEL_F8_E4M3, .scale = ".scale_weight"
    static const struct {
        struct variant variant;
        const char *words;
    } cases[] = {
        {{SCALED, .unscaled = "blocks.1.ffn.0"},
         "blocks.1.ffn.0.weight has dtype F8_E4M3 and no scale, but this model's fp8 weights are scaled: "
         "expected "
         "blocks.1.ffn.0.scale_weight"},
        {{.dtype = REEL_F8_E5M2, .marker = 1}, "has dtype F8_E5M2 and no scale"},
        {{.dtype = REEL_F8_E5M2, .metadata = "_quantization_metadata"}, "has dtype F8_E5M2 and no scale"},
        {{SCALED, .marker = 1 + 3}, "1 are not expected: scaled_fp8"},
        {{SCALED, .extra = "blocks.9.ffn.0.scale_weight"}, "1 are not expected: blocks.9.ffn.0.scale_weight"},
        {{SCALED, .extra = "blocks.1.scale_input"}, "1 are not expected: blocks.1.scale_input"},
        {{SCALED, .extra = "blocks.1.ffn.0.weight_scale"}, "blocks.1.ffn.0.weight has two scales"},
        {{SCALED, .extra = "blocks.1.norm3.scale_weight"},
         "blocks.1.norm3.scale_weight scales blocks.1.norm3.weight, which has dtype F32"},
        {{SCALED, .extra = "blocks.1.ffn.0.weight_scale_2"},
         "blocks.1.ffn.0.weight_scale_2 belongs to NVFP4"},
        {{SCALED, .shape = COLUMNS}, "has shape [1, 128], expected one number, or [128] or [128, 1]"},
        {{SCALED, .stored = REEL_I16}, "has dtype I16, expected F32"},
        {{SCALED, .poison = INFINITY}, "blocks.1.ffn.0.scale_weight holds inf at index 0"},
        {{SCALED, .code = 0x7f}, "blocks.1.ffn.0.weight holds nan at index 0"},
        {{.dtype = REEL_F8_E5M2, .code = 0xfc}, "blocks.1.ffn.0.weight holds -inf at index 0"},
    };
#undef SCALED
    float value;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct reel_model_files files;
        enum reel_status status = reel_model_open(write_model(&cases[c].variant), &files);
        if (status == REEL_OK)
            status = reel_model_read(&files, REEL_FFN_IN_WEIGHT, LAYER, 0, 1, &value);
        CHECK(status == REEL_BAD_INPUT && strstr(reel_error_here()->cause, cases[c].words), "%s: %s",
              cases[c].words, reel_error_here()->cause);
        reel_error_clear();
        reel_model_close(&files);
    }
}

static void inputs_of_a_job_are_not_read_from_fp8(void)
{
    const char *path = write_model(&(struct variant){.dtype = REEL_F8_E4M3});
    const int64_t shape[2] = {-1, -1};
    CHECK(reel_input_check(path, "blocks.1.ffn.0.weight", 2, shape) == REEL_BAD_INPUT &&
              strstr(reel_error_here()->cause, "has dtype F8_E4M3, expected F32, BF16, F16 or F64"),
          "%s", reel_error_here()->cause);
    reel_error_clear();
}

int main(void)
{
    char path[512], link[300];
    snprintf(path, sizeof path, "%s/tiny-df/native/config.json", test_reference());
    snprintf(link, sizeof link, "%s/fp8.config.json", test_folder());
    CHECK(symlink(path, link) == 0, "no link to %s", path);
    snprintf(path, sizeof path, "%s/tiny-df/native", test_reference());
    CHECK(reel_model_open(path, &native) == REEL_OK, "%s", reel_error_here()->cause);
    RUN(every_code_has_its_value);
    RUN(every_kind_of_fp8_file_gives_scale_times_value);
    RUN(what_is_wrong_with_an_fp8_file_is_named);
    RUN(inputs_of_a_job_are_not_read_from_fp8);
    reel_model_close(&native);
    return test_end();
}
