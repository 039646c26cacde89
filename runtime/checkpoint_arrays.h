/* The arrays of a checkpoint, moved by every rank through parallel HDF5. Included by files that are HDF5 inside. */
#ifndef REEL_CHECKPOINT_ARRAYS_H
#define REEL_CHECKPOINT_ARRAYS_H

#include "checkpoint.h"

/* Collective over world. Writes the arrays into a file whose datasets and room are there, or reads this rank's channels of
 * them. cause is REEL_BAD_OUTPUT or REEL_BAD_INPUT, which is returned, the same on every rank, when it fails. */
enum reel_status reel_checkpoint_move_arrays(struct reel_comm *comm, const char *path,
                                             const struct reel_checkpoint *checkpoint,
                                             enum reel_status cause);

/* The channels of a rank. */
struct reel_cut reel_checkpoint_channels(const struct reel_comm *comm,
                                         const struct reel_checkpoint *checkpoint);

/* Not collective. XXH3 of a block of an array as it stands in memory, in the order of the file. */
uint64_t reel_checkpoint_hash(const struct reel_checkpoint *checkpoint,
                              const struct reel_checkpoint_array *array, int64_t block);

/* The bytes of an array in the file. */
int64_t reel_checkpoint_array_bytes(const struct reel_checkpoint *checkpoint,
                                    const struct reel_checkpoint_array *array);

#endif
