/* A checkpoint's metadata, written to and read from HDF5. Only *_hdf5.c files include this header. Not
 * collective. */
#ifndef REEL_CHECKPOINT_METADATA_H
#define REEL_CHECKPOINT_METADATA_H

#include "checkpoint.h"
#include "hdf5_write.h"

/* Writes everything except arrays and hashes. file->failed remembers a failure. */
void reel_checkpoint_put(struct reel_hdf5 *file, const struct reel_checkpoint *checkpoint);

/* The shape of an array in the file: [channels, frames, rows, columns]. */
void reel_checkpoint_shape(const struct reel_checkpoint *checkpoint,
                           const struct reel_checkpoint_array *array, hsize_t shape[4]);

#endif
