/* The checksums header of a checkpoint: its first 4096 bytes. With it, plain reads can tell whether the whole
 * file is as it was written.
 *
 * HDF5's own checksums miss real corruption, and a damaged file should not reach HDF5's parser at all. So a
 * checkpoint is an HDF5 file with a user block in front. The user block says where the large arrays are,
 * where the hashes of their blocks are, and what the hash of all other bytes is. It covers every byte of the
 * file: a flipped bit anywhere is found before HDF5 sees it.
 *
 *     bytes      0  "reel checkpoint\n"
 *               16  int64 format; bytes of the file; bytes of a block (1 MiB); number of ranges
 *               48  8 ranges: int64 offset, bytes, offset of the hashes (one uint64 a block)
 *              240  uint64 XXH3 of all bytes outside this header and the ranges, in order
 *              248  zeros
 *             4088  uint64 XXH3 of the 4088 bytes before it
 *
 * All values are little-endian. Each array is one range. A block is 1 MiB of a range, counted from the start
 * of the range; the last one may be shorter. So it does not matter which rank wrote a block, and any number
 * of ranks can share the check. Hash: XXH3, 64 bits, seed 0 (xxHash, Collet). Not collective. */
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
    int64_t hashes;        /* offset in the file of the hashes of its blocks */
};

struct reel_checksums {
    char magic[16];
    int64_t format, file_bytes, block_bytes, range_count;
    struct reel_checksum_range ranges[REEL_CHECKSUM_RANGES];
    uint64_t rest; /* hash of the bytes outside the header and the ranges */
    unsigned char zeros[REEL_CHECKSUMS_BYTES - 256];
    uint64_t own; /* hash of all members before it */
};

/* 1 when the file at path begins as a checkpoint does; 0 otherwise, and when it cannot be read. No errors. */
int reel_checksums_is_there(const char *path);

/* The number of blocks of a range. */
int64_t reel_checksums_blocks(const struct reel_checksum_range *range);

/* The hash that the member `own` must have. */
uint64_t reel_checksums_hash(const struct reel_checksums *checksums);

/* Completes checksums whose ranges are set, for a file of file_bytes bytes: computes `rest` from the file,
 * and then `own`. It does not write them to the file. REEL_BAD_INPUT when the file cannot be read;
 * REEL_NO_MEMORY. */
enum reel_status reel_checksums_make(int file, const char *path, int64_t file_bytes,
                                     struct reel_checksums *checksums);

/* Reads the checksums header and checks it and the size of the file. REEL_BAD_INPUT, naming what is wrong. A
 * header that is undamaged but of another version leaves that version in checksums->format; a damaged one
 * leaves 0 there. */
enum reel_status reel_checksums_read(int file, const char *path, struct reel_checksums *checksums);

/* Checks the bytes outside the header and the ranges. REEL_BAD_INPUT, REEL_NO_MEMORY. */
enum reel_status reel_checksums_check_rest(int file, const char *path,
                                           const struct reel_checksums *checksums);

/* Checks the share of a rank: the blocks of all ranges, numbered consecutively, are cut evenly over `ranks`
 * ranks. REEL_BAD_INPUT, naming range and block; REEL_NO_MEMORY. */
enum reel_status reel_checksums_check_blocks(int file, const char *path,
                                             const struct reel_checksums *checksums, int64_t rank,
                                             int64_t ranks);

/* Reads exactly count bytes at offset. REEL_BAD_INPUT, naming the reason. */
enum reel_status reel_checksums_read_at(int file, const char *path, int64_t offset, void *bytes,
                                        int64_t count);

#endif
