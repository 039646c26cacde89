/* Reads attributes and datasets of an HDF5 file; does not trust the file's contents.
 *
 *     struct reel_hdf5_source source = {.id = H5Fopen(...), .path = path, .kind = "an output"};
 *     REEL_PASS(reel_hdf5_read_integer(&source, "fps", &fps));
 *
 * An attribute or dataset that is missing or has another type is REEL_BAD_INPUT, which names the file and it.
 * Not collective. */
#ifndef REEL_HDF5_READ_H
#define REEL_HDF5_READ_H

#include "status.h"

#include <hdf5.h>
#include <stdint.h>

enum { REEL_HDF5_DIMS = 4 };

struct reel_hdf5_source {
    hid_t id;                /* the file */
    const char *path, *kind; /* for messages: kind is "an output" or the like */
};

/* A dataset to read. The caller sets name, class, memory, element_bytes and dims; reading sets shape and
 * values. */
struct reel_hdf5_table {
    const char *name;
    H5T_class_t class;
    hid_t memory; /* the HDF5 type of an element in memory, of element_bytes */
    int64_t element_bytes;
    int dims;
    int64_t shape[REEL_HDF5_DIMS];
    void *values; /* NULL where only the shape is read */
};

/* Read one attribute of /: an integer, a real, or a text, which the caller frees. */
enum reel_status reel_hdf5_read_integer(const struct reel_hdf5_source *source, const char *name,
                                        int64_t *value);
enum reel_status reel_hdf5_read_real(const struct reel_hdf5_source *source, const char *name, double *value);
enum reel_status reel_hdf5_read_text(const struct reel_hdf5_source *source, const char *name, char **value);

/* Reads the shape and, unless shape_only, the values. The caller frees the values, also after an error.
 * REEL_NO_MEMORY when they do not fit in memory. */
enum reel_status reel_hdf5_read_table(const struct reel_hdf5_source *source, int shape_only,
                                      struct reel_hdf5_table *table);

#endif
