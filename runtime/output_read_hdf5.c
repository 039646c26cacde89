/* Reading what output_hdf5.c writes, without trust. */
#include "output_read.h"

#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DIMS = 4, PATH_BYTES = 64, BRANCHES = 2 };

static const unsigned char signature[8] = "\x89HDF\r\n\x1a\n";

int reel_output_is_hdf5(const char *path)
{
    unsigned char start[sizeof signature];
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) /* opening a pipe would wait for its writer */
        return 0;
    FILE *file = fopen(path, "rb");
    int same =
        file && fread(start, sizeof start, 1, file) == 1 && memcmp(start, signature, sizeof start) == 0;
    if (file)
        fclose(file);
    return same;
}

static enum reel_status no_output(const char *path, const char *what, const char *name)
{
    return reel_fail(REEL_BAD_INPUT,
                     "%s: expected an output of reel, but %s %s is missing or of another type", path, what,
                     name);
}

/* An attribute of / that is one integer. */
static enum reel_status read_integer(hid_t file, const char *path, const char *name, int64_t *value)
{
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0)
        return no_output(path, "the attribute", name);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    int done = H5Tget_class(type) == H5T_INTEGER && H5Sget_simple_extent_npoints(space) == 1 &&
               H5Aread(attribute, H5T_NATIVE_INT64, value) >= 0;
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return done ? REEL_OK : no_output(path, "the attribute", name);
}

/* An attribute of / that is one text; *value is the caller's to free. */
static enum reel_status read_text(hid_t file, const char *path, const char *name, char **value)
{
    char *text = NULL;
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0)
        return no_output(path, "the attribute", name);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    int done = H5Tis_variable_str(type) > 0 && H5Sget_simple_extent_npoints(space) == 1 &&
               H5Aread(attribute, type, &text) >= 0 && text;
    if (done)
        *value = strdup(text);
    H5free_memory(text);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    if (!done)
        return no_output(path, "the attribute", name);
    REEL_NEED(*value, REEL_NO_MEMORY, "%s: no memory for the attribute %s", path, name);
    return REEL_OK;
}

/* A dataset to read: its class and rank are asked for, its shape is found. */
struct table {
    const char *name;
    H5T_class_t class;
    hid_t memory; /* the type that it is read as, of element_bytes */
    int64_t element_bytes;
    int dims;
    int64_t shape[DIMS];
    void *values; /* NULL where only the shape is read */
};

static enum reel_status read_values(hid_t set, const char *path, struct table *table)
{
    int64_t bytes = table->element_bytes;
    for (int d = 0; d < table->dims; d++)
        REEL_NEED(table->shape[d] >= 0 && !__builtin_mul_overflow(bytes, table->shape[d], &bytes),
                  REEL_BAD_INPUT, "%s: %s has an impossible shape", path, table->name);
    table->values = malloc((size_t)bytes + 1);
    REEL_NEED(table->values, REEL_NO_MEMORY, "%s: no memory for %s, %" PRId64 " bytes", path, table->name,
              bytes);
    REEL_NEED(bytes == 0 || H5Dread(set, table->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, table->values) >= 0,
              REEL_BAD_INPUT, "%s: %s cannot be read: the file is damaged or cut short", path, table->name);
    return REEL_OK;
}

/* Reads shape and, unless shape_only, values, which are the caller's to free, also after an error. */
static enum reel_status read_table(hid_t file, const char *path, int shape_only, struct table *table)
{
    hsize_t shape[H5S_MAX_RANK];
    hid_t set = H5Dopen2(file, table->name, H5P_DEFAULT);
    if (set < 0)
        return no_output(path, "the dataset", table->name);
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    enum reel_status status = REEL_OK;
    if (H5Tget_class(type) != table->class || H5Sget_simple_extent_ndims(space) != table->dims)
        status = no_output(path, "the dataset", table->name);
    else if (H5Sget_simple_extent_dims(space, shape, NULL) < 0)
        status = no_output(path, "the dataset", table->name);
    for (int d = 0; d < table->dims && status == REEL_OK; d++)
        table->shape[d] = (int64_t)shape[d];
    if (status == REEL_OK && !shape_only)
        status = read_values(set, path, table);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
    return status;
}

static enum reel_status read_attributes(hid_t file, const char *path, struct reel_output_file *output)
{
    const struct {
        const char *name;
        int64_t *value;
    } integers[] = {
        {"seed", &output->seed},         {"fps", &output->fps},
        {"width", &output->width},       {"height", &output->height},
        {"frames", &output->frames},     {"finished_frames", &output->finished_frames},
        {"complete", &output->complete},
    };
    REEL_PASS(read_text(file, path, "reel_version", &output->version));
    REEL_PASS(read_text(file, path, "job", &output->job));
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        REEL_PASS(read_integer(file, path, integers[i].name, integers[i].value));
    for (size_t i = 1; i < sizeof integers / sizeof integers[0]; i++) /* all but the seed */
        REEL_NEED(*integers[i].value >= 0 && *integers[i].value <= INT32_MAX, REEL_BAD_INPUT,
                  "%s: %s is %" PRId64 ", expected a number from 0 to %" PRId32, path, integers[i].name,
                  *integers[i].value, INT32_MAX);
    return REEL_OK;
}

/* The chunks that have begun are /chunks/0, /chunks/1, ... */
static enum reel_status read_chunks(hid_t file, const char *path, struct reel_output_file *output)
{
    H5G_info_t chunks = {0};
    if (H5Lexists(file, "/chunks", H5P_DEFAULT) > 0)
        REEL_NEED(H5Gget_info_by_name(file, "/chunks", &chunks, H5P_DEFAULT) >= 0, REEL_BAD_INPUT,
                  "%s: /chunks is no group", path);
    output->chunk_count = (int64_t)chunks.nlinks;
    output->chunks = calloc((size_t)chunks.nlinks + 1, sizeof *output->chunks);
    REEL_NEED(output->chunks, REEL_NO_MEMORY, "%s: no memory for %" PRId64 " chunks", path,
              output->chunk_count);
    for (int64_t k = 0; k < output->chunk_count; k++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof name, "/chunks/%" PRId64 "/timestep_matrix", k);
        struct table matrix = {.name = name, .class = H5T_INTEGER, .dims = 2};
        REEL_PASS(read_table(file, path, 1, &matrix));
        output->chunks[k].iterations = matrix.shape[0];
        output->chunks[k].frames = matrix.shape[1];
    }
    return REEL_OK;
}

/* Counts the calls of every chunk and branch. */
static enum reel_status count_calls(const char *path, const struct table *decisions,
                                    struct reel_output_file *output)
{
    REEL_NEED(decisions->shape[1] == 4, REEL_BAD_INPUT, "%s: %s has %" PRId64 " columns, expected 4", path,
              decisions->name, decisions->shape[1]);
    const int64_t *rows = decisions->values;
    for (int64_t i = 0; i < decisions->shape[0]; i++) {
        int64_t chunk = rows[4 * i], branch = rows[4 * i + 2];
        REEL_NEED(chunk >= 0 && chunk < output->chunk_count && branch >= 0 && branch < BRANCHES,
                  REEL_BAD_INPUT,
                  "%s: row %" PRId64 " of %s is of chunk %" PRId64 ", branch %" PRId64 ", which do not exist",
                  path, i, decisions->name, chunk, branch);
        struct reel_output_chunk *counts = &output->chunks[chunk];
        if (rows[4 * i + 3])
            counts->computed[branch]++;
        else
            counts->skipped[branch]++;
    }
    return REEL_OK;
}

static enum reel_status read_all(hid_t file, const char *path, struct reel_output_file *output)
{
    REEL_PASS(read_attributes(file, path, output));
    struct table latents = {.name = "/latents",
                            .class = H5T_FLOAT,
                            .memory = H5T_NATIVE_FLOAT,
                            .element_bytes = (int64_t)sizeof(float),
                            .dims = DIMS};
    enum reel_status status = read_table(file, path, 0, &latents);
    output->latents = latents.values;
    memcpy(output->shape, latents.shape, sizeof output->shape);
    REEL_PASS(status);
    REEL_NEED(output->shape[1] == output->finished_frames, REEL_BAD_INPUT,
              "%s: /latents has %" PRId64 " frames, but finished_frames is %" PRId64, path, output->shape[1],
              output->finished_frames);
    REEL_PASS(read_chunks(file, path, output));
    struct table decisions = {.name = "/teacache/decisions",
                              .class = H5T_INTEGER,
                              .memory = H5T_NATIVE_INT64,
                              .element_bytes = (int64_t)sizeof(int64_t),
                              .dims = 2};
    status = read_table(file, path, 0, &decisions);
    if (status == REEL_OK)
        status = count_calls(path, &decisions, output);
    free(decisions.values);
    return status;
}

enum reel_status reel_output_open(const char *path, struct reel_output_file *file)
{
    *file = (struct reel_output_file){0};
    REEL_NEED(reel_output_is_hdf5(path), REEL_BAD_INPUT, "%s: expected an HDF5 file", path);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    REEL_NEED(opened >= 0, REEL_BAD_INPUT, "%s: the HDF5 file cannot be opened: it is damaged or cut short",
              path);
    enum reel_status status = read_all(opened, path, file);
    H5Fclose(opened);
    if (status != REEL_OK)
        reel_output_close(file);
    return status;
}

void reel_output_close(struct reel_output_file *file)
{
    free(file->version);
    free(file->job);
    free(file->latents);
    free(file->chunks);
    *file = (struct reel_output_file){0};
}
