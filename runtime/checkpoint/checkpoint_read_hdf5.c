/* Reading a checkpoint: every byte is checked in the file first, and every array again in memory. */
#include "checkpoint_arrays.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum reel_status verify_share(const struct reel_comm *comm, const char *path, int *foreign)
{
    struct reel_checksums checksums;
    *foreign = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), trouble = errno;
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    REEL_NEED(
        file >= 0, REEL_BAD_INPUT,
        "%s: rank %lld on host %s cannot open the checkpoint: %s, expected checkpoint.directory on a file "
        "system that all hosts share",
        path, (long long)comm->world.rank, host, strerror(trouble));
    enum reel_status status = reel_checksums_read(file, path, &checksums);
    if (status != REEL_OK)
        *foreign = checksums.format != 0 && checksums.format != REEL_CHECKSUMS_FORMAT;
    if (status == REEL_OK && comm->world.rank == 0)
        status = reel_checksums_check_rest(file, path, &checksums);
    if (status == REEL_OK)
        status = reel_checksums_check_blocks(file, path, &checksums, comm->world.rank, comm->world.size);
    close(file);
    return status;
}

enum reel_status reel_checkpoint_verify(struct reel_comm *comm, const char *path, int *foreign)
{
    enum reel_status status = reel_agree(comm, verify_share(comm, path, foreign));
    REEL_PASS(reel_broadcast(comm, foreign, (int64_t)sizeof *foreign));
    return status;
}

/* Collective over world. Sends the channels that each rank has read to all ranks. */
static enum reel_status share_channels(struct reel_comm *comm, const struct reel_checkpoint *checkpoint)
{
    struct reel_cut cut = reel_checkpoint_channels(comm, checkpoint);
    int64_t plane = checkpoint->metadata.rows * checkpoint->metadata.columns;
    for (int64_t a = 0; a < checkpoint->array_count; a++) {
        const struct reel_checkpoint_array *array = &checkpoint->arrays[a];
        for (int64_t rank = 0; rank < comm->world.size; rank++)
            for (int64_t c = cut.first[rank]; c < cut.first[rank + 1]; c++)
                REEL_PASS(reel_broadcast_from(comm, rank, array->values + c * array->room_frames * plane,
                                              array->frames * plane * (int64_t)sizeof(float)));
    }
    return REEL_OK;
}

enum reel_status reel_checkpoint_compare_arrays(const char *path, const struct reel_checkpoint *checkpoint,
                                                int64_t rank, int64_t ranks)
{
    struct reel_checksums checksums;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    REEL_NEED(file >= 0, REEL_BAD_INPUT, "%s: the checkpoint cannot be opened: %s", path, strerror(errno));
    enum reel_status status = reel_checksums_read(file, path, &checksums);
    if (status == REEL_OK && checksums.range_count != checkpoint->array_count)
        status = reel_fail(REEL_BAD_INPUT, "%s: has %lld arrays, expected %lld", path,
                           (long long)checksums.range_count, (long long)checkpoint->array_count);
    for (int64_t a = 0; a < checkpoint->array_count && status == REEL_OK; a++) {
        int64_t blocks = reel_checksums_blocks(&checksums.ranges[a]);
        if (checksums.ranges[a].bytes != reel_checkpoint_array_bytes(checkpoint, &checkpoint->arrays[a]))
            status = reel_fail(REEL_BAD_INPUT, "%s: %s has %lld bytes, expected %lld", path,
                               checkpoint->arrays[a].name, (long long)checksums.ranges[a].bytes,
                               (long long)reel_checkpoint_array_bytes(checkpoint, &checkpoint->arrays[a]));
        for (int64_t b = blocks * rank / ranks; b < blocks * (rank + 1) / ranks && status == REEL_OK; b++) {
            uint64_t expected = 0, hash = reel_checkpoint_hash(checkpoint, &checkpoint->arrays[a], b);
            status =
                reel_checksums_read_at(file, path, checksums.ranges[a].hashes + b * (int64_t)sizeof expected,
                                       &expected, sizeof expected);
            if (status == REEL_OK && hash != expected)
                status =
                    reel_fail(REEL_BAD_INPUT, "%s: block %lld of %s in memory differs from what was written",
                              path, (long long)b, checkpoint->arrays[a].name);
        }
    }
    close(file);
    return status;
}

enum reel_status reel_checkpoint_read_arrays(struct reel_comm *comm, const char *path,
                                             const struct reel_checkpoint *checkpoint)
{
    REEL_PASS(reel_checkpoint_transfer_arrays(comm, path, checkpoint, REEL_TRANSFER_READ));
    REEL_PASS(share_channels(comm, checkpoint));
    return reel_agree(comm,
                      reel_checkpoint_compare_arrays(path, checkpoint, comm->world.rank, comm->world.size));
}
