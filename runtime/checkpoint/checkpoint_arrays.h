/* The arrays of a checkpoint: every rank reads or writes its channels through parallel HDF5. Only *_hdf5.c
 * files include this header. */
#ifndef REEL_CHECKPOINT_ARRAYS_H
#define REEL_CHECKPOINT_ARRAYS_H

#include "checkpoint.h"

enum reel_transfer { REEL_TRANSFER_READ, REEL_TRANSFER_WRITE };

/* Collective over world. Writes this rank's channels of the arrays to a file, or reads them from it. The
 * datasets exist, and their room on the disk is reserved. REEL_BAD_OUTPUT when a write fails and
 * REEL_BAD_INPUT when a read fails, the same on every rank. */
enum reel_status reel_checkpoint_transfer_arrays(struct reel_comm *comm, const char *path,
                                                 const struct reel_checkpoint *checkpoint,
                                                 enum reel_transfer transfer);

/* Not collective. The cut of the channels over all ranks. */
struct reel_cut reel_checkpoint_channels(const struct reel_comm *comm,
                                         const struct reel_checkpoint *checkpoint);

/* Not collective. XXH3 of a block of an array, computed from the values in memory in the order of the
 * file. */
uint64_t reel_checkpoint_hash(const struct reel_checkpoint *checkpoint,
                              const struct reel_checkpoint_array *array, int64_t block);

/* Not collective. The bytes of an array in the file. */
int64_t reel_checkpoint_array_bytes(const struct reel_checkpoint *checkpoint,
                                    const struct reel_checkpoint_array *array);

#endif
