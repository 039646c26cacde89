/* Writes attributes and datasets of an HDF5 file. Failures are remembered in the struct, so that the caller
 * checks once, after the last call.
 *
 *     struct reel_hdf5 file = {.id = H5Fcreate(...)};
 *     reel_hdf5_integer(&file, "fps", 24);
 *     if (file.failed) ...
 *
 * Only *_hdf5.c files include this header. Not collective. */
#ifndef REEL_HDF5_WRITE_H
#define REEL_HDF5_WRITE_H

#include "timeline.h"

#include <hdf5.h>

struct reel_hdf5 {
    hid_t id; /* the file */
    int failed;
};

/* Sets failed when an HDF5 call returned a negative result. */
void reel_hdf5_keep(struct reel_hdf5 *file, herr_t result);

/* Writes a dense dataset at path and creates the groups above it. stored is the type of its elements in the
 * file, given their type in values. values NULL: the dataset is created and not filled. */
void reel_hdf5_dataset(struct reel_hdf5 *file, const char *path, hid_t stored, hid_t given, int dims,
                       const hsize_t *shape, const void *values);

/* Write one attribute of /. */
void reel_hdf5_integer(struct reel_hdf5 *file, const char *name, int64_t value);
void reel_hdf5_real(struct reel_hdf5 *file, const char *name, double value);
void reel_hdf5_text(struct reel_hdf5 *file, const char *name, const char *text);

/* Writes /teacache/decisions, distances and savings (README, the output file). */
void reel_hdf5_teacache(struct reel_hdf5 *file, const struct reel_call *calls, int64_t call_count,
                        const struct reel_saving *savings, int64_t saving_count);

#endif
