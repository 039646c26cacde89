/* The seal of a checkpoint: its first 4096 bytes, by which plain reads tell whether all of it is what was written.
 *
 * HDF5's own checksums miss real corruption, and a damaged file should not reach its parser at all. So a checkpoint is an
 * HDF5 file with a user block in front, which says where the large arrays lie, where the hashes of their blocks stand, and
 * the hash of every other byte. Nothing in the file is outside: a flipped bit anywhere is found, before HDF5 sees it.
 *
 *     bytes      0  "reel checkpoint\n"
 *               16  int64 format; bytes of the file; bytes of a block (1 MiB); number of runs
 *               48  runs, 8 of int64 offset, bytes, offset of its hashes (one uint64 per block, the last may be shorter)
 *              240  uint64 XXH3 of what is neither seal nor run, in order
 *              248  zeros
 *             4088  uint64 XXH3 of the 4088 bytes before it
 *
 * All little-endian. A block is 1 MiB of a run, counted from its start: which rank wrote it does not matter, and any
 * number of ranks can check them together. Hash: XXH3, 64 bits, seed 0 (xxHash, Collet). Not collective. */
#ifndef REEL_CHECKPOINT_CHECKSUMS_H
#define REEL_CHECKPOINT_CHECKSUMS_H

#include "status.h"

#include <stdint.h>

enum {
    REEL_CHECKSUMS_BYTES = 4096,
    REEL_CHECKSUMS_BLOCK_BYTES = 1 << 20,
    REEL_CHECKSUM_RANGES = 8,
    REEL_CHECKSUMS_FORMAT = 1
};

struct reel_checksum_range {
    int64_t offset, bytes; /* in the file */
    int64_t hashes;        /* where the hashes of its blocks stand */
};

struct reel_checksums {
    char magic[16];
    int64_t format, file_bytes, block_bytes, run_count;
    struct reel_checksum_range runs[REEL_CHECKSUM_RANGES];
    uint64_t rest;
    unsigned char zeros[REEL_CHECKSUMS_BYTES - 256];
    uint64_t own;
};

/* Whether the file at path begins as checkpoints do; 0 when it cannot be read. No errors. */
int reel_checksums_is_there(const char *path);

/* The blocks of a run. */
int64_t reel_checksums_blocks(const struct reel_checksum_range *run);

/* What its last field has to be. */
uint64_t reel_checksums_hash(const struct reel_checksums *checksums);

/* Completes a seal whose runs are set, for a file of that many bytes: hashes the rest and then itself. REEL_BAD_INPUT
 * when the file cannot be read. The seal is not written. */
enum reel_status reel_checksums_make(int file, const char *path, int64_t file_bytes,
                                     struct reel_checksums *checksums);

/* Reads the seal and checks it, with the size of the file. REEL_BAD_INPUT, naming what is wrong; then seal->format is 0,
 * or that of another version whose seal is whole. */
enum reel_status reel_checksums_read(int file, const char *path, struct reel_checksums *checksums);

/* Checks what is neither seal nor run. REEL_BAD_INPUT. */
enum reel_status reel_checksums_check_rest(int file, const char *path,
                                           const struct reel_checksums *checksums);

/* Checks the share of a rank: all blocks of all runs, counted through, cut evenly over ranks. REEL_BAD_INPUT, naming run
 * and block. */
enum reel_status reel_checksums_check_blocks(int file, const char *path,
                                             const struct reel_checksums *checksums, int64_t rank,
                                             int64_t ranks);

/* Reads exactly count bytes at offset; REEL_BAD_INPUT with the reason. */
enum reel_status reel_checksums_read_at(int file, const char *path, int64_t offset, void *bytes,
                                        int64_t count);

#endif
