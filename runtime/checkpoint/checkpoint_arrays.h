/* The arrays of a checkpoint, moved by every rank through parallel HDF5. Included by files that are HDF5 inside. */
#ifndef REEL_CHECKPOINT_ARRAYS_H
#define REEL_CHECKPOINT_ARRAYS_H

#include "checkpoint.h"

enum reel_transfer { REEL_TRANSFER_READ, REEL_TRANSFER_WRITE };

/* Collective over world. Writes this rank's channels of the arrays into a file whose datasets and room are there, or reads
 * them from it. REEL_BAD_OUTPUT when a write fails and REEL_BAD_INPUT when a read does, the same on every rank. */
enum reel_status reel_checkpoint_transfer_arrays(struct reel_comm *comm, const char *path,
                                                 const struct reel_checkpoint *checkpoint,
                                                 enum reel_transfer transfer);

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
