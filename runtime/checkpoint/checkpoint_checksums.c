/* Making, reading and checking the checksums of a checkpoint. */
#include "checkpoint_checksums.h"

#include "heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static const char magic[16] = "reel checkpoint\n"; /* without the terminating zero */

_Static_assert(sizeof(struct reel_checksums) == REEL_CHECKSUMS_BYTES, "the checksums header has no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the checksums header is little-endian, and so must the host be");

int reel_checksums_is_there(const char *path)
{
    char start[sizeof magic];
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) /* opening a pipe would wait for its writer */
        return 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t got = read(file, start, sizeof start);
    close(file);
    return got == (ssize_t)sizeof start && memcmp(start, magic, sizeof start) == 0;
}

int64_t reel_checksums_blocks(const struct reel_checksum_range *range)
{
    return (range->bytes + REEL_CHECKSUMS_BLOCK_BYTES - 1) / REEL_CHECKSUMS_BLOCK_BYTES;
}

enum reel_status reel_checksums_read_at(int file, const char *path, int64_t offset, void *bytes,
                                        int64_t count)
{
    for (int64_t done = 0; done < count;) {
        ssize_t got = pread(file, (char *)bytes + done, (size_t)(count - done), offset + done);
        if (got < 0 && errno == EINTR)
            continue;
        REEL_NEED(got >= 0, REEL_BAD_INPUT, "%s: cannot be read at byte %lld: %s", path,
                  (long long)(offset + done), strerror(errno));
        REEL_NEED(got > 0, REEL_BAD_INPUT, "%s: ends at byte %lld, expected more: it was cut short", path,
                  (long long)(offset + done));
        done += got;
    }
    return REEL_OK;
}

/* The end of range r, or of the header when r is -1: the first byte that `rest` covers. */
static int64_t end_of(const struct reel_checksums *checksums, int64_t r)
{
    return r < 0 ? REEL_CHECKSUMS_BYTES : checksums->ranges[r].offset + checksums->ranges[r].bytes;
}

/* The hash of all bytes between and after the ranges. buffer has the size of a block. */
static enum reel_status hash_rest(int file, const char *path, const struct reel_checksums *checksums,
                                  void *buffer, uint64_t *hash)
{
    XXH3_state_t *state = XXH3_createState();
    enum reel_status status = state ? REEL_OK : reel_fail(REEL_NO_MEMORY, "%s: no memory for a hash", path);
    if (state)
        XXH3_64bits_reset(state);
    for (int64_t r = -1; r < checksums->range_count && status == REEL_OK; r++) {
        int64_t at = end_of(checksums, r), end = r + 1 < checksums->range_count
                                                     ? checksums->ranges[r + 1].offset
                                                     : checksums->file_bytes;
        for (int64_t piece; at < end && status == REEL_OK; at += piece) {
            piece = end - at < REEL_CHECKSUMS_BLOCK_BYTES ? end - at : REEL_CHECKSUMS_BLOCK_BYTES;
            status = reel_checksums_read_at(file, path, at, buffer, piece);
            if (status == REEL_OK)
                XXH3_64bits_update(state, buffer, (size_t)piece);
        }
    }
    if (state)
        *hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return status;
}

static enum reel_status hash_rest_alone(int file, const char *path, const struct reel_checksums *checksums,
                                        uint64_t *hash)
{
    void *buffer = malloc(REEL_CHECKSUMS_BLOCK_BYTES);
    REEL_NEED(buffer, REEL_NO_MEMORY, "%s: no memory to check it", path);
    enum reel_status status = hash_rest(file, path, checksums, buffer, hash);
    free(buffer);
    return status;
}

uint64_t reel_checksums_hash(const struct reel_checksums *checksums)
{
    return XXH3_64bits(checksums, REEL_CHECKSUMS_BYTES - sizeof checksums->own);
}

enum reel_status reel_checksums_make(int file, const char *path, int64_t file_bytes,
                                     struct reel_checksums *checksums)
{
    memcpy(checksums->magic, magic, sizeof magic);
    checksums->format = REEL_CHECKSUMS_FORMAT;
    checksums->file_bytes = file_bytes;
    checksums->block_bytes = REEL_CHECKSUMS_BLOCK_BYTES;
    enum reel_status status = hash_rest_alone(file, path, checksums, &checksums->rest);
    checksums->own = reel_checksums_hash(checksums);
    return status;
}

/* Checks that every range and its hashes lie inside the file. A correct hash of the header does not prove
 * that: a faulty reel may have written it. */
static enum reel_status check_ranges(const char *path, const struct reel_checksums *checksums)
{
    REEL_NEED(checksums->block_bytes == REEL_CHECKSUMS_BLOCK_BYTES && checksums->range_count >= 0 &&
                  checksums->range_count <= REEL_CHECKSUM_RANGES &&
                  checksums->file_bytes >= REEL_CHECKSUMS_BYTES,
              REEL_BAD_INPUT, "%s: the offsets and sizes in its checksums header are inconsistent", path);
    for (int64_t r = 0; r < checksums->range_count; r++) {
        const struct reel_checksum_range *range = &checksums->ranges[r];
        REEL_NEED(range->offset >= end_of(checksums, r - 1) && range->offset <= checksums->file_bytes &&
                      range->bytes >= 0 && range->bytes <= checksums->file_bytes - range->offset &&
                      range->hashes >= REEL_CHECKSUMS_BYTES && range->hashes <= checksums->file_bytes &&
                      reel_checksums_blocks(range) <=
                          (checksums->file_bytes - range->hashes) / (int64_t)sizeof(uint64_t),
                  REEL_BAD_INPUT, "%s: the offsets and sizes in its checksums header are inconsistent", path);
    }
    return REEL_OK;
}

enum reel_status reel_checksums_read(int file, const char *path, struct reel_checksums *checksums)
{
    struct stat facts;
    struct reel_checksums read;
    checksums->format = 0; /* also when the caller's struct is not initialised */
    REEL_PASS(reel_checksums_read_at(file, path, 0, &read, sizeof read));
    REEL_NEED(memcmp(read.magic, magic, sizeof magic) == 0, REEL_BAD_INPUT,
              "%s: does not begin as a checkpoint does", path);
    REEL_NEED(read.own == reel_checksums_hash(&read), REEL_BAD_INPUT, "%s: its first %d bytes are damaged",
              path, REEL_CHECKSUMS_BYTES);
    *checksums = read;
    REEL_NEED(checksums->format == REEL_CHECKSUMS_FORMAT, REEL_BAD_INPUT,
              "%s: is a checkpoint of format %lld, expected %d, which this version reads", path,
              (long long)checksums->format, REEL_CHECKSUMS_FORMAT);
    REEL_NEED(fstat(file, &facts) == 0, REEL_BAD_INPUT, "%s: %s", path, strerror(errno));
    REEL_NEED(facts.st_size == checksums->file_bytes, REEL_BAD_INPUT, "%s: has %lld bytes, expected %lld",
              path, (long long)facts.st_size, (long long)checksums->file_bytes);
    return check_ranges(path, checksums);
}

enum reel_status reel_checksums_check_rest(int file, const char *path, const struct reel_checksums *checksums)
{
    uint64_t hash = 0;
    REEL_PASS(hash_rest_alone(file, path, checksums, &hash));
    REEL_NEED(hash == checksums->rest, REEL_BAD_INPUT,
              "%s: the bytes outside its arrays are damaged: hash %016llx, expected %016llx", path,
              (unsigned long long)hash, (unsigned long long)checksums->rest);
    return REEL_OK;
}

static enum reel_status check_block(int file, const char *path, const struct reel_checksums *checksums,
                                    int64_t r, int64_t block, void *buffer)
{
    const struct reel_checksum_range *range = &checksums->ranges[r];
    int64_t at = block * REEL_CHECKSUMS_BLOCK_BYTES, bytes = range->bytes - at < REEL_CHECKSUMS_BLOCK_BYTES
                                                                 ? range->bytes - at
                                                                 : REEL_CHECKSUMS_BLOCK_BYTES;
    uint64_t expected, hash;
    REEL_PASS(reel_checksums_read_at(file, path, range->hashes + block * (int64_t)sizeof expected, &expected,
                                     sizeof expected));
    REEL_PASS(reel_checksums_read_at(file, path, range->offset + at, buffer, bytes));
    hash = XXH3_64bits(buffer, (size_t)bytes);
    REEL_NEED(hash == expected, REEL_BAD_INPUT,
              "%s: block %lld of array %lld is damaged (bytes %lld to %lld): hash %016llx, expected %016llx",
              path, (long long)block, (long long)r, (long long)(range->offset + at),
              (long long)(range->offset + at + bytes - 1), (unsigned long long)hash,
              (unsigned long long)expected);
    return REEL_OK;
}

enum reel_status reel_checksums_check_blocks(int file, const char *path,
                                             const struct reel_checksums *checksums, int64_t rank,
                                             int64_t ranks)
{
    int64_t all = 0, before = 0;
    enum reel_status status = REEL_OK;
    for (int64_t r = 0; r < checksums->range_count; r++)
        all += reel_checksums_blocks(&checksums->ranges[r]);
    int64_t first = all / ranks * rank + all % ranks * rank / ranks,
            end = all / ranks * (rank + 1) + all % ranks * (rank + 1) / ranks;
    void *buffer = malloc(REEL_CHECKSUMS_BLOCK_BYTES);
    REEL_NEED(buffer, REEL_NO_MEMORY, "%s: no memory to check it", path);
    for (int64_t r = 0; r < checksums->range_count; r++) {
        int64_t blocks = reel_checksums_blocks(&checksums->ranges[r]);
        for (int64_t b = 0; b < blocks && status == REEL_OK; b++)
            if (before + b >= first && before + b < end) {
                status = check_block(file, path, checksums, r, b, buffer);
                reel_heartbeat();
            }
        before += blocks;
    }
    free(buffer);
    return status;
}
