/* Writing a checkpoint: the commit protocol of checkpoint.h. */
#include "checkpoint_arrays.h"
#include "checkpoint_metadata.h"
#include "fault.h"
#include "heartbeat.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ALIGNED_FROM = 1 << 16, ALIGNMENT = 4096, SKELETON_MIN = 1 << 20, SKELETON_PATH_BYTES = 256 };

static const char skeleton_directory[] = "/dev/shm";

static enum reel_status cannot(const char *path, const char *what)
{
    return reel_fail(REEL_BAD_OUTPUT, "%s: the checkpoint could not be %s: %s", path, what, strerror(errno));
}

/* Collective over world. The hashes of every array's blocks, on rank 0. Each rank hashes a share. */
static enum reel_status hash_arrays(struct reel_comm *comm, const struct reel_checkpoint *checkpoint,
                                    uint64_t *hashes[REEL_CHECKPOINT_ARRAYS])
{
    enum reel_status status = REEL_OK;
    for (int64_t a = 0; a < checkpoint->array_count; a++) {
        struct reel_checksum_range range = {
            .bytes = reel_checkpoint_array_bytes(checkpoint, &checkpoint->arrays[a])};
        int64_t blocks = reel_checksums_blocks(&range), rank = comm->world.rank, ranks = comm->world.size;
        hashes[a] = calloc((size_t)blocks + 1, sizeof *hashes[a]);
        if (!hashes[a] || reel_fault(REEL_FAULT_CHECKPOINT_HASH))
            status = reel_fail(REEL_NO_MEMORY, "no memory for the hashes of %lld blocks", (long long)blocks);
        for (int64_t b = blocks * rank / ranks; hashes[a] && b < blocks * (rank + 1) / ranks; b++)
            hashes[a][b] = reel_checkpoint_hash(checkpoint, &checkpoint->arrays[a], b);
        REEL_PASS(reel_agree(comm, status));
        /* Each hash is set on one rank and zero on all others. */
        int failed = MPI_Reduce(rank == 0 ? MPI_IN_PLACE : hashes[a], hashes[a], (int)blocks, MPI_UINT64_T,
                                MPI_BOR, 0, comm->world.mpi);
        REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the hashes of the checkpoint did not reach rank 0");
    }
    return REEL_OK;
}

/* Creates the dataset of an array. Its room in the file is allocated but not filled; *range says where it
 * is. */
static void array_dataset(struct reel_hdf5 *file, const struct reel_checkpoint *checkpoint,
                          const struct reel_checkpoint_array *array, struct reel_checksum_range *range)
{
    char name[64];
    hsize_t shape[4];
    snprintf(name, sizeof name, "/latents/%s", array->name);
    reel_checkpoint_shape(checkpoint, array, shape);
    hid_t space = H5Screate_simple(4, shape, NULL), links = H5Pcreate(H5P_LINK_CREATE),
          creation = H5Pcreate(H5P_DATASET_CREATE);
    reel_hdf5_keep(file, H5Pset_create_intermediate_group(links, 1));
    reel_hdf5_keep(file, H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY));
    reel_hdf5_keep(file, H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER));
    hid_t set = H5Dcreate2(file->id, name, H5T_IEEE_F32LE, space, links, creation, H5P_DEFAULT);
    file->failed |= set < 0;
    if (set >= 0) {
        range->offset = (int64_t)H5Dget_offset(set);
        range->bytes = reel_checkpoint_array_bytes(checkpoint, array);
        file->failed |= range->offset < REEL_CHECKSUMS_BYTES || H5Dclose(set) < 0;
    }
    H5Pclose(creation);
    H5Pclose(links);
    H5Sclose(space);
}

/* Writes the hashes of an array; range->hashes says where they are. */
static void hashes_dataset(struct reel_hdf5 *file, const char *array, const uint64_t *hashes,
                           struct reel_checksum_range *range)
{
    char name[64];
    hsize_t blocks[1] = {(hsize_t)reel_checksums_blocks(range)};
    snprintf(name, sizeof name, "/hashes/%s", array);
    reel_hdf5_dataset(file, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, blocks, hashes);
    hid_t set = file->failed ? -1 : H5Dopen2(file->id, name, H5P_DEFAULT);
    if (set >= 0) {
        range->hashes = (int64_t)H5Dget_offset(set);
        H5Dclose(set);
    }
    file->failed |= set < 0 || range->hashes < REEL_CHECKSUMS_BYTES;
}

/* Writes everything except the arrays' values, as a sparse file at path. Fills the ranges of the checksums,
 * in the order of the file. Returns 1 on success, else 0. */
static int build_skeleton(const char *path, const struct reel_checkpoint *checkpoint,
                          uint64_t *const hashes[REEL_CHECKPOINT_ARRAYS], struct reel_checksums *checksums)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_alignment(access, ALIGNED_FROM, ALIGNMENT);
    H5Pset_userblock(creation, REEL_CHECKSUMS_BYTES);
    struct reel_hdf5 file = {.id = H5Fcreate(path, H5F_ACC_TRUNC, creation, access)};
    H5Pclose(creation);
    H5Pclose(access);
    if (file.id < 0)
        return 0;
    reel_checkpoint_put(&file, checkpoint);
    for (int64_t a = 0; a < checkpoint->array_count; a++)
        array_dataset(&file, checkpoint, &checkpoint->arrays[a], &checksums->ranges[a]);
    checksums->range_count = checkpoint->array_count;
    for (int64_t a = 0; a < checkpoint->array_count && !file.failed; a++)
        hashes_dataset(&file, checkpoint->arrays[a].name, hashes[a], &checksums->ranges[a]);
    for (int64_t a = 1; a < checkpoint->array_count; a++)
        file.failed |=
            checksums->ranges[a].offset < checksums->ranges[a - 1].offset + checksums->ranges[a - 1].bytes;
    return H5Fclose(file.id) >= 0 && !file.failed && !reel_fault(REEL_FAULT_CHECKPOINT_SKELETON);
}

/* The max bytes of data in the skeleton, holes excluded. */
static int64_t skeleton_bytes(const struct reel_checkpoint *checkpoint)
{
    const struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    int64_t bytes =
        SKELETON_MIN +
        128 * (metadata->call_count + metadata->saving_count + metadata->begun + metadata->chunk_frames) +
        (int64_t)(strlen(checkpoint->job) + strlen(checkpoint->fingerprint)) + REEL_GEMM_ALGORITHMS_BYTES;
    for (int64_t a = 0; a < checkpoint->array_count; a++)
        bytes += 2 * reel_checkpoint_array_bytes(checkpoint, &checkpoint->arrays[a]) /
                 REEL_CHECKSUMS_BLOCK_BYTES * 8;
    return bytes;
}

/* Removes the skeletons that killed jobs of this checkpoint directory have left: files whose names begin with
 * start. */
static void sweep_skeletons(const char *start)
{
    char path[512];
    DIR *listing = opendir(skeleton_directory);
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        if (strncmp(entry->d_name, start, strlen(start)) == 0) {
            snprintf(path, sizeof path, "%s/%.255s", skeleton_directory, entry->d_name);
            unlink(path);
        }
    if (listing)
        closedir(listing);
}

/* Creates the skeleton's file in the memory-backed file system, and checks that there is room for it: HDF5
 * must not be the first to find out that there is none. */
static enum reel_status begin_skeleton(const struct reel_checkpoint_directory *directory,
                                       const struct reel_checkpoint *checkpoint,
                                       char path[SKELETON_PATH_BYTES])
{
    struct stat facts;
    char start[128];
    REEL_NEED(stat(directory->path, &facts) == 0, REEL_BAD_OUTPUT, "%s: %s", directory->path,
              strerror(errno));
    snprintf(start, sizeof start, "reel-%lld-%llx-%llx-", (long long)geteuid(),
             (unsigned long long)facts.st_dev, (unsigned long long)facts.st_ino);
    sweep_skeletons(start);
    snprintf(path, SKELETON_PATH_BYTES, "%s/%sXXXXXX", skeleton_directory, start);
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return cannot(path, "begun");
    int full = posix_fallocate(file, 0, skeleton_bytes(checkpoint));
    int emptied = ftruncate(file, 0);
    close(file);
    if (full || emptied != 0) {
        unlink(path);
        errno = full ? full : errno;
        return cannot(path, "begun");
    }
    return REEL_OK;
}

/* Reserves room for the whole checkpoint on the disk, before a byte is written. */
static enum reel_status reserve_room(int file, const char *path, int64_t bytes)
{
    struct statvfs there;
    int trouble = fallocate(file, 0, 0, bytes) == 0 ? 0 : errno;
    if (reel_fault(REEL_FAULT_CHECKPOINT_RESERVE))
        trouble = ENOSPC;
    /* A file system that cannot reserve: compare with its free space at least. */
    if (trouble == EOPNOTSUPP || trouble == ENOSYS) {
        trouble = fstatvfs(file, &there) != 0 ? errno : 0;
        if (!trouble && (double)there.f_bavail * (double)there.f_frsize < (double)bytes)
            trouble = ENOSPC;
        if (!trouble && ftruncate(file, bytes) != 0)
            trouble = errno;
    }
    errno = trouble;
    REEL_NEED(!trouble, REEL_BAD_OUTPUT, "%s: there is no room for a checkpoint of %lld bytes: %s", path,
              (long long)bytes, strerror(trouble));
    return REEL_OK;
}

static enum reel_status write_at(int file, const char *path, int64_t offset, const void *bytes, int64_t count)
{
    for (int64_t done = 0; done < count;) {
        ssize_t put = pwrite(file, (const char *)bytes + done, (size_t)(count - done), offset + done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return cannot(path, "written");
        done += put;
    }
    return REEL_OK;
}

/* Copies the data of the skeleton and skips its holes, which are nearly all of it. */
static enum reel_status copy_data(int from, int to, const char *path, int64_t bytes)
{
    char buffer[1 << 16];
    int64_t at = 0, end;
    while (at < bytes && (at = lseek(from, at, SEEK_DATA)) >= 0 && (end = lseek(from, at, SEEK_HOLE)) >= 0)
        for (int64_t piece; at < end; at += piece) {
            piece = end - at < (int64_t)sizeof buffer ? end - at : (int64_t)sizeof buffer;
            REEL_PASS(reel_checksums_read_at(from, path, at, buffer, piece));
            REEL_PASS(write_at(to, path, at, buffer, piece));
        }
    if (at < 0 && errno != ENXIO) /* ENXIO: there is no more data */
        return cannot(path, "begun");
    return REEL_OK;
}

/* Creates the temporary file with everything except the arrays' values, and writes its checksums header. On
 * rank 0. */
static enum reel_status copy_skeleton(const char *skeleton, const char *path,
                                      struct reel_checksums *checksums)
{
    struct stat facts;
    int from = open(skeleton, O_RDONLY | O_CLOEXEC);
    unlink(skeleton);
    if (from < 0 || fstat(from, &facts) != 0)
        return cannot(skeleton, "begun");
    int to = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    enum reel_status status = to < 0 ? cannot(path, "begun") : reserve_room(to, path, facts.st_size);
    if (status == REEL_OK)
        status = copy_data(from, to, path, facts.st_size);
    if (status == REEL_OK)
        status = reel_checksums_make(to, path, facts.st_size, checksums);
    if (status == REEL_OK)
        status = write_at(to, path, 0, checksums, sizeof *checksums);
    if (status == REEL_BAD_INPUT) /* reading failed, but for the caller it is the output that failed */
        status = reel_error_recast(REEL_BAD_OUTPUT);
    close(from);
    if (to >= 0 && close(to) != 0 && status == REEL_OK)
        status = cannot(path, "begun");
    return status;
}

/* Builds the skeleton and makes the temporary file from it. On rank 0. */
static enum reel_status begin_file(const struct reel_checkpoint_directory *directory,
                                   const struct reel_checkpoint *checkpoint,
                                   uint64_t *const hashes[REEL_CHECKPOINT_ARRAYS], const char *path,
                                   struct reel_checksums *checksums)
{
    char skeleton[SKELETON_PATH_BYTES];
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    REEL_PASS(begin_skeleton(directory, checkpoint, skeleton));
    if (!build_skeleton(skeleton, checkpoint, hashes, checksums)) {
        unlink(skeleton);
        return reel_fail(REEL_BAD_OUTPUT, "%s: HDF5 could not build the checkpoint's skeleton", skeleton);
    }
    return copy_skeleton(skeleton, path, checksums);
}

/* Checks that the file is what it should be: every rank reads a share back, and flushes the file to the disk.
 * The file was opened before the arrays were written. So the kernel reports to this descriptor every write
 * that was lost since, even if another descriptor was closed in between. */
static enum reel_status read_back(const struct reel_comm *comm, int file, const char *path,
                                  const struct reel_checksums *checksums)
{
    /* The disk starts writing while the blocks are checked. */
    sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
    enum reel_status status =
        reel_checksums_check_blocks(file, path, checksums, comm->world.rank, comm->world.size);
    if (status == REEL_OK && comm->world.rank == 0)
        status = reel_checksums_check_rest(file, path, checksums);
    if (status == REEL_BAD_INPUT) {
        status = reel_error_recast(REEL_BAD_OUTPUT);
        reel_trail("reading back what was written");
    }
    if (status == REEL_OK && (reel_fault(REEL_FAULT_CHECKPOINT_SYNC) || fsync(file) != 0))
        status = cannot(path, "flushed");
    return status;
}

/* Collective over world. Writes and checks the whole temporary file; afterwards it only has to be renamed. */
static enum reel_status write_temporary(struct reel_comm *comm,
                                        const struct reel_checkpoint_directory *directory,
                                        const struct reel_checkpoint *checkpoint, const char *path,
                                        int64_t *bytes)
{
    uint64_t *hashes[REEL_CHECKPOINT_ARRAYS] = {0};
    struct reel_checksums checksums;
    memset(&checksums, 0, sizeof checksums);
    enum reel_status status = hash_arrays(comm, checkpoint, hashes);
    if (status == REEL_OK)
        status = reel_agree(comm, comm->world.rank == 0
                                      ? begin_file(directory, checkpoint, hashes, path, &checksums)
                                      : REEL_OK);
    for (int a = 0; a < REEL_CHECKPOINT_ARRAYS; a++)
        free(hashes[a]);
    REEL_PASS(status);
    REEL_PASS(reel_broadcast(comm, &checksums, (int64_t)sizeof checksums));
    *bytes = checksums.file_bytes;
    int file = open(path, O_RDONLY | O_CLOEXEC), trouble = errno;
    status = reel_checkpoint_transfer_arrays(comm, path, checkpoint, REEL_TRANSFER_WRITE);
    if (status == REEL_OK) {
        errno = trouble;
        status =
            reel_agree(comm, file < 0 ? cannot(path, "read back") : read_back(comm, file, path, &checksums));
    }
    if (file >= 0)
        close(file);
    return status;
}

/* The next generation, and the path of its temporary file. On rank 0. */
static enum reel_status name_next(const struct reel_checkpoint_directory *directory,
                                  struct reel_checkpoint *checkpoint, char path[REEL_CHECKPOINT_PATH_BYTES])
{
    int64_t *generations, count;
    enum reel_status status = reel_checkpoint_directory_list(directory->path, &generations, &count);
    checkpoint->metadata.generation = status == REEL_OK && count > 0 ? generations[0] + 1 : 1;
    free(generations);
    if (status == REEL_OK)
        reel_checkpoint_directory_temporary(directory, checkpoint->metadata.generation, path);
    return status;
}

enum reel_status reel_checkpoint_write(struct reel_comm *comm,
                                       const struct reel_checkpoint_directory *directory,
                                       struct reel_checkpoint *checkpoint, struct reel_written *written)
{
    char path[REEL_CHECKPOINT_PATH_BYTES] = "";
    double began = MPI_Wtime();
    int first = comm->world.rank == 0;
    memset(written, 0, sizeof *written);
    REEL_PASS(reel_agree(comm, first ? name_next(directory, checkpoint, path) : REEL_OK));
    REEL_PASS(reel_broadcast(comm, path, (int64_t)sizeof path));
    REEL_PASS(reel_broadcast(comm, &checkpoint->metadata, (int64_t)sizeof checkpoint->metadata));
    enum reel_status status = write_temporary(comm, directory, checkpoint, path, &written->bytes);
    if (status == REEL_OK)
        status = reel_agree(
            comm, first ? reel_checkpoint_directory_commit(directory, path, checkpoint->metadata.generation)
                        : REEL_OK);
    if (status != REEL_OK && first)
        unlink(path);
    if (first)
        reel_checkpoint_directory_file(directory->path, checkpoint->metadata.generation, written->file);
    written->seconds = MPI_Wtime() - began;
    return status;
}
