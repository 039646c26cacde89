/* A reader of the reference cases. */
#include "reference_file.h"

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of a tensor's bytes, aligned for every dtype; in the files they are unaligned. */
struct copy {
    struct copy *next;
    max_align_t bytes[];
};

struct reference_file {
    json_t *header;
    struct copy *copies;
    char *data; /* the bytes after the header */
    int64_t data_bytes;
};

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* Reads the next bytes of the open file at path. */
static char *take(FILE *stream, int64_t bytes, const char *path)
{
    char *taken = malloc((size_t)bytes + 1);
    if (!taken || fread(taken, 1, (size_t)bytes, stream) != (size_t)bytes)
        give_up("%s: cannot read %lld bytes", path, (long long)bytes);
    return taken;
}

struct reference_file *reference_open(const char *path)
{
    struct reference_file *file = calloc(1, sizeof *file);
    FILE *stream = fopen(path, "rb");
    uint64_t header_bytes;
    if (!file || !stream || fread(&header_bytes, sizeof header_bytes, 1, stream) != 1 ||
        header_bytes > 1 << 26)
        give_up("%s: cannot be opened as safetensors", path);
    char *header = take(stream, (int64_t)header_bytes, path);
    file->header = json_loadb(header, (size_t)header_bytes, 0, NULL);
    free(header);
    long start = ftell(stream);
    if (!file->header || fseek(stream, 0, SEEK_END) != 0)
        give_up("%s: its header is not JSON", path);
    file->data_bytes = ftell(stream) - start;
    fseek(stream, start, SEEK_SET);
    file->data = take(stream, file->data_bytes, path);
    fclose(stream);
    return file;
}

struct reference_file *reference_open_named(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", REEL_TEST_REFERENCE, name);
    return reference_open(path);
}

void reference_close(struct reference_file *file)
{
    while (file->copies) {
        struct copy *copy = file->copies;
        file->copies = copy->next;
        free(copy);
    }
    json_decref(file->header);
    free(file->data);
    free(file);
}

int64_t reference_tensors(const struct reference_file *file)
{
    return (int64_t)json_object_size(file->header) - (json_object_get(file->header, "__metadata__") ? 1 : 0);
}

static const void *copy_of(struct reference_file *file, int64_t first, int64_t bytes)
{
    struct copy *copy = malloc(sizeof *copy + (size_t)bytes);
    if (!copy)
        give_up("no memory for %lld bytes", (long long)bytes);
    copy->next = file->copies;
    file->copies = copy;
    return memcpy(copy->bytes, file->data + first, (size_t)bytes);
}

int reference_tensor(struct reference_file *file, const char *name, struct reference_tensor *tensor)
{
    json_t *entry = json_object_get(file->header, name), *shape, *size;
    const char *dtype;
    json_int_t first, end;
    size_t i;
    if (!entry)
        return 0;
    if (json_unpack(entry, "{s:s, s:o, s:[I, I]}", "dtype", &dtype, "shape", &shape, "data_offsets", &first,
                    &end) != 0)
        give_up("%s: not a tensor", name);
    *tensor = (struct reference_tensor){
        .dtype = reel_dtype_named(dtype), .rank = (int64_t)json_array_size(shape), .count = 1};
    if (tensor->dtype == REEL_DTYPES || tensor->rank > REFERENCE_RANK_MAX)
        give_up("%s: dtype %s of rank %lld", name, dtype, (long long)tensor->rank);
    json_array_foreach(shape, i, size)
    {
        tensor->shape[i] = json_integer_value(size);
        tensor->count *= tensor->shape[i];
    }
    int64_t bytes = tensor->count * reel_dtype_bytes(tensor->dtype);
    if (end > file->data_bytes || first < 0 || end - first != bytes)
        give_up("%s: bytes %lld to %lld", name, (long long)first, (long long)end);
    tensor->bytes = copy_of(file, first, bytes);
    return 1;
}

const void *reference_data(struct reference_file *file, const char *name, enum reel_dtype dtype)
{
    struct reference_tensor tensor;
    if (!reference_tensor(file, name, &tensor) || tensor.dtype != dtype)
        give_up("%s: absent, or not %s", name, reel_dtype_name(dtype));
    return tensor.bytes;
}

const char *reference_text(const struct reference_file *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

double reference_number(const struct reference_file *file, const char *key, double neutral)
{
    const char *text = reference_text(file, key);
    if (!text)
        return neutral;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return text[0] == 't';
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0')
        give_up("%s: %s is not a number", key, text);
    return number;
}
