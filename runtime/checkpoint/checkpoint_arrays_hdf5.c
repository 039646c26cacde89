/* Parallel HDF5: each rank transfers hyperslabs of whole channels. */
#include "checkpoint_arrays.h"

#include "checkpoint_metadata.h"
#include "fault.h"
#include "heartbeat.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* for XXH3_state_t on the stack */
#include <xxhash.h>

/* One call moves less than 2 GiB: larger writes fail, and ROMIO crashes in larger reads. */
enum { MAX_BYTES = 512 << 20 };

static int64_t plane_of(const struct reel_checkpoint *checkpoint)
{
    return checkpoint->metadata.rows * checkpoint->metadata.columns;
}

int64_t reel_checkpoint_array_bytes(const struct reel_checkpoint *checkpoint,
                                    const struct reel_checkpoint_array *array)
{
    return checkpoint->metadata.channels * array->frames * plane_of(checkpoint) * (int64_t)sizeof(float);
}

struct reel_cut reel_checkpoint_channels(const struct reel_comm *comm,
                                         const struct reel_checkpoint *checkpoint)
{
    return reel_cut_even(checkpoint->metadata.channels, comm->world.size);
}

uint64_t reel_checkpoint_hash(const struct reel_checkpoint *checkpoint,
                              const struct reel_checkpoint_array *array, int64_t block)
{
    enum { FLOATS = REEL_CHECKSUMS_BLOCK_BYTES / sizeof(float) };
    int64_t channel = array->frames * plane_of(checkpoint), room = array->room_frames * plane_of(checkpoint);
    int64_t at = block * FLOATS, all = channel * checkpoint->metadata.channels,
            end = at + FLOATS < all ? at + FLOATS : all;
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    /* Channels are contiguous in the file; in memory there is unused room between them. */
    for (int64_t count; at < end; at += count) {
        count = channel - at % channel < end - at ? channel - at % channel : end - at;
        XXH3_64bits_update(&state, array->values + at / channel * room + at % channel,
                           (size_t)count * sizeof(float));
    }
    return XXH3_64bits_digest(&state);
}

/* The part of an array that one call moves: whole channels, or some frames of one channel. */
struct piece {
    int64_t channel, channels, frame, frames;
};

/* The max piece. It has more than one channel only when channels are contiguous in memory too. */
static struct piece max_piece(const struct reel_checkpoint *checkpoint,
                              const struct reel_checkpoint_array *array)
{
    int64_t plane = plane_of(checkpoint) * (int64_t)sizeof(float), channel = array->frames * plane;
    struct piece max = {.channels = 1, .frames = array->frames};
    if (array->room_frames == array->frames && channel <= MAX_BYTES)
        max.channels = MAX_BYTES / channel;
    if (channel > MAX_BYTES)
        max.frames = MAX_BYTES / plane > 1 ? MAX_BYTES / plane : 1;
    return max;
}

static herr_t move_piece(const struct reel_checkpoint *checkpoint, const struct reel_checkpoint_array *array,
                         const struct piece *piece, hid_t set, enum reel_transfer transfer)
{
    hsize_t start[4] = {(hsize_t)piece->channel, (hsize_t)piece->frame, 0, 0},
            count[4] = {(hsize_t)piece->channels, (hsize_t)piece->frames, (hsize_t)checkpoint->metadata.rows,
                        (hsize_t)checkpoint->metadata.columns},
            all[1] = {count[0] * count[1] * count[2] * count[3]};
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(1, all, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    float *values =
        array->values + (piece->channel * array->room_frames + piece->frame) * plane_of(checkpoint);
    herr_t moved = transfer == REEL_TRANSFER_READ
                       ? H5Dread(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values)
                       : H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, values);
    H5Sclose(memory);
    H5Sclose(space);
    reel_heartbeat();
    return moved;
}

/* Transfers this rank's channels, with independent calls. A collective call that fails on one rank returns
 * there without the exchanges that the other ranks wait for, and they hang. Returns 1 when all transfers
 * succeed, else 0. */
static int move_all(const struct reel_comm *comm, const struct reel_checkpoint *checkpoint, const hid_t *sets,
                    enum reel_transfer transfer)
{
    struct reel_cut channels = reel_checkpoint_channels(comm, checkpoint);
    int64_t end = channels.first[comm->world.rank + 1];
    for (int64_t a = 0; a < checkpoint->array_count; a++) {
        const struct reel_checkpoint_array *array = &checkpoint->arrays[a];
        struct piece max = max_piece(checkpoint, array),
                     piece = {.channel = channels.first[comm->world.rank]};
        for (; piece.channel < end; piece.channel += piece.channels) {
            piece.channels = end - piece.channel < max.channels ? end - piece.channel : max.channels;
            for (piece.frame = 0; piece.frame < array->frames; piece.frame += piece.frames) {
                piece.frames =
                    array->frames - piece.frame < max.frames ? array->frames - piece.frame : max.frames;
                if (move_piece(checkpoint, array, &piece, sets[a], transfer) < 0)
                    return 0;
            }
        }
    }
    return 1;
}

/* Collective over world. Returns 1 when everything was closed without an error, else 0. */
static int close_all(const struct reel_checkpoint *checkpoint, hid_t file, const hid_t *sets)
{
    int failed = 0;
    for (int64_t a = 0; a < checkpoint->array_count; a++)
        failed |= sets[a] >= 0 && H5Dclose(sets[a]) < 0;
    return H5Fclose(file) >= 0 && !failed;
}

static enum reel_status cause_of(enum reel_transfer transfer)
{
    return transfer == REEL_TRANSFER_READ ? REEL_BAD_INPUT : REEL_BAD_OUTPUT;
}

/* Collective over world. Opens the file and its arrays, on all ranks or on none. */
static enum reel_status open_all(struct reel_comm *comm, const char *path,
                                 const struct reel_checkpoint *checkpoint, enum reel_transfer transfer,
                                 hid_t *file, hid_t *sets)
{
    char host[128] = "", name[64];
    enum reel_status cause = cause_of(transfer);
    int reads = transfer == REEL_TRANSFER_READ, missing = access(path, reads ? R_OK : R_OK | W_OK) != 0;
    gethostname(host, sizeof host - 1);
    enum reel_status status = REEL_OK;
    /* Checked before HDF5 can open the file on some ranks and fail on others. */
    if (missing || reel_fault(REEL_FAULT_CHECKPOINT_OPEN))
        status = reel_fail(cause,
                           "%s: rank %lld on host %s cannot open the checkpoint: %s, expected "
                           "checkpoint.directory on a file system that all hosts share",
                           path, (long long)comm->world.rank, host, strerror(errno));
    REEL_PASS(reel_agree(comm, status));
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, comm->world.mpi, MPI_INFO_NULL);
    *file = H5Fopen(path, reads ? H5F_ACC_RDONLY : H5F_ACC_RDWR, access);
    H5Pclose(access);
    if (*file < 0)
        status = reel_fail(cause, "%s: parallel HDF5 cannot open the checkpoint", path);
    REEL_PASS(reel_agree(comm, status)); /* ROMIO opens the file on all ranks or on none */
    int failed = 0;
    for (int64_t a = 0; a < checkpoint->array_count; a++) {
        snprintf(name, sizeof name, "/latents/%s", checkpoint->arrays[a].name);
        sets[a] = H5Dopen2(*file, name, H5P_DEFAULT);
        failed |= sets[a] < 0;
    }
    if (failed)
        status = reel_fail(cause, "%s: parallel HDF5 does not find the arrays of the checkpoint", path);
    status = reel_agree(comm, status);
    if (status != REEL_OK)
        close_all(checkpoint, *file, sets);
    return status;
}

enum reel_status reel_checkpoint_transfer_arrays(struct reel_comm *comm, const char *path,
                                                 const struct reel_checkpoint *checkpoint,
                                                 enum reel_transfer transfer)
{
    enum reel_status cause = cause_of(transfer);
    int reads = transfer == REEL_TRANSFER_READ;
    hid_t file, sets[REEL_CHECKPOINT_ARRAYS];
    enum reel_status status = REEL_OK;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    REEL_PASS(open_all(comm, path, checkpoint, transfer, &file, sets));
    if (!move_all(comm, checkpoint, sets, transfer) ||
        reel_fault(reads ? REEL_FAULT_CHECKPOINT_READ : REEL_FAULT_CHECKPOINT_WRITE))
        status = reel_fail(cause, "%s: rank %lld could not %s its part of the checkpoint%s", path,
                           (long long)comm->world.rank, reads ? "read" : "write",
                           reads ? "" : ": the disk is full, or failed");
    status = reel_agree(comm, status);
    if (status != REEL_OK && !reads) { /* frees disk space for HDF5's last writes, or closing hangs */
        if (comm->world.rank == 0 && truncate(path, 0) != 0)
            reel_trail("the file could not be emptied either");
        MPI_Barrier(comm->world.mpi);
    }
    int closed = close_all(checkpoint, file, sets) && !reel_fault(REEL_FAULT_CHECKPOINT_CLOSE);
    if (status == REEL_OK && !closed && !reads)
        status = reel_fail(cause, "%s: HDF5 could not close the checkpoint", path);
    return reel_agree(comm, status);
}
