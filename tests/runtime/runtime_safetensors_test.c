/* Safetensors files: valid ones are read exactly, invalid ones are refused with one sentence. */
#include "safetensors.h"
#include "tensor_input.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 8192 };

/* Writes bytes to a file of the test folder; the path is valid until the next call. */
static const char *write_bytes(const void *bytes, size_t count)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/file.safetensors", test_folder());
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0)
        perror(path);
    return path;
}

/* Composes a file with this header and data_bytes bytes 1, 2, 3, ... of data. length_error is added to its
 * length field. */
static size_t compose(unsigned char bytes[FILE_BYTES], const char *header, size_t data_bytes,
                      uint64_t length_error)
{
    uint64_t length = strlen(header) + length_error;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, strlen(header));
    size_t start = 8 + strlen(header);
    for (size_t b = 0; b < data_bytes; b++)
        bytes[start + b] = (unsigned char)(b + 1);
    return start + data_bytes;
}

/* Composes a file with one tensor "a" of this description. */
static size_t compose_tensor(unsigned char bytes[FILE_BYTES], const char *description, size_t data_bytes)
{
    char header[1024];
    snprintf(header, sizeof header, "{\"a\":%s}        ", description);
    return compose(bytes, header, data_bytes, 0);
}

/* Checks that opening path fails with status 4 and a cause in one line that names the file and contains
 * words. */
static void check_refused(const char *path, const char *words)
{
    struct reel_safetensors *file;
    reel_error_clear();
    enum reel_status status = reel_safetensors_open(path, &file);
    const struct reel_error *error = reel_error_here();
    CHECK(status == REEL_BAD_INPUT && error->status == REEL_BAD_INPUT, "%s: status %d", words, status);
    CHECK(file == NULL, "%s: a file came out", words);
    CHECK(strstr(error->cause, words), "%s: cause is %s", words, error->cause);
    CHECK(strncmp(error->cause, path, strlen(path)) == 0, "%s: does not name %s", error->cause, path);
    CHECK(!strchr(error->cause, '\n'), "%s: more than one line", words);
    reel_error_clear();
}

static void check_header_refused(const char *header, size_t data_bytes, const char *words)
{
    unsigned char bytes[FILE_BYTES];
    check_refused(write_bytes(bytes, compose(bytes, header, data_bytes, 0)), words);
}

static void headers_that_lie_are_refused(void)
{
    static const struct {
        const char *description, *words;
    } cases[] = {
        {"{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}", "do not fill"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}", "do not fill"},
        {"{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}", "do not fill"},
        {"{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,8]}", "do not fill"},
        {"{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}", "cut short"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}", "cut short"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}", "not a range"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}", "not a range"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}", "belong to no tensor"},
        {"{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", "belong to no tensor"},
        {"{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}", "integer >= 0"},
        {"{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}", "integer >= 0"},
        {"{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}", "integer >= 0"},
        {"{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}", "63 bits"},
        {"{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296],\"data_offsets\":[0,8]}",
         "63 bits"},
        {"{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,8]}", "do not fill"},
        {"{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}", "not valid JSON"},
        {"{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}", "9 dimensions"},
        {"{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}", "shape is missing"},
        {"{\"dtype\":\"F32\",\"data_offsets\":[0,8]}", "shape is missing"},
        {"{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}", "unknown dtype F33"},
        {"{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}", "unknown dtype f32"},
        {"{\"dtype\":\"\",\"shape\":[2],\"data_offsets\":[0,8]}", "unknown dtype"},
        {"{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}", "dtype is missing"},
        {"{\"shape\":[2],\"data_offsets\":[0,8]}", "dtype is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2]}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[\"0\",8]}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0.0,8.0]}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"0\":8}}", "data_offsets is missing"},
        {"{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}", "duplicate"},
        {"[]", "not described"},
        {"null", "not described"},
        {"8", "not described"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        unsigned char bytes[FILE_BYTES];
        check_refused(write_bytes(bytes, compose_tensor(bytes, cases[c].description, 8)), cases[c].words);
    }
}

static void headers_that_are_not_headers_are_refused(void)
{
    check_header_refused("{\"a\":[1,2,3}  ", 0, "not valid JSON");
    check_header_refused("{\"a\"          ", 0, "not valid JSON");
    check_header_refused("{} {}          ", 0, "not valid JSON");
    check_header_refused("[1, 2, 3, 4, 5]", 0, "does not start with {");
    check_header_refused("        {}     ", 0, "does not start with {");
    check_header_refused("{\"\\ud800\":{}}  ", 0, "not valid JSON");
    check_header_refused("{\"__metadata__\":[]}", 0, "__metadata__ is not");
    check_header_refused("{\"__metadata__\":{\"k\":1}}", 0, "__metadata__ k is not a string");
}

static void two_tensors_of_one_name_or_place_are_refused(void)
{
#define PLACE(name, first, last)                                                                             \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" first "," last "]}"
    check_header_refused("{" PLACE("a", "0", "4") "," PLACE("a", "4", "8") "}", 8, "duplicate");
    check_header_refused("{" PLACE("a", "0", "4") "," PLACE("b", "0", "4") "}", 4, "overlap");
    check_header_refused("{" PLACE("a", "0", "4") "," PLACE("b", "3", "7") "}", 7, "overlap");
    check_header_refused("{" PLACE("b", "2", "6") "," PLACE("a", "0", "4") "}", 6, "a and b overlap");
    check_header_refused("{" PLACE("a", "0", "4") "," PLACE("b", "5", "9") "}", 9, "belong to no tensor");
    check_header_refused("{" PLACE("a\\nb", "0", "4") "}", 4, "control character");
    check_header_refused("{" PLACE("a\\u001b[2J", "0", "4") "}", 4, "control character");
    check_header_refused("{" PLACE("a\\u007f", "0", "4") "}", 4, "control character");
    check_header_refused("{" PLACE("a\\u0000b", "0", "4") "}", 4, "not valid JSON");
}

static void a_file_cut_at_any_length_is_refused(void)
{
    unsigned char bytes[FILE_BYTES];
    size_t whole = compose_tensor(bytes, "{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}", 24);
    for (size_t length = 0; length < whole; length++)
        check_refused(write_bytes(bytes, length), length == 0  ? "empty"
                                                  : length < 8 ? "bytes, expected"
                                                               : "cut short");
    struct reel_safetensors *file;
    CHECK(reel_safetensors_open(write_bytes(bytes, whole), &file) == REEL_OK, "%s", reel_error_here()->cause);
    reel_safetensors_close(file);
    check_refused(write_bytes(bytes, whole + 1), "belong to no tensor");
}

static void header_lengths_that_cannot_be_are_refused(void)
{
    unsigned char bytes[FILE_BYTES];
    static const uint64_t lengths[] = {0, 7, 100000001, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 63};
    for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
        size_t whole = compose(bytes, "{}      ", 0, 0);
        memcpy(bytes, &lengths[l], 8);
        check_refused(write_bytes(bytes, whole), "header's length is");
    }
    check_refused(write_bytes(bytes, compose(bytes, "{}      ", 0, 1)), "cut short");
    check_refused(write_bytes(bytes, compose(bytes, "{}      ", 0, 99999992)), "cut short");
}

static void a_file_of_another_kind_says_what_it_looks_like(void)
{
    static const struct {
        const char *start, *words;
    } kinds[] = {
        {"\x89HDF\r\n\x1a\n........", "HDF5"},   {"\x89PNG\r\n\x1a\n........", "PNG"},
        {"PK\x03\x04............", "zip"},       {"\x80\x02}q\x01........", "pickle"},
        {"GGUF\x03...........", "GGUF"},         {"version https://git-lfs.github.com/spec/v1", "Git LFS"},
        {"<!DOCTYPE html><html>", "a web page"}, {"{\"_class_name\": \"WanModel\"}", "a JSON file"},
        {"\x1f\x8b............", "gzip"},        {"\x93NUMPY..........", "NumPy"},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        check_refused(write_bytes(kinds[k].start, strlen(kinds[k].start)), kinds[k].words);
    check_refused(test_folder(), "not a directory");
    check_refused("/no/such/file.safetensors", "No such file");
    check_refused("/dev/null", "pipe or a device");
    char pipe_path[256];
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", test_folder());
    CHECK(mkfifo(pipe_path, 0600) == 0, "mkfifo");
    check_refused(pipe_path, "pipe or a device");
}

static void scalars_and_empty_tensors_are_fine(void)
{
    unsigned char bytes[FILE_BYTES];
    struct reel_safetensors *file;
    const char *header = "{\"__metadata__\":{\"seed\":\"42\"},"
                         "\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
                         "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[1,1]},"
                         "\"deep\":{\"dtype\":\"I32\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[1,9]}}  ";
    CHECK(reel_safetensors_open(write_bytes(bytes, compose(bytes, header, 9, 0)), &file) == REEL_OK, "%s",
          reel_error_here()->cause);
    int64_t numbers[2];
    float none;
    const struct reel_safetensors_entry *scalar = reel_safetensors_find(file, "scalar");
    const struct reel_safetensors_entry *empty = reel_safetensors_find(file, "empty");
    const struct reel_safetensors_entry *deep = reel_safetensors_find(file, "deep");
    CHECK(scalar && scalar->dims == 0 && scalar->elements == 1, "scalar");
    CHECK(empty && empty->dims == 2 && empty->elements == 0 && empty->shape[1] == 5, "empty");
    CHECK(deep && deep->dims == 8 && deep->elements == 2, "deep");
    CHECK(reel_safetensors_count(file) == 3 && reel_safetensors_at(file, 0) == deep, "not ordered by name");
    CHECK(!reel_safetensors_find(file, "__metadata__") && !reel_safetensors_find(file, ""), "found too much");
    CHECK(reel_safetensors_read_integers(file, scalar, 0, 1, numbers) == REEL_OK && numbers[0] == 1,
          "scalar");
    CHECK(reel_safetensors_read_floats(file, empty, 0, 0, &none) == REEL_OK, "empty");
    CHECK(reel_safetensors_read_integers(file, deep, 0, 2, numbers) == REEL_OK && numbers[0] == 0x05040302 &&
              numbers[1] == 0x09080706,
          "deep");
    CHECK(reel_safetensors_read_integers(file, deep, 1, 1, numbers) == REEL_OK && numbers[0] == 0x09080706,
          "slice");
    CHECK(strcmp(reel_safetensors_metadata(file, "seed"), "42") == 0, "metadata");
    CHECK(!reel_safetensors_metadata(file, "fps"), "metadata that is not there");
    reel_safetensors_close(file);
    CHECK(reel_safetensors_open(write_bytes(bytes, compose(bytes, "{}      ", 0, 0)), &file) == REEL_OK &&
              reel_safetensors_count(file) == 0,
          "a file without tensors");
    reel_safetensors_close(file);
}

static void every_type_is_read_or_refused_by_name(void)
{
    static const struct {
        const char *dtype;
        double value; /* first element of the bytes 1, 2, ... 8 */
        int64_t whole;
        int floating, integer;
    } types[] = {
        {"F64", 0, 0, 1, 0}, /* 5e-270, too small for a float */
        {"F32", 1.5399896e-36, 0, 1, 0},
        {"F16", 513 * 0x1p-24, 0, 1, 0},
        {"BF16", 0x1.02p-123, 0, 1, 0},
        {"F8_E4M3", 0, 0, 0, 0},
        {"F8_E5M2", 0, 0, 0, 0},
        {"I64", 0, 0x0807060504030201, 0, 1},
        {"I32", 0, 0x04030201, 0, 1},
        {"I16", 0, 0, 0, 0},
        {"I8", 0, 0, 0, 0},
        {"U8", 0, 1, 0, 1},
        {"BOOL", 0, 1, 0, 1},
    };
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        unsigned char bytes[FILE_BYTES];
        char description[200];
        struct reel_safetensors *file;
        float number = -1;
        int64_t integer = -1;
        snprintf(description, sizeof description,
                 "{\"dtype\":\"%s\",\"shape\":[%lld],\"data_offsets\":[0,8]}", types[t].dtype,
                 8 / (long long)reel_dtype_bytes(reel_dtype_named(types[t].dtype)));
        CHECK(reel_safetensors_open(write_bytes(bytes, compose_tensor(bytes, description, 8)), &file) ==
                  REEL_OK,
              "%s: %s", types[t].dtype, reel_error_here()->cause);
        const struct reel_safetensors_entry *entry = reel_safetensors_find(file, "a");
        enum reel_status status = reel_safetensors_read_floats(file, entry, 0, 1, &number);
        CHECK(status == (types[t].floating ? REEL_OK : REEL_BAD_INPUT), "%s: %d", types[t].dtype, status);
        CHECK(!types[t].floating || fabs((double)number - types[t].value) <= 1e-6 * types[t].value,
              "%s is %g", types[t].dtype, (double)number);
        CHECK(types[t].floating || strstr(reel_error_here()->cause, types[t].dtype), "%s: %s", types[t].dtype,
              reel_error_here()->cause);
        reel_error_clear();
        status = reel_safetensors_read_integers(file, entry, 0, 1, &integer);
        CHECK(status == (types[t].integer ? REEL_OK : REEL_BAD_INPUT), "%s: %d", types[t].dtype, status);
        CHECK(!types[t].integer || integer == types[t].whole, "%s is %lld", types[t].dtype,
              (long long)integer);
        reel_error_clear();
        reel_safetensors_close(file);
    }
}

static void a_file_that_shrinks_while_it_is_open_is_an_error(void)
{
    unsigned char bytes[FILE_BYTES];
    struct reel_safetensors *file;
    float numbers[6];
    size_t whole = compose_tensor(bytes, "{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}", 24);
    const char *path = write_bytes(bytes, whole);
    CHECK(reel_safetensors_open(path, &file) == REEL_OK, "%s", reel_error_here()->cause);
    const struct reel_safetensors_entry *entry = reel_safetensors_find(file, "a");
    CHECK(truncate(path, (off_t)whole - 4) == 0, "truncate");
    CHECK(reel_safetensors_read_floats(file, entry, 0, 5, numbers) == REEL_OK, "what is left");
    CHECK(reel_safetensors_read_floats(file, entry, 0, 6, numbers) == REEL_BAD_INPUT, "what is gone");
    CHECK(strstr(reel_error_here()->cause, "the file ends"), "%s", reel_error_here()->cause);
    reel_error_clear();
    CHECK(reel_safetensors_read_floats(file, entry, 4, 3, numbers) == REEL_INTERNAL, "past the end");
    reel_error_clear();
    CHECK(reel_safetensors_read_floats(file, entry, INT64_MAX, INT64_MAX, numbers) == REEL_INTERNAL, "wild");
    reel_error_clear();
    reel_safetensors_close(file);
}

static void a_tensor_larger_than_the_staging_buffer_is_read_whole(void)
{
    enum { COUNT = 5000000, STAGING = 4 << 20 };
    static int64_t numbers[COUNT];
    unsigned char bytes[FILE_BYTES];
    struct reel_safetensors *file;
    size_t start =
        compose_tensor(bytes, "{\"dtype\":\"U8\",\"shape\":[5000000],\"data_offsets\":[0,5000000]}", 0);
    const char *path = write_bytes(bytes, start);
    FILE *data = fopen(path, "r+b");
    for (int64_t i = 0; i < COUNT; i++)
        numbers[i] = -1;
    fseek(data, (long)start + STAGING - 1, SEEK_SET);
    fwrite("\7\10", 1, 2, data);
    fseek(data, (long)start + COUNT - 1, SEEK_SET);
    fwrite("\11", 1, 1, data);
    fclose(data);
    CHECK(reel_safetensors_open(path, &file) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_safetensors_read_integers(file, reel_safetensors_find(file, "a"), 0, COUNT, numbers) ==
              REEL_OK,
          "%s", reel_error_here()->cause);
    int64_t zeros = 0;
    for (int64_t i = 0; i < COUNT; i++)
        zeros += numbers[i] == 0;
    CHECK(zeros == COUNT - 3 && numbers[STAGING - 1] == 7 && numbers[STAGING] == 8 && numbers[COUNT - 1] == 9,
          "%lld zeros", (long long)zeros);
    reel_safetensors_close(file);
}

static void a_file_with_any_byte_changed_is_refused_or_read(void)
{
    unsigned char bytes[FILE_BYTES];
    static const unsigned char others[] = {0, '"', '9', '-', '[', '}', ',', 0x80, 0xff};
    size_t whole = compose_tensor(bytes, "{\"dtype\":\"I32\",\"shape\":[2,3],\"data_offsets\":[0,24]}", 24);
    for (size_t at = 0; at < whole; at++)
        for (size_t o = 0; o < sizeof others; o++) {
            struct reel_safetensors *file;
            int64_t numbers[24];
            unsigned char before = bytes[at];
            bytes[at] = others[o];
            enum reel_status status = reel_safetensors_open(write_bytes(bytes, whole), &file);
            CHECK(status == (file ? REEL_OK : REEL_BAD_INPUT), "byte %zu: status %d", at, status);
            if (file && reel_safetensors_count(file) == 1) {
                const struct reel_safetensors_entry *entry = reel_safetensors_at(file, 0);
                CHECK(entry->bytes == 24, "byte %zu: %lld bytes", at, (long long)entry->bytes);
                reel_safetensors_read_integers(file, entry, 0, entry->elements, numbers);
            }
            reel_safetensors_close(file);
            reel_error_clear();
            bytes[at] = before;
        }
}

/* Reads "a" of a file with this description as an input of shape [-1, 2]; expects a refusal that contains
 * words. */
static void check_input_refused(const char *name, const char *description, const float *data, size_t bytes,
                                const char *words)
{
    unsigned char content[FILE_BYTES];
    float *out;
    size_t whole = compose_tensor(content, description, bytes);
    memcpy(content + whole - bytes, data, bytes);
    enum reel_status status =
        reel_input_floats(write_bytes(content, whole), name, 2, (const int64_t[]){-1, 2}, NULL, &out);
    CHECK(status == REEL_BAD_INPUT && !out, "%s: status %d", words, status);
    CHECK(strstr(reel_error_here()->cause, words), "%s: %s", words, reel_error_here()->cause);
    reel_error_clear();
}

static void inputs_are_checked_for_name_shape_type_and_numbers(void)
{
    const float good[6] = {1, 2, 3, 4, 5, 6}, bad[4] = {1, 2, NAN, 4}, endless[4] = {1, 2, 3, -INFINITY};
    const char *pairs = "{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}";
    check_input_refused("b", pairs, good, 16, "no tensor b; the file holds 1: a");
    check_input_refused("a", "{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}", good, 16,
                        "shape [4], expected [any, 2]");
    check_input_refused("a", "{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}", good, 24,
                        "shape [2, 3], expected [any, 2]");
    check_input_refused("a", "{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}", good, 16,
                        "dtype I32");
    check_input_refused("a", pairs, bad, 16, "at index 2");
    check_input_refused("a", pairs, endless, 16, "at index 3");
    unsigned char content[FILE_BYTES];
    size_t whole = compose_tensor(content, pairs, 16);
    memcpy(content + whole - 16, good, 16);
    const char *path = write_bytes(content, whole);
    float *out;
    int64_t found[2];
    int has;
    CHECK(reel_input_floats(path, "a", 2, (const int64_t[]){-1, 2}, found, &out) == REEL_OK, "good");
    CHECK(found[0] == 2 && found[1] == 2 && memcmp(out, good, 16) == 0, "%lld", (long long)found[0]);
    free(out);
    CHECK(reel_input_has(path, "a", &has) == REEL_OK && has, "a");
    CHECK(reel_input_has(path, "b", &has) == REEL_OK && !has, "b");
    CHECK(reel_input_has("/no/such/file", "b", &has) == REEL_BAD_INPUT, "no file");
    reel_error_clear();
}

static void prompts_are_padded_with_zero_rows(void)
{
    char path[512];
    float *padded, *given;
    int64_t shape[2] = {-1, -1}, found[2];
    snprintf(path, sizeof path, "%s/tiny-df/short-text.inputs.safetensors", test_reference());
    CHECK(reel_input_floats(path, "prompt_embeds", 2, shape, found, &given) == REEL_OK && found[0] == 7, "%s",
          reel_error_here()->cause);
    CHECK(reel_input_prompt(path, "prompt_embeds", 20, 48, &padded) == REEL_OK, "%s",
          reel_error_here()->cause);
    CHECK(memcmp(padded, given, 7 * 48 * sizeof *given) == 0, "rows differ");
    int zeros = 0;
    for (int i = 7 * 48; i < 20 * 48; i++)
        zeros += padded[i] == 0;
    CHECK(zeros == 13 * 48, "%d zeros", zeros);
    free(padded);
    CHECK(reel_input_prompt(path, "prompt_embeds", 7, 48, &padded) == REEL_OK, "as many rows as there are");
    free(padded);
    CHECK(reel_input_prompt(path, "prompt_embeds", 6, 48, &padded) == REEL_BAD_INPUT && !padded, "too many");
    CHECK(strstr(reel_error_here()->cause, "7 rows, expected at most 6"), "%s", reel_error_here()->cause);
    reel_error_clear();
    CHECK(reel_input_prompt(path, "prompt_embeds", 20, 49, &padded) == REEL_BAD_INPUT, "another width");
    CHECK(strstr(reel_error_here()->cause, "[7, 48], expected [any, 49]"), "%s", reel_error_here()->cause);
    reel_error_clear();
    free(given);
}

int main(void)
{
    RUN(headers_that_lie_are_refused);
    RUN(headers_that_are_not_headers_are_refused);
    RUN(two_tensors_of_one_name_or_place_are_refused);
    RUN(a_file_cut_at_any_length_is_refused);
    RUN(header_lengths_that_cannot_be_are_refused);
    RUN(a_file_of_another_kind_says_what_it_looks_like);
    RUN(scalars_and_empty_tensors_are_fine);
    RUN(every_type_is_read_or_refused_by_name);
    RUN(a_file_that_shrinks_while_it_is_open_is_an_error);
    RUN(a_tensor_larger_than_the_staging_buffer_is_read_whole);
    RUN(a_file_with_any_byte_changed_is_refused_or_read);
    RUN(inputs_are_checked_for_name_shape_type_and_numbers);
    RUN(prompts_are_padded_with_zero_rows);
    return test_end();
}
