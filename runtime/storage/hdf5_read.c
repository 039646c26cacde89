/* Reads attributes and datasets. */
#include "hdf5_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum reel_status fail_missing(const struct reel_hdf5_source *source, const char *what,
                                     const char *name)
{
    return reel_fail(REEL_BAD_INPUT, "%s: expected %s of reel, but %s %s is missing or has another type",
                     source->path, source->kind, what, name);
}

/* Reads an attribute of / that is one value of that class. */
static enum reel_status read_number(const struct reel_hdf5_source *source, const char *name,
                                    H5T_class_t class, hid_t memory, void *value)
{
    hid_t attribute = H5Aopen(source->id, name, H5P_DEFAULT);
    if (attribute < 0)
        return fail_missing(source, "the attribute", name);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    int done = H5Tget_class(type) == class && H5Sget_simple_extent_npoints(space) == 1 &&
               H5Aread(attribute, memory, value) >= 0;
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return done ? REEL_OK : fail_missing(source, "the attribute", name);
}

enum reel_status reel_hdf5_read_integer(const struct reel_hdf5_source *source, const char *name,
                                        int64_t *value)
{
    return read_number(source, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}

enum reel_status reel_hdf5_read_real(const struct reel_hdf5_source *source, const char *name, double *value)
{
    return read_number(source, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, value);
}

enum reel_status reel_hdf5_read_text(const struct reel_hdf5_source *source, const char *name, char **value)
{
    char *text = NULL;
    hid_t attribute = H5Aopen(source->id, name, H5P_DEFAULT);
    if (attribute < 0)
        return fail_missing(source, "the attribute", name);
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
        return fail_missing(source, "the attribute", name);
    REEL_NEED(*value, REEL_NO_MEMORY, "%s: no memory for the attribute %s", source->path, name);
    return REEL_OK;
}

static enum reel_status read_values(hid_t set, const struct reel_hdf5_source *source,
                                    struct reel_hdf5_table *table)
{
    int64_t bytes = table->element_bytes;
    for (int d = 0; d < table->dims; d++)
        REEL_NEED(table->shape[d] >= 0 && !__builtin_mul_overflow(bytes, table->shape[d], &bytes),
                  REEL_BAD_INPUT, "%s: %s has an impossible shape", source->path, table->name);
    table->values = malloc((size_t)bytes + 1);
    REEL_NEED(table->values, REEL_NO_MEMORY, "%s: no memory for %s, %" PRId64 " bytes", source->path,
              table->name, bytes);
    REEL_NEED(bytes == 0 || H5Dread(set, table->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, table->values) >= 0,
              REEL_BAD_INPUT, "%s: %s cannot be read: the file is damaged or cut short", source->path,
              table->name);
    return REEL_OK;
}

enum reel_status reel_hdf5_read_table(const struct reel_hdf5_source *source, int shape_only,
                                      struct reel_hdf5_table *table)
{
    hsize_t shape[H5S_MAX_RANK];
    hid_t set = H5Dopen2(source->id, table->name, H5P_DEFAULT);
    if (set < 0)
        return fail_missing(source, "the dataset", table->name);
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    enum reel_status status = REEL_OK;
    if (H5Tget_class(type) != table->class || H5Sget_simple_extent_ndims(space) != table->dims)
        status = fail_missing(source, "the dataset", table->name);
    else if (H5Sget_simple_extent_dims(space, shape, NULL) < 0)
        status = fail_missing(source, "the dataset", table->name);
    for (int d = 0; d < table->dims && status == REEL_OK; d++)
        table->shape[d] = (int64_t)shape[d];
    if (status == REEL_OK && !shape_only)
        status = read_values(set, source, table);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
    return status;
}
