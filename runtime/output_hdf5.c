/* Building the output in memory with HDF5, and putting it in place. */
#include "output.h"

#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMAGE_GROWTH = 1 << 24, PATH_BYTES = REEL_PATH_BYTES + 64 };

/* HDF5 calls in a row: after the first failure the rest does nothing. */
struct image {
    hid_t file;
    int failed;
};

static void keep(struct image *image, herr_t result)
{
    image->failed |= result < 0;
}

/* A dense dataset at path; folders on the way are made. */
static void dataset(struct image *image, const char *path, hid_t stored, hid_t given, int dims,
                    const hsize_t *shape, const void *values)
{
    hid_t space = H5Screate_simple(dims, shape, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    keep(image, H5Pset_create_intermediate_group(links, 1));
    hid_t set = H5Dcreate2(image->file, path, stored, space, links, H5P_DEFAULT, H5P_DEFAULT);
    image->failed |= set < 0;
    if (set >= 0) {
        if (values && H5Sget_simple_extent_npoints(space) > 0)
            keep(image, H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
        keep(image, H5Dclose(set));
    }
    H5Pclose(links);
    H5Sclose(space);
}

static void attribute(struct image *image, const char *name, hid_t stored, hid_t given, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t set = H5Acreate2(image->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    image->failed |= set < 0;
    if (set >= 0) {
        keep(image, H5Awrite(set, given, value));
        keep(image, H5Aclose(set));
    }
    H5Sclose(space);
}

static void attribute_text(struct image *image, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    keep(image, H5Tset_size(type, H5T_VARIABLE));
    keep(image, H5Tset_cset(type, H5T_CSET_UTF8));
    attribute(image, name, type, type, &text);
    H5Tclose(type);
}

static void attribute_integer(struct image *image, const char *name, int64_t value)
{
    attribute(image, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

/* /latents, the finished frames of every channel. */
static void latents(struct image *image, const struct reel_output *output)
{
    hsize_t all[4] = {(hsize_t)output->channels, (hsize_t)output->video_frames, (hsize_t)output->rows,
                      (hsize_t)output->columns};
    hsize_t done[4] = {all[0], (hsize_t)output->finished_frames, all[2], all[3]}, start[4] = {0};
    hid_t given = H5Screate_simple(4, all, NULL), space = H5Screate_simple(4, done, NULL);
    hid_t set =
        H5Dcreate2(image->file, "/latents", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    image->failed |= set < 0;
    if (set >= 0) {
        keep(image, H5Sselect_hyperslab(given, H5S_SELECT_SET, start, NULL, done, NULL));
        keep(image, H5Dwrite(set, H5T_NATIVE_FLOAT, given, space, H5P_DEFAULT, output->latents));
        keep(image, H5Dclose(set));
    }
    H5Sclose(space);
    H5Sclose(given);
}

static void matrices(struct image *image, const struct reel_output *output)
{
    char path[64];
    for (int64_t k = 0; k < output->chunks; k++) {
        const struct reel_timesteps *m = &output->matrices[k];
        hsize_t shape[2] = {(hsize_t)m->rows, (hsize_t)m->frames}, pairs[2] = {shape[0], 2};
        snprintf(path, sizeof path, "/chunks/%lld/timestep_matrix", (long long)k);
        dataset(image, path, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, shape, m->timestep);
        snprintf(path, sizeof path, "/chunks/%lld/update_mask", (long long)k);
        dataset(image, path, H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, shape, m->update);
        snprintf(path, sizeof path, "/chunks/%lld/interval", (long long)k);
        dataset(image, path, H5T_STD_I64LE, H5T_NATIVE_INT64, 2, pairs, m->interval);
    }
}

static void calls(struct image *image, const struct reel_output *output)
{
    hsize_t rows = (hsize_t)output->call_count, four[2] = {rows, 4}, two[2] = {rows, 2};
    int64_t *decisions = malloc((size_t)(rows * 4 + 1) * sizeof *decisions);
    double *distances = malloc((size_t)(rows * 2 + 1) * sizeof *distances);
    if (decisions && distances) {
        for (int64_t i = 0; i < output->call_count; i++) {
            const struct reel_call *call = &output->calls[i];
            int64_t decision[4] = {call->chunk, call->iteration, call->branch, call->computed};
            memcpy(decisions + 4 * i, decision, sizeof decision);
            distances[2 * i] = call->distance;
            distances[2 * i + 1] = call->accumulated;
        }
        dataset(image, "/teacache/decisions", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, four, decisions);
        dataset(image, "/teacache/distances", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, two, distances);
    } else {
        image->failed = 1;
    }
    free(decisions);
    free(distances);
}

static void savings(struct image *image, const struct reel_output *output)
{
    hsize_t shape[2] = {(hsize_t)output->saving_count, 5};
    double *rows = malloc((size_t)(output->saving_count * 5 + 1) * sizeof *rows);
    image->failed |= !rows;
    for (int64_t i = 0; rows && i < output->saving_count; i++) {
        const struct reel_saving *saving = &output->savings[i];
        const double row[5] = {(double)saving->chunk, (double)saving->branch, (double)saving->computed,
                               (double)saving->skipped, saving->seconds};
        memcpy(rows + 5 * i, row, sizeof row);
    }
    if (rows)
        dataset(image, "/teacache/savings", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, shape, rows);
    free(rows);
}

/* The whole file as bytes, which the caller frees. */
static enum reel_status build(const struct reel_output *output, void **bytes, ssize_t *count)
{
    struct image image = {.file = -1};
    const struct reel_job *job = output->job;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    keep(&image, H5Pset_fapl_core(access, IMAGE_GROWTH, 0));
    image.file = H5Fcreate("reel-output", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    REEL_NEED(image.file >= 0, REEL_INTERNAL, "HDF5 could not begin a file in memory");
    latents(&image, output);
    matrices(&image, output);
    calls(&image, output);
    savings(&image, output);
    attribute_text(&image, "reel_version", REEL_VERSION);
    attribute_text(&image, "job", output->job_text);
    attribute_integer(&image, "seed", job->sampler.seed);
    attribute_integer(&image, "fps", job->video.fps);
    attribute_integer(&image, "width", job->video.width);
    attribute_integer(&image, "height", job->video.height);
    attribute_integer(&image, "frames", job->video.frames);
    attribute_integer(&image, "finished_frames", output->finished_frames);
    attribute_integer(&image, "complete", output->complete);
    keep(&image, H5Fflush(image.file, H5F_SCOPE_GLOBAL));
    image.failed |= reel_fault(REEL_FAULT_OUTPUT_BUILD);
    *count = image.failed ? -1 : H5Fget_file_image(image.file, NULL, 0);
    *bytes = *count > 0 ? malloc((size_t)*count) : NULL;
    if (*bytes && H5Fget_file_image(image.file, *bytes, (size_t)*count) != *count)
        image.failed = 1;
    H5Fclose(image.file);
    if (image.failed) {
        free(*bytes);
        *bytes = NULL;
    }
    REEL_NEED(!image.failed, REEL_INTERNAL, "HDF5 could not build %s in memory", job->output.latents);
    REEL_NEED(*bytes, REEL_NO_MEMORY, "no memory for the image of %s, %lld bytes", job->output.latents,
              (long long)*count);
    return REEL_OK;
}

/* The name aside: in the same folder, short whatever the output is called, and unlike that of any other process of this
 * host and of any other output. */
static void aside(const char *path, char name[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    unsigned long long hash = 1469598103934665603u;
    for (const char *c = path + folder; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    snprintf(name, PATH_BYTES, "%.*s.reel-%016llx-%lld.tmp", folder, path, hash, (long long)getpid());
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
    aside(path, name);
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

/* After the rename the folder has to reach the disk too. */
static enum reel_status sync_folder(const char *path)
{
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return cannot(path, "flushed");
    int done = fsync(folder);
    close(folder);
    return done == 0 || errno == EINVAL ? REEL_OK : cannot(path, "flushed");
}

static enum reel_status replace(const char *path, const char *bytes, ssize_t count)
{
    char name[PATH_BYTES];
    aside(path, name);
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
    return status == REEL_OK ? sync_folder(path) : status;
}

enum reel_status reel_output_write(const struct reel_output *output)
{
    void *bytes = NULL;
    ssize_t count = 0;
    REEL_PASS(build(output, &bytes, &count));
    enum reel_status status = replace(output->job->output.latents, bytes, count);
    free(bytes);
    return status;
}
