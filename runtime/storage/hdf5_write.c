/* Writes datasets and attributes. */
#include "hdf5_write.h"

#include <stdlib.h>
#include <string.h>

void reel_hdf5_keep(struct reel_hdf5 *file, herr_t result)
{
    file->failed |= result < 0;
}

void reel_hdf5_dataset(struct reel_hdf5 *file, const char *path, hid_t stored, hid_t given, int dims,
                       const hsize_t *shape, const void *values)
{
    hid_t space = H5Screate_simple(dims, shape, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    reel_hdf5_keep(file, H5Pset_create_intermediate_group(links, 1));
    hid_t set = H5Dcreate2(file->id, path, stored, space, links, H5P_DEFAULT, H5P_DEFAULT);
    file->failed |= set < 0;
    if (set >= 0) {
        if (values && H5Sget_simple_extent_npoints(space) > 0)
            reel_hdf5_keep(file, H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
        reel_hdf5_keep(file, H5Dclose(set));
    }
    H5Pclose(links);
    H5Sclose(space);
}

static void write_attribute(struct reel_hdf5 *file, const char *name, hid_t stored, hid_t given,
                            const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t set = H5Acreate2(file->id, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    file->failed |= set < 0;
    if (set >= 0) {
        reel_hdf5_keep(file, H5Awrite(set, given, value));
        reel_hdf5_keep(file, H5Aclose(set));
    }
    H5Sclose(space);
}

void reel_hdf5_text(struct reel_hdf5 *file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    reel_hdf5_keep(file, H5Tset_size(type, H5T_VARIABLE));
    reel_hdf5_keep(file, H5Tset_cset(type, H5T_CSET_UTF8));
    write_attribute(file, name, type, type, &text);
    H5Tclose(type);
}

void reel_hdf5_real(struct reel_hdf5 *file, const char *name, double value)
{
    write_attribute(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

void reel_hdf5_integer(struct reel_hdf5 *file, const char *name, int64_t value)
{
    write_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

static void write_calls(struct reel_hdf5 *file, const struct reel_call *calls, int64_t count)
{
    hsize_t rows = (hsize_t)count, four[2] = {rows, 4}, two[2] = {rows, 2};
    int64_t *decisions = malloc((size_t)(rows * 4 + 1) * sizeof *decisions);
    double *distances = malloc((size_t)(rows * 2 + 1) * sizeof *distances);
    if (decisions && distances) {
        for (int64_t i = 0; i < count; i++) {
            const struct reel_call *call = &calls[i];
            int64_t decision[4] = {call->chunk, call->iteration, call->branch, call->computed};
            memcpy(decisions + 4 * i, decision, sizeof decision);
            distances[2 * i] = call->distance;
            distances[2 * i + 1] = call->accumulated;
        }
        reel_hdf5_dataset(file, "/teacache/decisions", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, four, decisions);
        reel_hdf5_dataset(file, "/teacache/distances", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, two, distances);
    } else {
        file->failed = 1;
    }
    free(decisions);
    free(distances);
}

static void write_savings(struct reel_hdf5 *file, const struct reel_saving *savings, int64_t count)
{
    hsize_t shape[2] = {(hsize_t)count, 5};
    double *rows = malloc((size_t)(count * 5 + 1) * sizeof *rows);
    file->failed |= !rows;
    for (int64_t i = 0; rows && i < count; i++) {
        const struct reel_saving *saving = &savings[i];
        const double row[5] = {(double)saving->chunk, (double)saving->branch, (double)saving->computed,
                               (double)saving->skipped, saving->seconds};
        memcpy(rows + 5 * i, row, sizeof row);
    }
    if (rows)
        reel_hdf5_dataset(file, "/teacache/savings", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, shape, rows);
    free(rows);
}

void reel_hdf5_teacache(struct reel_hdf5 *file, const struct reel_call *calls, int64_t call_count,
                        const struct reel_saving *savings, int64_t saving_count)
{
    write_calls(file, calls, call_count);
    write_savings(file, savings, saving_count);
}
