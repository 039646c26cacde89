/* Building the output in memory with HDF5, writing it to a temporary file, and renaming that. */
#include "output.h"

#include "fault.h"
#include "directory_sync.h"
#include "hdf5_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMAGE_GROWTH = 1 << 24, PATH_BYTES = REEL_PATH_BYTES + 256 };

/* Writes /latents: the finished frames of every channel. */
static void write_latents(struct reel_hdf5 *image, const struct reel_output *output)
{
    hsize_t all[4] = {(hsize_t)output->channels, (hsize_t)output->video_frames, (hsize_t)output->rows,
                      (hsize_t)output->columns};
    hsize_t done[4] = {all[0], (hsize_t)output->finished_frames, all[2], all[3]}, start[4] = {0};
    hid_t given = H5Screate_simple(4, all, NULL), space = H5Screate_simple(4, done, NULL);
    hid_t set =
        H5Dcreate2(image->id, "/latents", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    image->failed |= set < 0;
    if (set >= 0) {
        reel_hdf5_keep(image, H5Sselect_hyperslab(given, H5S_SELECT_SET, start, NULL, done, NULL));
        reel_hdf5_keep(image, H5Dwrite(set, H5T_NATIVE_FLOAT, given, space, H5P_DEFAULT, output->latents));
        reel_hdf5_keep(image, H5Dclose(set));
    }
    H5Sclose(space);
    H5Sclose(given);
}

/* Writes /chunks/K: timestep matrix, update mask and interval of every chunk that has begun. */
static void write_matrices(struct reel_hdf5 *image, const struct reel_output *output)
{
    char path[64];
    for (int64_t k = 0; k < output->chunks; k++) {
        const struct reel_timesteps *m = &output->matrices[k];
        hsize_t shape[2] = {(hsize_t)m->rows, (hsize_t)m->frames}, pairs[2] = {shape[0], 2};
        snprintf(path, sizeof path, "/chunks/%lld/timestep_matrix", (long long)k);
        reel_hdf5_dataset(image, path, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, shape, m->timestep);
        snprintf(path, sizeof path, "/chunks/%lld/update_mask", (long long)k);
        reel_hdf5_dataset(image, path, H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, shape, m->update);
        snprintf(path, sizeof path, "/chunks/%lld/interval", (long long)k);
        reel_hdf5_dataset(image, path, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, pairs, m->interval);
    }
}

/* Builds the whole file as bytes, which the caller frees. */
static enum reel_status build_image(const struct reel_output *output, void **bytes, ssize_t *count)
{
    struct reel_hdf5 image = {.id = -1};
    const struct reel_job *job = output->job;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    reel_hdf5_keep(&image, H5Pset_fapl_core(access, IMAGE_GROWTH, 0));
    image.id = H5Fcreate("reel-output", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    REEL_NEED(image.id >= 0, REEL_INTERNAL, "HDF5 could not begin a file in memory");
    write_latents(&image, output);
    write_matrices(&image, output);
    reel_hdf5_teacache(&image, output->calls, output->call_count, output->savings, output->saving_count);
    reel_hdf5_text(&image, "reel_version", REEL_VERSION);
    reel_hdf5_text(&image, "job", output->job_text);
    reel_hdf5_integer(&image, "seed", job->sampler.seed);
    reel_hdf5_integer(&image, "fps", job->video.fps);
    reel_hdf5_integer(&image, "width", job->video.width);
    reel_hdf5_integer(&image, "height", job->video.height);
    reel_hdf5_integer(&image, "frames", job->video.frames);
    reel_hdf5_integer(&image, "finished_frames", output->finished_frames);
    reel_hdf5_integer(&image, "complete", output->complete);
    reel_hdf5_keep(&image, H5Fflush(image.id, H5F_SCOPE_GLOBAL));
    image.failed |= reel_fault(REEL_FAULT_OUTPUT_BUILD);
    *count = image.failed ? -1 : H5Fget_file_image(image.id, NULL, 0);
    *bytes = *count > 0 ? malloc((size_t)*count) : NULL;
    if (*bytes && H5Fget_file_image(image.id, *bytes, (size_t)*count) != *count)
        image.failed = 1;
    H5Fclose(image.id);
    if (image.failed) {
        free(*bytes);
        *bytes = NULL;
    }
    REEL_NEED(!image.failed, REEL_INTERNAL, "HDF5 could not build %s in memory", job->output.latents);
    REEL_NEED(*bytes, REEL_NO_MEMORY, "no memory for the image of %s, %lld bytes", job->output.latents,
              (long long)*count);
    return REEL_OK;
}

/* How the path of a temporary file of this output begins. It is in the directory of the output; a hash of the
 * output's name makes it short, and different for every output. Returns the length of the directory part. */
static int temporary_start(const char *path, char start[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    int directory = slash ? (int)(slash - path) + 1 : 0;
    unsigned long long hash = 1469598103934665603u;
    for (const char *c = path + directory; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    snprintf(start, PATH_BYTES, "%.*s.reel-%016llx-", directory, path, hash);
    return directory;
}

/* The path of the temporary file. No other process of this host has the same one. */
static void temporary_path(const char *path, char name[PATH_BYTES])
{
    temporary_start(path, name);
    size_t bytes = strlen(name);
    snprintf(name + bytes, PATH_BYTES - bytes, "%lld.tmp", (long long)getpid());
}

void reel_output_sweep(const char *path)
{
    char start[PATH_BYTES], name[PATH_BYTES];
    int directory = temporary_start(path, start);
    snprintf(name, sizeof name, "%.*s", directory > 1 ? directory - 1 : directory, path);
    DIR *listing = opendir(directory ? name : ".");
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        if (strncmp(entry->d_name, start + directory, strlen(start + directory)) == 0 &&
            strcmp(entry->d_name + strlen(entry->d_name) - 4, ".tmp") == 0) {
            snprintf(name, sizeof name, "%.*s%.200s", directory, path, entry->d_name);
            unlink(name);
        }
    if (listing)
        closedir(listing);
}

static enum reel_status cannot(const char *path, const char *what)
{
    return reel_fail(REEL_BAD_OUTPUT, "%s: output.latents could not be %s: %s", path, what, strerror(errno));
}

enum reel_status reel_output_check(const char *path)
{
    char name[PATH_BYTES];
    struct stat there;
    REEL_NEED(!reel_fault(REEL_FAULT_OUTPUT_CHECK), REEL_BAD_OUTPUT, "planted: the output cannot be written");
    REEL_NEED(lstat(path, &there) != 0 || S_ISREG(there.st_mode), REEL_BAD_OUTPUT,
              "%s: output.latents is no regular file, expected one or nothing: it will be replaced", path);
    temporary_path(path, name);
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return cannot(path, "written");
    close(file);
    unlink(name);
    return REEL_OK;
}

static enum reel_status write_all(int file, const char *path, const char *bytes, ssize_t count)
{
    while (count > 0) {
        ssize_t written = write(file, bytes, (size_t)count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 || reel_fault(REEL_FAULT_OUTPUT_WRITE))
            return cannot(path, "written");
        bytes += written;
        count -= written;
    }
    return fsync(file) == 0 ? REEL_OK : cannot(path, "flushed");
}

static enum reel_status replace_file(const char *path, const char *bytes, ssize_t count)
{
    char name[PATH_BYTES];
    temporary_path(path, name);
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0)
        return cannot(path, "written");
    enum reel_status status = write_all(file, path, bytes, count);
    if (close(file) != 0 && status == REEL_OK)
        status = cannot(path, "closed");
    if (status == REEL_OK && (reel_fault(REEL_FAULT_OUTPUT_RENAME) || rename(name, path) != 0))
        status = cannot(path, "put in place");
    if (status != REEL_OK)
        unlink(name);
    if (status == REEL_OK) { /* the rename has to reach the disk too */
        snprintf(name, sizeof name, "%s", path);
        status = reel_directory_sync(dirname(name)) == 0 ? REEL_OK : cannot(path, "flushed");
    }
    return status;
}

enum reel_status reel_output_write(const struct reel_output *output)
{
    void *bytes = NULL;
    ssize_t count = 0;
    REEL_PASS(build_image(output, &bytes, &count));
    enum reel_status status = replace_file(output->job->output.latents, bytes, count);
    free(bytes);
    return status;
}
