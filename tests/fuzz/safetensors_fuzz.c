/* Takes any bytes as a safetensors file: opens, walks and reads it in every way that reel does. */
#include "fuzz.h"
#include "model_file.h"
#include "model_index.h"
#include "safetensors.h"
#include "tensor_input.h"
#include "wan.h"

#include <stdlib.h>
#include <string.h>

/* Limits: elements read of one tensor, tensors read as a job's input, rows and columns of a prompt. */
enum { ELEMENTS_MAX = 4096, INPUTS_MAX = 4, ROWS_MAX = 64, COLUMNS_MAX = 1024 };

static int is_floating(enum reel_dtype dtype)
{
    return dtype == REEL_F64 || dtype == REEL_F32 || dtype == REEL_F16 || dtype == REEL_BF16;
}

static int is_integer(enum reel_dtype dtype)
{
    return dtype == REEL_I64 || dtype == REEL_I32 || dtype == REEL_U8 || dtype == REEL_BOOL;
}

/* Reads count elements, beginning with element first, into memory of exactly that size, as floats and as
 * integers. */
static void read_range(const struct reel_safetensors *file, const struct reel_safetensors_entry *entry,
                       int64_t first, int64_t count, const uint8_t *bytes)
{
    float *floats = malloc((size_t)count * sizeof *floats);
    int64_t *integers = malloc((size_t)count * sizeof *integers);
    const uint8_t *there = bytes + entry->offset + first * reel_dtype_bytes(entry->dtype);
    FUZZ_NEED(floats && integers);
    fuzz_begin();
    enum reel_status status = reel_safetensors_read_floats(file, entry, first, count, floats);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED((status == REEL_OK) == is_floating(entry->dtype));
    if (entry->dtype == REEL_F32 && count > 0)
        FUZZ_NEED(memcmp(floats, there, (size_t)count * sizeof *floats) == 0);
    fuzz_begin();
    status = reel_safetensors_read_integers(file, entry, first, count, integers);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED((status == REEL_OK) == is_integer(entry->dtype));
    if (entry->dtype == REEL_I64 && count > 0)
        FUZZ_NEED(memcmp(integers, there, (size_t)count * sizeof *integers) == 0);
    if (entry->dtype == REEL_U8 && count > 0)
        FUZZ_NEED(integers[0] == there[0] && integers[count - 1] == there[count - 1]);
    free(floats);
    free(integers);
}

static void read_entry(const struct reel_safetensors *file, const struct reel_safetensors_entry *entry,
                       const uint8_t *bytes, size_t file_bytes)
{
    int64_t some = entry->elements < ELEMENTS_MAX ? entry->elements : ELEMENTS_MAX, elements = 1;
    char text[REEL_SHAPE_TEXT_BYTES];
    for (int d = 0; d < entry->dims; d++)
        elements *= entry->shape[d];
    FUZZ_NEED(entry->dims >= 0 && entry->dims <= REEL_SAFETENSORS_DIMS && elements == entry->elements);
    FUZZ_NEED(entry->bytes == elements * reel_dtype_bytes(entry->dtype));
    FUZZ_NEED(entry->offset >= 8 && entry->bytes <= (int64_t)file_bytes - entry->offset);
    FUZZ_NEED(reel_safetensors_find(file, entry->name) == entry);
    reel_shape_text(entry->dims, entry->shape, text);
    FUZZ_NEED(text[0] == '[' && strlen(text) < sizeof text);
    read_range(file, entry, 0, some, bytes);
    read_range(file, entry, entry->elements - some / 2, some / 2, bytes);
    fuzz_begin();
    enum reel_status status =
        reel_safetensors_read_floats(file, entry, entry->elements, 1, &(float){0}); /* beyond the end */
    fuzz_end(status, REEL_INTERNAL);
    FUZZ_NEED(status != REEL_OK);
}

/* Reads a tensor as a job's input: with its own shape, with any shape, and with a wrong one. */
static void read_input(const char *path, const struct reel_safetensors_entry *entry)
{
    int64_t shape[REEL_SAFETENSORS_DIMS + 1] = {0}, found[REEL_SAFETENSORS_DIMS] = {0};
    float *values;
    int has = 0;
    memcpy(shape, entry->shape, sizeof entry->shape);
    for (int d = 0; d < entry->dims; d += 2)
        shape[d] = -1;
    fuzz_begin();
    enum reel_status status = reel_input_has(path, entry->name, &has);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED(status == REEL_OK && has == 1);
    fuzz_begin();
    enum reel_status checked = reel_input_check(path, entry->name, entry->dims, shape);
    fuzz_end(checked, REEL_BAD_INPUT);
    FUZZ_NEED((checked == REEL_OK) == is_floating(entry->dtype));
    fuzz_begin();
    status = reel_input_floats(path, entry->name, entry->dims, shape, found, &values);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED((status == REEL_OK) == (values != NULL) && (status != REEL_OK || checked == REEL_OK));
    for (int d = 0; status == REEL_OK && d < entry->dims; d++)
        FUZZ_NEED(found[d] == entry->shape[d]);
    if (status == REEL_OK)
        FUZZ_NEED(reel_first_not_finite(values, entry->elements) == entry->elements);
    free(values);
    fuzz_begin();
    status = reel_input_check(path, entry->name, entry->dims + 1, shape);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED(status != REEL_OK);
    if (entry->dims != 2 || entry->shape[1] > COLUMNS_MAX)
        return;
    fuzz_begin();
    status = reel_input_prompt(path, entry->name, ROWS_MAX, entry->shape[1], &values);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED((status == REEL_OK) == (values != NULL) && (status != REEL_OK || entry->shape[0] <= ROWS_MAX));
    free(values);
}

/* Reads the file as the weights of the smallest possible model. */
static void read_as_model(const char *path, struct reel_safetensors *file)
{
    static const struct reel_model smallest = {.width = 2,
                                               .ffn = 1,
                                               .heads = 1,
                                               .layers = 1,
                                               .in_channels = 1,
                                               .out_channels = 1,
                                               .patch = 2,
                                               .stride = 8,
                                               .text_rows = 1,
                                               .text_width = 1,
                                               .frequencies = 2,
                                               .rope_positions = 1024,
                                               .epsilon = 1e-6};
    struct reel_network network;
    struct reel_model_index index;
    struct reel_model inferred;
    reel_wan_network(&smallest, &network);
    fuzz_begin();
    enum reel_status status = reel_model_index_open(&file, 1, &network, &index);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED(status == REEL_OK);
    reel_model_index_infer(&index, &inferred);
    fuzz_begin();
    status = reel_model_index_check(&index, path, &network);
    fuzz_end(status, REEL_BAD_INPUT);
    for (int t = 0; status == REEL_OK && t < network.tensor_count; t++) {
        struct reel_model_slot *slot = reel_model_index_find(&index, &network, t, 0);
        FUZZ_NEED(!slot == !reel_tensor_exists(&network, t));
    }
    reel_model_index_close(&index);
    struct reel_model_files files;
    fuzz_begin();
    status = reel_model_open(path, &files);
    fuzz_end(status, REEL_BAD_INPUT);
    if (status == REEL_OK)
        reel_model_close(&files);
}

static void walk(const char *path, struct reel_safetensors *file, const uint8_t *bytes, size_t count)
{
    int64_t tensors = reel_safetensors_count(file);
    float *values;
    for (int64_t i = 0; i < tensors; i++) {
        const struct reel_safetensors_entry *entry = reel_safetensors_at(file, i);
        FUZZ_NEED(i == 0 || strcmp(reel_safetensors_at(file, i - 1)->name, entry->name) < 0);
        read_entry(file, entry, bytes, count);
        if (i < INPUTS_MAX)
            read_input(path, entry);
    }
    const char *format = reel_safetensors_metadata(file, "format");
    FUZZ_NEED(!format || strlen(format) <= count);
    if (!reel_safetensors_find(file, "noise.0")) {
        fuzz_begin();
        enum reel_status status = reel_input_floats(path, "noise.0", 1, &(int64_t){-1}, NULL, &values);
        fuzz_end(status, REEL_BAD_INPUT);
        FUZZ_NEED(status != REEL_OK && !values);
    }
    read_as_model(path, file);
}

void fuzz_safetensors(const uint8_t *bytes, size_t count)
{
    const char *path = fuzz_file(bytes, count);
    struct reel_safetensors *file;
    fuzz_begin();
    enum reel_status status = reel_safetensors_open(path, &file);
    fuzz_end(status, REEL_BAD_INPUT);
    FUZZ_NEED((status == REEL_OK) == (file != NULL));
    if (status == REEL_OK)
        walk(path, file, bytes, count);
    else
        FUZZ_NEED(strncmp(reel_error_here()->cause, path, strlen(path)) == 0);
    reel_safetensors_close(file);
}
