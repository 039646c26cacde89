/* Reads and checks one tensor of a job's file. */
#include "tensor_input.h"

#include "model_file.h"
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum reel_status reel_input_has(const char *path, const char *name, int *has)
{
    struct reel_safetensors *file;
    REEL_PASS(reel_safetensors_open(path, &file));
    *has = reel_safetensors_find(file, name) != NULL;
    reel_safetensors_close(file);
    return REEL_OK;
}

/* An absent name is most often misspelt, so the message lists names that the file has. */
static enum reel_status fail_absent(const struct reel_safetensors *file, const char *name)
{
    enum { SHOWN = 6 };
    char names[600] = "";
    int64_t count = reel_safetensors_count(file);
    for (int64_t i = 0; i < count && i < SHOWN; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%.80s", i > 0 ? ", " : "",
                 reel_safetensors_at(file, i)->name);
    }
    return reel_fail(REEL_BAD_INPUT, "%s: there is no tensor %s; the file holds %" PRId64 ": %s%s",
                     reel_safetensors_path(file), name, count, names, count > SHOWN ? ", ..." : "");
}

static enum reel_status check_shape(const char *path, const struct reel_safetensors_entry *entry, int dims,
                                    const int64_t *shape)
{
    int fits = entry->dims == dims;
    for (int d = 0; fits && d < dims; d++)
        fits = shape[d] < 0 || shape[d] == entry->shape[d];
    char found[REEL_SHAPE_TEXT_BYTES], expected[REEL_SHAPE_TEXT_BYTES];
    reel_shape_text(entry->dims, entry->shape, found);
    reel_shape_text(dims, shape, expected);
    REEL_NEED(fits, REEL_BAD_INPUT, "%s: tensor %s has shape %s, expected %s", path, entry->name, found,
              expected);
    return REEL_OK;
}

/* Finds the tensor of that name and checks its shape. */
static enum reel_status find_checked(const struct reel_safetensors *file, const char *name, int dims,
                                     const int64_t *shape, const struct reel_safetensors_entry **entry)
{
    *entry = reel_safetensors_find(file, name);
    if (!*entry)
        return fail_absent(file, name);
    return check_shape(reel_safetensors_path(file), *entry, dims, shape);
}

static enum reel_status read_checked(const struct reel_safetensors *file, const char *name, int dims,
                                     const int64_t *shape, int64_t *actual_shape, float **out)
{
    const char *path = reel_safetensors_path(file);
    const struct reel_safetensors_entry *entry;
    REEL_PASS(find_checked(file, name, dims, shape, &entry));
    *out = malloc((size_t)entry->elements * sizeof **out + 1); /* not NULL for an empty tensor */
    REEL_NEED(*out, REEL_NO_MEMORY, "%s: no memory for the %" PRId64 " values of tensor %s", path,
              entry->elements, name);
    REEL_PASS(reel_safetensors_read_floats(file, entry, 0, entry->elements, *out));
    int64_t bad = reel_first_not_finite(*out, entry->elements);
    REEL_NEED(bad == entry->elements, REEL_BAD_INPUT,
              "%s: tensor %s holds %f at index %" PRId64 ", expected a finite number", path, name,
              (double)(*out)[bad], bad);
    for (int d = 0; d < dims && actual_shape; d++)
        actual_shape[d] = entry->shape[d];
    return REEL_OK;
}

enum reel_status reel_input_floats(const char *path, const char *name, int dims, const int64_t *shape,
                                   int64_t *actual_shape, float **out)
{
    struct reel_safetensors *file;
    *out = NULL;
    REEL_PASS(reel_safetensors_open(path, &file));
    enum reel_status status = read_checked(file, name, dims, shape, actual_shape, out);
    reel_safetensors_close(file);
    if (status != REEL_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

enum reel_status reel_input_shape(const char *path, const char *name, int dims, const int64_t *shape,
                                  int64_t *actual_shape)
{
    struct reel_safetensors *file;
    const struct reel_safetensors_entry *entry;
    float none;
    REEL_PASS(reel_safetensors_open(path, &file));
    enum reel_status status = find_checked(file, name, dims, shape, &entry);
    if (status == REEL_OK)
        /* reads nothing, but refuses other dtypes */
        status = reel_safetensors_read_floats(file, entry, 0, 0, &none);
    for (int d = 0; status == REEL_OK && d < dims; d++)
        actual_shape[d] = entry->shape[d];
    reel_safetensors_close(file);
    return status;
}

enum reel_status reel_input_check(const char *path, const char *name, int dims, const int64_t *shape)
{
    int64_t found[8];
    return reel_input_shape(path, name, dims, shape, found);
}

enum reel_status reel_input_prompt(const char *path, const char *name, int64_t text_rows, int64_t text_width,
                                   float **out)
{
    int64_t shape[2] = {-1, text_width}, found[2];
    float *given;
    *out = NULL;
    REEL_PASS(reel_input_floats(path, name, 2, shape, found, &given));
    enum reel_status status = REEL_OK;
    if (found[0] > text_rows)
        status = reel_fail(REEL_BAD_INPUT,
                           "%s: tensor %s has %" PRId64 " rows, expected at most %" PRId64
                           ", the model's text length",
                           path, name, found[0], text_rows);
    else if (!(*out = calloc((size_t)(text_rows * text_width), sizeof **out)))
        status = reel_fail(REEL_NO_MEMORY, "%s: no memory for the %" PRId64 " rows of tensor %s", path,
                           text_rows, name);
    else
        memcpy(*out, given, (size_t)(found[0] * text_width) * sizeof **out);
    free(given);
    return status;
}
