/* Reading what output_hdf5.c writes. The file may be damaged, so everything is checked. */
#include "output_read.h"

#include "hdf5_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 64, BRANCHES = 2 };

static const unsigned char signature[8] = "\x89HDF\r\n\x1a\n";

int reel_output_is_hdf5(const char *path)
{
    unsigned char start[sizeof signature];
    struct stat facts;
    if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) /* opening a pipe would wait for its writer */
        return 0;
    FILE *file = fopen(path, "rb");
    int same =
        file && fread(start, sizeof start, 1, file) == 1 && memcmp(start, signature, sizeof start) == 0;
    if (file)
        fclose(file);
    return same;
}

static enum reel_status read_attributes(const struct reel_hdf5_source *source,
                                        struct reel_output_file *output)
{
    const struct {
        const char *name;
        int64_t *value;
    } integers[] = {
        {"seed", &output->seed},         {"fps", &output->fps},
        {"width", &output->width},       {"height", &output->height},
        {"frames", &output->frames},     {"finished_frames", &output->finished_frames},
        {"complete", &output->complete},
    };
    REEL_PASS(reel_hdf5_read_text(source, "reel_version", &output->version));
    REEL_PASS(reel_hdf5_read_text(source, "job", &output->job));
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        REEL_PASS(reel_hdf5_read_integer(source, integers[i].name, integers[i].value));
    for (size_t i = 1; i < sizeof integers / sizeof integers[0]; i++) /* all but the seed */
        REEL_NEED(*integers[i].value >= 0 && *integers[i].value <= INT32_MAX, REEL_BAD_INPUT,
                  "%s: %s is %" PRId64 ", expected a number from 0 to %" PRId32, source->path,
                  integers[i].name, *integers[i].value, INT32_MAX);
    return REEL_OK;
}

/* Reads the shape of each chunk that has begun: /chunks/0, /chunks/1, ... */
static enum reel_status read_chunks(const struct reel_hdf5_source *source, struct reel_output_file *output)
{
    H5G_info_t chunks = {0};
    if (H5Lexists(source->id, "/chunks", H5P_DEFAULT) > 0)
        REEL_NEED(H5Gget_info_by_name(source->id, "/chunks", &chunks, H5P_DEFAULT) >= 0, REEL_BAD_INPUT,
                  "%s: /chunks is no group", source->path);
    output->chunk_count = (int64_t)chunks.nlinks;
    output->chunks = calloc((size_t)chunks.nlinks + 1, sizeof *output->chunks);
    REEL_NEED(output->chunks, REEL_NO_MEMORY, "%s: no memory for %" PRId64 " chunks", source->path,
              output->chunk_count);
    for (int64_t k = 0; k < output->chunk_count; k++) {
        char name[PATH_BYTES];
        snprintf(name, sizeof name, "/chunks/%" PRId64 "/timestep_matrix", k);
        struct reel_hdf5_table matrix = {.name = name, .class = H5T_INTEGER, .dims = 2};
        REEL_PASS(reel_hdf5_read_table(source, 1, &matrix));
        output->chunks[k].iterations = matrix.shape[0];
        output->chunks[k].frames = matrix.shape[1];
    }
    return REEL_OK;
}

/* Counts the calls of every chunk and branch. */
static enum reel_status count_calls(const char *path, const struct reel_hdf5_table *decisions,
                                    struct reel_output_file *output)
{
    REEL_NEED(decisions->shape[1] == 4, REEL_BAD_INPUT, "%s: %s has %" PRId64 " columns, expected 4", path,
              decisions->name, decisions->shape[1]);
    const int64_t *rows = decisions->values;
    for (int64_t i = 0; i < decisions->shape[0]; i++) {
        int64_t chunk = rows[4 * i], branch = rows[4 * i + 2];
        REEL_NEED(chunk >= 0 && chunk < output->chunk_count && branch >= 0 && branch < BRANCHES,
                  REEL_BAD_INPUT,
                  "%s: row %" PRId64 " of %s is of chunk %" PRId64 ", branch %" PRId64 ", which do not exist",
                  path, i, decisions->name, chunk, branch);
        struct reel_output_chunk *counts = &output->chunks[chunk];
        if (rows[4 * i + 3])
            counts->computed[branch]++;
        else
            counts->skipped[branch]++;
    }
    return REEL_OK;
}

static enum reel_status read_all(const struct reel_hdf5_source *source, struct reel_output_file *output)
{
    REEL_PASS(read_attributes(source, output));
    struct reel_hdf5_table latents = {.name = "/latents",
                                      .class = H5T_FLOAT,
                                      .memory = H5T_NATIVE_FLOAT,
                                      .element_bytes = (int64_t)sizeof(float),
                                      .dims = REEL_HDF5_DIMS};
    enum reel_status status = reel_hdf5_read_table(source, 0, &latents);
    output->latents = latents.values;
    memcpy(output->shape, latents.shape, sizeof output->shape);
    REEL_PASS(status);
    REEL_NEED(output->shape[1] == output->finished_frames, REEL_BAD_INPUT,
              "%s: /latents has %" PRId64 " frames, but finished_frames is %" PRId64, source->path,
              output->shape[1], output->finished_frames);
    REEL_PASS(read_chunks(source, output));
    struct reel_hdf5_table decisions = {.name = "/teacache/decisions",
                                        .class = H5T_INTEGER,
                                        .memory = H5T_NATIVE_INT64,
                                        .element_bytes = (int64_t)sizeof(int64_t),
                                        .dims = 2};
    status = reel_hdf5_read_table(source, 0, &decisions);
    if (status == REEL_OK)
        status = count_calls(source->path, &decisions, output);
    free(decisions.values);
    return status;
}

enum reel_status reel_output_open(const char *path, struct reel_output_file *file)
{
    *file = (struct reel_output_file){0};
    REEL_NEED(reel_output_is_hdf5(path), REEL_BAD_INPUT, "%s: expected an HDF5 file", path);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    REEL_NEED(opened >= 0, REEL_BAD_INPUT, "%s: the HDF5 file cannot be opened: it is damaged or cut short",
              path);
    struct reel_hdf5_source source = {.id = opened, .path = path, .kind = "an output"};
    enum reel_status status = read_all(&source, file);
    H5Fclose(opened);
    if (status != REEL_OK)
        reel_output_close(file);
    return status;
}

void reel_output_close(struct reel_output_file *file)
{
    free(file->version);
    free(file->job);
    free(file->latents);
    free(file->chunks);
    *file = (struct reel_output_file){0};
}
