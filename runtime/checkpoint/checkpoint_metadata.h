/* What of a checkpoint is small, in and out of HDF5. Included by files that are HDF5 inside; not collective. */
#ifndef REEL_CHECKPOINT_METADATA_H
#define REEL_CHECKPOINT_METADATA_H

#include "checkpoint.h"
#include "hdf5_write.h"

/* Writes all but arrays and hashes. */
void reel_checkpoint_put(struct reel_hdf5 *file, const struct reel_checkpoint *checkpoint);

/* The shape of an array in the file. */
void reel_checkpoint_shape(const struct reel_checkpoint *checkpoint,
                           const struct reel_checkpoint_array *array, hsize_t shape[4]);

#endif
