/* Safetensors files: checks the header, which is not trusted, and reads ranges of tensors. */
#include "safetensors.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_BYTES INT64_C(8)
#define HEADER_MIN INT64_C(8)
#define HEADER_MAX INT64_C(100000000)
/* The first bytes of a file, by which other formats are recognised. */
#define START_BYTES INT64_C(16)
#define STAGING_BYTES (INT64_C(4) << 20)
/* Linux reads less than 2 GiB in one call. */
#define READ_MAX (INT64_C(1) << 30)

struct reel_safetensors {
    char *path;
    int descriptor;
    json_t *header; /* owns the names and the metadata */
    struct reel_safetensors_entry *entries;
    int64_t count;
};

void reel_shape_text(int dims, const int64_t *shape, char text[REEL_SHAPE_TEXT_BYTES])
{
    size_t used = 1;
    strcpy(text, "[");
    for (int d = 0; d < dims && used < REEL_SHAPE_TEXT_BYTES; d++) {
        const char *comma = d > 0 ? ", " : "";
        int written =
            shape[d] < 0 ? snprintf(text + used, REEL_SHAPE_TEXT_BYTES - used, "%sany", comma)
                         : snprintf(text + used, REEL_SHAPE_TEXT_BYTES - used, "%s%" PRId64, comma, shape[d]);
        used += (size_t)written;
    }
    if (used < REEL_SHAPE_TEXT_BYTES - 1)
        strcpy(text + used, "]");
}

static enum reel_status read_at(const struct reel_safetensors *file, int64_t offset, int64_t bytes, void *to)
{
    int64_t done = 0;
    while (done < bytes) {
        int64_t piece = bytes - done < READ_MAX ? bytes - done : READ_MAX;
        ssize_t got = pread(file->descriptor, (char *)to + done, (size_t)piece, offset + done);
        if (got < 0 && errno == EINTR)
            continue;
        REEL_NEED(got >= 0, REEL_BAD_INPUT, "%s: reading byte %" PRId64 " failed: %s", file->path,
                  offset + done, strerror(errno));
        REEL_NEED(got > 0, REEL_BAD_INPUT,
                  "%s: the file ends at byte %" PRId64 ", expected %" PRId64 " bytes (did it shrink?)",
                  file->path, offset + done, offset + bytes);
        done += got;
    }
    return REEL_OK;
}

/* What a file that is not safetensors looks like by its first bytes; NULL when unknown. */
static const char *looks_like(const unsigned char *start, int64_t bytes)
{
    static const struct {
        const char *start;
        int64_t bytes;
        const char *kind;
    } kinds[] = {
        {"\x89HDF\r\n\x1a\n", 8, "an HDF5 file"},
        {"\x89PNG\r\n\x1a\n", 8, "a PNG image"},
        {"PK\x03\x04", 4, "a zip archive (a .pth or .pt file of PyTorch is one)"},
        {"\x80\x02", 2, "a Python pickle (an old .pth or .pt file of PyTorch)"},
        {"\x80\x03", 2, "a Python pickle"},
        {"\x80\x04", 2, "a Python pickle"},
        {"\x80\x05", 2, "a Python pickle"},
        {"GGUF", 4, "a GGUF file"},
        {"\x1f\x8b", 2, "a gzip archive"},
        {"\x93NUMPY", 6, "a NumPy array"},
        {"\x7f"
         "ELF",
         4, "a program"},
        {"version https://", 16, "a Git LFS pointer instead of the file it stands for"},
        {"<", 1, "a web page"},
        {"{", 1, "a JSON file"},
        {"#!", 2, "a script"},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        if (bytes >= kinds[k].bytes && memcmp(start, kinds[k].start, (size_t)kinds[k].bytes) == 0)
            return kinds[k].kind;
    int64_t printed = 0;
    while (printed < bytes && start[printed] < 0x80 && (isprint(start[printed]) || isspace(start[printed])))
        printed++;
    return printed == START_BYTES ? "a text file" : NULL;
}

/* Reads the length of the header. Where the file has none, the error says which format it looks like. */
static enum reel_status header_length(const struct reel_safetensors *file, int64_t file_bytes,
                                      int64_t *header_bytes)
{
    unsigned char start[START_BYTES];
    int64_t bytes = file_bytes < (int64_t)sizeof start ? file_bytes : (int64_t)sizeof start;
    REEL_NEED(file_bytes > 0, REEL_BAD_INPUT, "%s: the file is empty, expected safetensors", file->path);
    REEL_PASS(read_at(file, 0, bytes, start));
    uint64_t length = 0;
    for (int b = 7; b >= 0 && bytes >= LENGTH_BYTES; b--)
        length = length << 8 | start[b];
    int plausible = length >= (uint64_t)HEADER_MIN && length <= (uint64_t)HEADER_MAX;
    if (!plausible || (bytes > LENGTH_BYTES && start[LENGTH_BYTES] != '{')) {
        const char *kind = looks_like(start, bytes);
        REEL_NEED(!kind, REEL_BAD_INPUT, "%s: expected safetensors, but the file looks like %s", file->path,
                  kind);
        REEL_NEED(bytes >= LENGTH_BYTES, REEL_BAD_INPUT,
                  "%s: the file has %" PRId64 " bytes, expected safetensors (at least 16)", file->path,
                  bytes);
        REEL_NEED(plausible, REEL_BAD_INPUT,
                  "%s: expected safetensors, but the header's length is %" PRIu64 " bytes (%" PRId64
                  " to %" PRId64 " are possible)",
                  file->path, length, HEADER_MIN, HEADER_MAX);
        return reel_fail(REEL_BAD_INPUT, "%s: expected safetensors, but the header does not start with {",
                         file->path);
    }
    *header_bytes = (int64_t)length;
    REEL_NEED(*header_bytes <= file_bytes - LENGTH_BYTES, REEL_BAD_INPUT,
              "%s: the file is cut short: its header has %" PRId64 " bytes, the whole file %" PRId64,
              file->path, *header_bytes, file_bytes);
    return REEL_OK;
}

static enum reel_status parse_json(struct reel_safetensors *file, int64_t header_bytes)
{
    char *text = malloc((size_t)header_bytes);
    REEL_NEED(text, REEL_NO_MEMORY, "%s: no memory for a header of %" PRId64 " bytes", file->path,
              header_bytes);
    enum reel_status status = read_at(file, LENGTH_BYTES, header_bytes, text);
    json_error_t problem;
    if (status == REEL_OK) {
        file->header = json_loadb(text, (size_t)header_bytes, JSON_REJECT_DUPLICATES, &problem);
        if (!file->header)
            status = reel_fail(REEL_BAD_INPUT, "%s: the header is not valid JSON: %s (byte %d)", file->path,
                               problem.text, problem.position);
        else if (!json_is_object(file->header))
            status = reel_fail(REEL_BAD_INPUT, "%s: the header is not a JSON object", file->path);
    }
    free(text);
    return status;
}

static enum reel_status check_metadata(const struct reel_safetensors *file, json_t *metadata)
{
    const char *key;
    json_t *value;
    REEL_NEED(json_is_object(metadata), REEL_BAD_INPUT, "%s: __metadata__ is not a JSON object", file->path);
    json_object_foreach(metadata, key, value) REEL_NEED(
        json_is_string(value), REEL_BAD_INPUT, "%s: __metadata__ %s is not a string", file->path, key);
    return REEL_OK;
}

/* The shape, and the number of elements that it has. */
static enum reel_status parse_shape(const char *path, json_t *shape, struct reel_safetensors_entry *entry)
{
    REEL_NEED(json_is_array(shape), REEL_BAD_INPUT, "%s: tensor %s: shape is missing or not a list", path,
              entry->name);
    REEL_NEED(json_array_size(shape) <= REEL_SAFETENSORS_DIMS, REEL_BAD_INPUT,
              "%s: tensor %s has %zu dimensions, expected at most %d", path, entry->name,
              json_array_size(shape), REEL_SAFETENSORS_DIMS);
    entry->dims = (int)json_array_size(shape);
    entry->elements = 1;
    for (int d = 0; d < entry->dims; d++) {
        json_t *extent = json_array_get(shape, (size_t)d);
        REEL_NEED(json_is_integer(extent) && json_integer_value(extent) >= 0, REEL_BAD_INPUT,
                  "%s: tensor %s: dimension %d of its shape is not an integer >= 0", path, entry->name, d);
        entry->shape[d] = json_integer_value(extent);
        REEL_NEED(!__builtin_mul_overflow(entry->elements, entry->shape[d], &entry->elements), REEL_BAD_INPUT,
                  "%s: tensor %s: the product of its shape does not fit in 63 bits", path, entry->name);
    }
    return REEL_OK;
}

static enum reel_status parse_place(const char *path, json_t *offsets, int64_t data_start, int64_t data_bytes,
                                    struct reel_safetensors_entry *entry)
{
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    REEL_NEED(json_array_size(offsets) == 2 && json_is_integer(begin) && json_is_integer(end), REEL_BAD_INPUT,
              "%s: tensor %s: data_offsets is missing or not a pair of integers", path, entry->name);
    int64_t first = json_integer_value(begin), last = json_integer_value(end), needed;
    REEL_NEED(first >= 0 && first <= last, REEL_BAD_INPUT,
              "%s: tensor %s: data_offsets [%" PRId64 ", %" PRId64 "] is not a range", path, entry->name,
              first, last);
    REEL_NEED(last <= data_bytes, REEL_BAD_INPUT,
              "%s: tensor %s ends at byte %" PRId64 " of the data, but the file has only %" PRId64
              " bytes of data: it is cut short, or its header is wrong",
              path, entry->name, last, data_bytes);
    REEL_NEED(!__builtin_mul_overflow(entry->elements, reel_dtype_bytes(entry->dtype), &needed) &&
                  needed == last - first,
              REEL_BAD_INPUT,
              "%s: tensor %s: %" PRId64 " elements of %s do not fill its %" PRId64 " bytes exactly", path,
              entry->name, entry->elements, reel_dtype_name(entry->dtype), last - first);
    entry->offset = data_start + first;
    entry->bytes = last - first;
    return REEL_OK;
}

static enum reel_status parse_entry(const struct reel_safetensors *file, json_t *value, int64_t data_start,
                                    int64_t data_bytes, struct reel_safetensors_entry *entry)
{
    for (const char *c = entry->name; *c; c++)
        REEL_NEED((unsigned char)*c >= ' ' && *c != 0x7f, REEL_BAD_INPUT,
                  "%s: the name of tensor %s holds a control character", file->path, entry->name);
    REEL_NEED(json_is_object(value), REEL_BAD_INPUT, "%s: tensor %s is not described by a JSON object",
              file->path, entry->name);
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    REEL_NEED(dtype, REEL_BAD_INPUT, "%s: tensor %s: dtype is missing or not a string", file->path,
              entry->name);
    entry->dtype = reel_dtype_named(dtype);
    REEL_NEED(entry->dtype != REEL_DTYPES, REEL_BAD_INPUT,
              "%s: tensor %s has the unknown dtype %.40s (F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, "
              "I16, I8, U8 and BOOL are known)",
              file->path, entry->name, dtype);
    REEL_PASS(parse_shape(file->path, json_object_get(value, "shape"), entry));
    return parse_place(file->path, json_object_get(value, "data_offsets"), data_start, data_bytes, entry);
}

static int by_name(const void *a, const void *b)
{
    const struct reel_safetensors_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int by_place(const void *a, const void *b)
{
    const struct reel_safetensors_entry *left = a, *right = b;
    if (left->offset != right->offset)
        return left->offset < right->offset ? -1 : 1;
    return (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

/* Checks that the entries, ordered by offset, cover the data exactly: no overlap, no byte left out. */
static enum reel_status check_cover(const struct reel_safetensors *file, int64_t data_start,
                                    int64_t file_bytes)
{
    int64_t reached = data_start;
    for (int64_t i = 0; i < file->count; i++) {
        const struct reel_safetensors_entry *entry = &file->entries[i];
        REEL_NEED(entry->offset >= reached, REEL_BAD_INPUT, "%s: tensors %s and %s overlap", file->path,
                  file->entries[i - 1].name, entry->name);
        REEL_NEED(entry->offset == reached, REEL_BAD_INPUT,
                  "%s: %" PRId64 " bytes in front of tensor %s belong to no tensor", file->path,
                  entry->offset - reached, entry->name);
        reached = entry->offset + entry->bytes;
    }
    REEL_NEED(reached == file_bytes, REEL_BAD_INPUT,
              "%s: %" PRId64 " bytes at the end of the file belong to no tensor", file->path,
              file_bytes - reached);
    return REEL_OK;
}

static enum reel_status parse_header(struct reel_safetensors *file, int64_t file_bytes)
{
    int64_t header_bytes = 0;
    REEL_PASS(header_length(file, file_bytes, &header_bytes));
    REEL_PASS(parse_json(file, header_bytes));
    int64_t data_start = LENGTH_BYTES + header_bytes;
    file->entries = calloc(json_object_size(file->header) + 1, sizeof *file->entries);
    REEL_NEED(file->entries, REEL_NO_MEMORY, "%s: no memory for %zu tensors", file->path,
              json_object_size(file->header));
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            REEL_PASS(check_metadata(file, value));
            continue;
        }
        struct reel_safetensors_entry *entry = &file->entries[file->count++];
        entry->name = name;
        REEL_PASS(parse_entry(file, value, data_start, file_bytes - data_start, entry));
    }
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_place);
    REEL_PASS(check_cover(file, data_start, file_bytes));
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_name);
    return REEL_OK;
}

static enum reel_status open_checked(struct reel_safetensors *file, const char *path)
{
    struct stat facts;
    /* without O_NONBLOCK a named pipe would wait for its writer */
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    REEL_NEED(file->descriptor >= 0 && fstat(file->descriptor, &facts) == 0, REEL_BAD_INPUT, "%s: %s", path,
              strerror(errno));
    REEL_NEED(!S_ISDIR(facts.st_mode), REEL_BAD_INPUT, "%s: expected a safetensors file, not a directory",
              path);
    REEL_NEED(S_ISREG(facts.st_mode), REEL_BAD_INPUT,
              "%s: expected a safetensors file, not a pipe or a device", path);
    file->path = strdup(path);
    REEL_NEED(file->path, REEL_NO_MEMORY, "%s: no memory to open it", path);
    return parse_header(file, facts.st_size);
}

enum reel_status reel_safetensors_open(const char *path, struct reel_safetensors **file)
{
    *file = NULL;
    struct reel_safetensors *opened = calloc(1, sizeof *opened);
    REEL_NEED(opened, REEL_NO_MEMORY, "%s: no memory to open it", path);
    enum reel_status status = open_checked(opened, path);
    if (status == REEL_OK)
        *file = opened;
    else
        reel_safetensors_close(opened);
    return status;
}

void reel_safetensors_close(struct reel_safetensors *file)
{
    if (!file)
        return;
    if (file->descriptor >= 0)
        close(file->descriptor);
    json_decref(file->header);
    free(file->entries);
    free(file->path);
    free(file);
}

const char *reel_safetensors_path(const struct reel_safetensors *file)
{
    return file->path;
}

int64_t reel_safetensors_count(const struct reel_safetensors *file)
{
    return file->count;
}

const struct reel_safetensors_entry *reel_safetensors_at(const struct reel_safetensors *file,
                                                         int64_t position)
{
    return &file->entries[position];
}

const struct reel_safetensors_entry *reel_safetensors_find(const struct reel_safetensors *file,
                                                           const char *name)
{
    struct reel_safetensors_entry wanted = {.name = name};
    return bsearch(&wanted, file->entries, (size_t)file->count, sizeof wanted, by_name);
}

const char *reel_safetensors_metadata(const struct reel_safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

const char *reel_safetensors_metadata_key(const struct reel_safetensors *file, int64_t position)
{
    json_t *metadata = json_object_get(file->header, "__metadata__");
    void *at = json_object_iter(metadata);
    while (at && position-- > 0)
        at = json_object_iter_next(metadata, at);
    return at ? json_object_iter_key(at) : NULL;
}

/* Converts count elements at from into to, for the dtypes that its reader accepts. */
typedef void converter(enum reel_dtype dtype, const void *from, int64_t count, void *to);

static void to_floats(enum reel_dtype dtype, const void *from, int64_t count, void *to)
{
    reel_floats_from(dtype, from, count, to);
}

static void to_integers(enum reel_dtype dtype, const void *from, int64_t count, void *to)
{
    int64_t *out = to;
    for (int64_t i = 0; i < count; i++) {
        int32_t word;
        if (dtype == REEL_I64) {
            memcpy(&out[i], (const char *)from + 8 * i, 8);
        } else if (dtype == REEL_I32) {
            memcpy(&word, (const char *)from + 4 * i, 4);
            out[i] = word;
        } else {
            out[i] = ((const unsigned char *)from)[i];
        }
    }
}

/* Reads through a staging buffer of at most STAGING_BYTES; an element of out has out_bytes. */
static enum reel_status read_converted(const struct reel_safetensors *file,
                                       const struct reel_safetensors_entry *entry, int64_t first,
                                       int64_t count, converter *convert, void *out, int64_t out_bytes)
{
    int64_t width = reel_dtype_bytes(entry->dtype);
    int64_t piece = count < STAGING_BYTES / width ? count : STAGING_BYTES / width;
    void *staging = malloc((size_t)(piece * width));
    REEL_NEED(staging, REEL_NO_MEMORY, "%s: no memory to read tensor %s", file->path, entry->name);
    enum reel_status status = REEL_OK;
    for (int64_t done = 0; done < count && status == REEL_OK; done += piece) {
        int64_t now = count - done < piece ? count - done : piece;
        status = read_at(file, entry->offset + (first + done) * width, now * width, staging);
        if (status == REEL_OK)
            convert(entry->dtype, staging, now, (char *)out + done * out_bytes);
    }
    free(staging);
    return status;
}

/* A range that leaves the tensor is a defect of the caller. */
static enum reel_status check_range(const struct reel_safetensors *file,
                                    const struct reel_safetensors_entry *entry, int64_t first, int64_t count)
{
    REEL_NEED(first >= 0 && count >= 0 && first <= entry->elements && count <= entry->elements - first,
              REEL_INTERNAL,
              "%s: tensor %s has %" PRId64 " elements, but %" PRId64 " from element %" PRId64
              " on were requested",
              file->path, entry->name, entry->elements, count, first);
    return REEL_OK;
}

static int is_wide(enum reel_dtype dtype)
{
    return dtype == REEL_F32 || dtype == REEL_BF16 || dtype == REEL_F16 || dtype == REEL_F64;
}

/* The caller has checked the range, and that the dtype is floating. */
static enum reel_status read_floats(const struct reel_safetensors *file,
                                    const struct reel_safetensors_entry *entry, int64_t first, int64_t count,
                                    float *out)
{
    if (count == 0)
        return REEL_OK;
    if (entry->dtype == REEL_F32)
        return read_at(file, entry->offset + first * 4, count * 4, out);
    return read_converted(file, entry, first, count, to_floats, out, sizeof *out);
}

enum reel_status reel_safetensors_read_floats(const struct reel_safetensors *file,
                                              const struct reel_safetensors_entry *entry, int64_t first,
                                              int64_t count, float *out)
{
    REEL_PASS(check_range(file, entry, first, count));
    REEL_NEED(is_wide(entry->dtype), REEL_BAD_INPUT,
              "%s: tensor %s has dtype %s, expected F32, BF16, F16 or F64", file->path, entry->name,
              reel_dtype_name(entry->dtype));
    return read_floats(file, entry, first, count, out);
}

enum reel_status reel_safetensors_read_weights(const struct reel_safetensors *file,
                                               const struct reel_safetensors_entry *entry, int64_t first,
                                               int64_t count, float *out)
{
    enum reel_dtype dtype = entry->dtype;
    REEL_PASS(check_range(file, entry, first, count));
    REEL_NEED(is_wide(dtype) || reel_dtype_is_fp8(dtype), REEL_BAD_INPUT,
              "%s: tensor %s has dtype %s, expected F32, BF16, F16, F64, F8_E4M3 or F8_E5M2", file->path,
              entry->name, reel_dtype_name(dtype));
    return read_floats(file, entry, first, count, out);
}

enum reel_status reel_safetensors_read_integers(const struct reel_safetensors *file,
                                                const struct reel_safetensors_entry *entry, int64_t first,
                                                int64_t count, int64_t *out)
{
    enum reel_dtype dtype = entry->dtype;
    REEL_PASS(check_range(file, entry, first, count));
    REEL_NEED(dtype == REEL_I64 || dtype == REEL_I32 || dtype == REEL_U8 || dtype == REEL_BOOL,
              REEL_BAD_INPUT, "%s: tensor %s has dtype %s, expected I64, I32, U8 or BOOL", file->path,
              entry->name, reel_dtype_name(dtype));
    if (count == 0)
        return REEL_OK;
    return read_converted(file, entry, first, count, to_integers, out, sizeof *out);
}
