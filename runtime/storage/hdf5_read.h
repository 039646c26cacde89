/* Reading attributes and tables of an HDF5 file, without trust in what it holds.
 *
 *     struct reel_hdf5_source source = {.id = H5Fopen(...), .path = path, .kind = "an output"};
 *     REEL_PASS(reel_hdf5_read_integer(&source, "fps", &fps));
 *
 * What is missing or of another type is REEL_BAD_INPUT, naming the file and the part. Not collective. */
#ifndef REEL_HDF5_READ_H
#define REEL_HDF5_READ_H

#include "status.h"

#include <hdf5.h>
#include <stdint.h>

enum { REEL_HDF5_DIMS = 4 };

struct reel_hdf5_source {
    hid_t id; /* the file */
    const char *path, *kind;
};

/* A dataset to read: its class and number of dimensions are asked for, its shape is found. */
struct reel_hdf5_table {
    const char *name;
    H5T_class_t class;
    hid_t memory; /* the type that it is read as, of element_bytes */
    int64_t element_bytes;
    int dims;
    int64_t shape[REEL_HDF5_DIMS];
    void *values; /* NULL where only the shape is read */
};

/* Attributes of /: one integer, one real; one text, which is the caller's to free. */
enum reel_status reel_hdf5_read_integer(const struct reel_hdf5_source *source, const char *name,
                                        int64_t *value);
enum reel_status reel_hdf5_read_real(const struct reel_hdf5_source *source, const char *name, double *value);
enum reel_status reel_hdf5_read_text(const struct reel_hdf5_source *source, const char *name, char **value);

/* Reads the shape and, unless shape_only, values, which are the caller's to free, also after an error. */
enum reel_status reel_hdf5_read_table(const struct reel_hdf5_source *source, int shape_only,
                                      struct reel_hdf5_table *table);

#endif
