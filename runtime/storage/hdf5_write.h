/* HDF5 calls in a row: after the first failure the rest does nothing, and one look at the end tells.
 *
 *     struct reel_hdf5 file = {.id = H5Fcreate(...)};
 *     reel_hdf5_integer(&file, "fps", 24);
 *     if (file.failed) ...
 *
 * Included by files that are HDF5 inside. Not collective. */
#ifndef REEL_HDF5_WRITE_H
#define REEL_HDF5_WRITE_H

#include "timeline.h"

#include <hdf5.h>

struct reel_hdf5 {
    hid_t id; /* the file */
    int failed;
};

/* Remembers a negative result. */
void reel_hdf5_keep(struct reel_hdf5 *file, herr_t result);

/* A dense dataset at path, stored as one type and given as another; folders on the way are made. values NULL: it is
 * made and not filled. */
void reel_hdf5_dataset(struct reel_hdf5 *file, const char *path, hid_t stored, hid_t given, int dims,
                       const hsize_t *shape, const void *values);

/* Attributes of /. */
void reel_hdf5_integer(struct reel_hdf5 *file, const char *name, int64_t value);
void reel_hdf5_real(struct reel_hdf5 *file, const char *name, double value);
void reel_hdf5_text(struct reel_hdf5 *file, const char *name, const char *text);

/* /teacache/decisions, distances and savings (README, the output file). */
void reel_hdf5_teacache(struct reel_hdf5 *file, const struct reel_call *calls, int64_t call_count,
                        const struct reel_saving *savings, int64_t saving_count);

#endif
