/* The attributes and tables of a checkpoint. */
#include "checkpoint_metadata.h"

#include "hdf5_read.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The members of the metadata that are attributes, by name. */
#define FIELD(name)                                                                                          \
    {                                                                                                        \
#name, offsetof(struct reel_checkpoint_metadata, name)                                               \
    }
static const struct field {
    const char *name;
    size_t offset;
} integers[] = {FIELD(generation),
                FIELD(chunk),
                FIELD(iteration),
                FIELD(begun),
                FIELD(chunk_frames),
                FIELD(finished_frames),
                FIELD(complete),
                FIELD(channels),
                FIELD(rows),
                FIELD(columns),
                FIELD(calls_made),
                FIELD(call_count),
                FIELD(saving_count),
                FIELD(ranks),
                {"cfg", offsetof(struct reel_checkpoint_metadata, mesh.cfg)},
                {"ring", offsetof(struct reel_checkpoint_metadata, mesh.ring)},
                {"ulysses", offsetof(struct reel_checkpoint_metadata, mesh.ulysses)},
                {"tensor", offsetof(struct reel_checkpoint_metadata, mesh.tensor)},
                {"gathered", offsetof(struct reel_checkpoint_metadata, mesh.gathered)},
                FIELD(done),
                FIELD(attempts),
                FIELD(skipped_iterations),
                FIELD(saved_at)},
  reals[] = {FIELD(seconds), FIELD(chunk_seconds), FIELD(skipped_seconds)};
enum { INTEGERS = sizeof integers / sizeof integers[0], REALS = sizeof reals / sizeof reals[0] };

enum { CHUNK_COLUMNS = 6, SOLVER_COLUMNS = 3, SAVING_COLUMNS = 5 };

/* Arrays of these structs are written as tables without conversion, a struct a row. */
_Static_assert(sizeof(struct reel_chunk) == CHUNK_COLUMNS * sizeof(int64_t), "a chunk is six integers");
_Static_assert(sizeof(struct reel_solver_state) == SOLVER_COLUMNS * sizeof(int64_t), "a solver is three");

static void put_random(struct reel_hdf5 *file, const char *name, const struct reel_noise *random)
{
    char text[64];
    hsize_t words[1] = {REEL_MT_WORDS};
    snprintf(text, sizeof text, "/random/%s", name);
    reel_hdf5_dataset(file, text, H5T_STD_U32LE, H5T_NATIVE_UINT32, 1, words, random->state);
    snprintf(text, sizeof text, "%s_next", name);
    reel_hdf5_integer(file, text, random->next);
    snprintf(text, sizeof text, "%s_has_cached", name);
    reel_hdf5_integer(file, text, random->has_cached);
    snprintf(text, sizeof text, "%s_cached", name);
    reel_hdf5_real(file, text, random->cached);
}

void reel_checkpoint_put(struct reel_hdf5 *file, const struct reel_checkpoint *checkpoint)
{
    const struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    hsize_t chunks[2] = {(hsize_t)metadata->begun, CHUNK_COLUMNS},
            solver[2] = {(hsize_t)metadata->chunk_frames, SOLVER_COLUMNS};
    char weights[24];
    snprintf(weights, sizeof weights, "%016" PRIx64, metadata->weights);
    reel_hdf5_integer(file, "reel_checkpoint", REEL_CHECKSUMS_FORMAT);
    reel_hdf5_text(file, "reel_version", REEL_VERSION);
    reel_hdf5_text(file, "job", checkpoint->job);
    reel_hdf5_text(file, "fingerprint", checkpoint->fingerprint);
    reel_hdf5_text(file, "weights", weights);
    if (checkpoint->algorithms && checkpoint->algorithms[0])
        reel_hdf5_text(file, "algorithms", checkpoint->algorithms);
    for (int i = 0; i < INTEGERS; i++) {
        int64_t value;
        memcpy(&value, (const char *)metadata + integers[i].offset, sizeof value);
        reel_hdf5_integer(file, integers[i].name, value);
    }
    for (int i = 0; i < REALS; i++) {
        double value;
        memcpy(&value, (const char *)metadata + reals[i].offset, sizeof value);
        reel_hdf5_real(file, reals[i].name, value);
    }
    put_random(file, "noise", &metadata->noise);
    put_random(file, "addnoise", &metadata->addnoise);
    reel_hdf5_dataset(file, "/chunks", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, chunks, checkpoint->chunks);
    reel_hdf5_dataset(file, "/solver", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, solver, checkpoint->solver);
    reel_hdf5_teacache(file, checkpoint->calls, metadata->call_count, checkpoint->savings,
                       metadata->saving_count);
}

void reel_checkpoint_shape(const struct reel_checkpoint *checkpoint,
                           const struct reel_checkpoint_array *array, hsize_t shape[4])
{
    shape[0] = (hsize_t)checkpoint->metadata.channels;
    shape[1] = (hsize_t)array->frames;
    shape[2] = (hsize_t)checkpoint->metadata.rows;
    shape[3] = (hsize_t)checkpoint->metadata.columns;
}

/* Reads a table [rows, columns] into a new array: *(void **)values points to it, and the caller frees it. */
static enum reel_status get_table(const struct reel_hdf5_source *source, const char *name, H5T_class_t class,
                                  hid_t memory, int dims, int64_t rows, int64_t columns, void *values)
{
    struct reel_hdf5_table table = {.name = name,
                                    .class = class,
                                    .memory = memory,
                                    .element_bytes = memory == H5T_NATIVE_UINT32 ? 4 : 8,
                                    .dims = dims};
    enum reel_status status = reel_hdf5_read_table(source, 0, &table);
    if (status == REEL_OK && (table.shape[0] != rows || (dims > 1 && table.shape[1] != columns)))
        status = reel_fail(REEL_BAD_INPUT, "%s: %s has %lld rows, expected %lld of %lld", source->path, name,
                           (long long)table.shape[0], (long long)rows, (long long)columns);
    if (status == REEL_OK)
        memcpy(values, &table.values, sizeof table.values);
    else
        free(table.values);
    return status;
}

static enum reel_status get_random(const struct reel_hdf5_source *source, const char *name,
                                   struct reel_noise *random)
{
    char text[64];
    uint32_t *words;
    int64_t next, has_cached;
    snprintf(text, sizeof text, "/random/%s", name);
    REEL_PASS(get_table(source, text, H5T_INTEGER, H5T_NATIVE_UINT32, 1, REEL_MT_WORDS, 1, &words));
    memcpy(random->state, words, sizeof random->state);
    free(words);
    snprintf(text, sizeof text, "%s_next", name);
    REEL_PASS(reel_hdf5_read_integer(source, text, &next));
    snprintf(text, sizeof text, "%s_has_cached", name);
    REEL_PASS(reel_hdf5_read_integer(source, text, &has_cached));
    snprintf(text, sizeof text, "%s_cached", name);
    REEL_PASS(reel_hdf5_read_real(source, text, &random->cached));
    REEL_NEED(next >= 0 && next <= REEL_MT_WORDS, REEL_BAD_INPUT, "%s: %s_next is %lld, expected 0 to %d",
              source->path, name, (long long)next, REEL_MT_WORDS);
    random->next = (uint32_t)next;
    random->has_cached = has_cached != 0;
    return REEL_OK;
}

static enum reel_status get_calls(const struct reel_hdf5_source *source, struct reel_checkpoint *checkpoint)
{
    int64_t count = checkpoint->metadata.call_count, *decisions = NULL;
    double *distances = NULL;
    enum reel_status status =
        get_table(source, "/teacache/decisions", H5T_INTEGER, H5T_NATIVE_INT64, 2, count, 4, &decisions);
    if (status == REEL_OK)
        status =
            get_table(source, "/teacache/distances", H5T_FLOAT, H5T_NATIVE_DOUBLE, 2, count, 2, &distances);
    if (status == REEL_OK && !(checkpoint->calls = calloc((size_t)count + 1, sizeof *checkpoint->calls)))
        status = reel_fail(REEL_NO_MEMORY, "%s: no memory for %lld calls", source->path, (long long)count);
    for (int64_t c = 0; status == REEL_OK && c < count; c++)
        checkpoint->calls[c] = (struct reel_call){.chunk = decisions[4 * c],
                                                  .iteration = decisions[4 * c + 1],
                                                  .branch = decisions[4 * c + 2],
                                                  .computed = decisions[4 * c + 3],
                                                  .distance = distances[2 * c],
                                                  .accumulated = distances[2 * c + 1]};
    free(decisions);
    free(distances);
    return status;
}

static enum reel_status get_savings(const struct reel_hdf5_source *source, struct reel_checkpoint *checkpoint)
{
    int64_t count = checkpoint->metadata.saving_count;
    double *rows = NULL;
    REEL_PASS(get_table(source, "/teacache/savings", H5T_FLOAT, H5T_NATIVE_DOUBLE, 2, count, SAVING_COLUMNS,
                        &rows));
    checkpoint->savings = calloc((size_t)count + 1, sizeof *checkpoint->savings);
    for (int64_t i = 0; checkpoint->savings && i < count; i++) {
        const double *row = rows + SAVING_COLUMNS * i;
        checkpoint->savings[i] = (struct reel_saving){.chunk = (int64_t)row[0],
                                                      .branch = (int64_t)row[1],
                                                      .computed = (int64_t)row[2],
                                                      .skipped = (int64_t)row[3],
                                                      .seconds = row[4]};
    }
    free(rows);
    REEL_NEED(checkpoint->savings, REEL_NO_MEMORY, "%s: no memory for %lld savings", source->path,
              (long long)count);
    return REEL_OK;
}

static enum reel_status get_metadata(const struct reel_hdf5_source *source,
                                     struct reel_checkpoint *checkpoint)
{
    struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    char *weights = NULL;
    for (int i = 0; i < INTEGERS; i++) {
        int64_t value;
        REEL_PASS(reel_hdf5_read_integer(source, integers[i].name, &value));
        memcpy((char *)metadata + integers[i].offset, &value, sizeof value);
    }
    for (int i = 0; i < REALS; i++) {
        double value;
        REEL_PASS(reel_hdf5_read_real(source, reals[i].name, &value));
        memcpy((char *)metadata + reals[i].offset, &value, sizeof value);
    }
    REEL_PASS(reel_hdf5_read_text(source, "job", &checkpoint->job));
    REEL_PASS(reel_hdf5_read_text(source, "fingerprint", &checkpoint->fingerprint));
    if (H5Aexists(source->id, "algorithms") > 0)
        REEL_PASS(reel_hdf5_read_text(source, "algorithms", &checkpoint->algorithms));
    REEL_PASS(reel_hdf5_read_text(source, "weights", &weights));
    metadata->weights = strtoull(weights, NULL, 16);
    free(weights);
    REEL_PASS(get_random(source, "noise", &metadata->noise));
    return get_random(source, "addnoise", &metadata->addnoise);
}

static enum reel_status get_all(const struct reel_hdf5_source *source, struct reel_checkpoint *checkpoint)
{
    REEL_PASS(get_metadata(source, checkpoint));
    REEL_PASS(get_table(source, "/chunks", H5T_INTEGER, H5T_NATIVE_INT64, 2, checkpoint->metadata.begun,
                        CHUNK_COLUMNS, &checkpoint->chunks));
    REEL_PASS(get_table(source, "/solver", H5T_INTEGER, H5T_NATIVE_INT64, 2,
                        checkpoint->metadata.chunk_frames, SOLVER_COLUMNS, &checkpoint->solver));
    REEL_PASS(get_calls(source, checkpoint));
    return get_savings(source, checkpoint);
}

enum reel_status reel_checkpoint_read(const char *path, struct reel_checkpoint *checkpoint)
{
    memset(checkpoint, 0, sizeof *checkpoint);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t opened = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    REEL_NEED(opened >= 0, REEL_BAD_INPUT, "%s: HDF5 cannot open it", path);
    struct reel_hdf5_source source = {.id = opened, .path = path, .kind = "a checkpoint"};
    enum reel_status status = get_all(&source, checkpoint);
    H5Fclose(opened);
    if (status != REEL_OK)
        reel_checkpoint_free(checkpoint);
    return status;
}

void reel_checkpoint_free(struct reel_checkpoint *checkpoint)
{
    free(checkpoint->chunks);
    free(checkpoint->solver);
    free(checkpoint->calls);
    free(checkpoint->savings);
    free(checkpoint->job);
    free(checkpoint->fingerprint);
    free(checkpoint->algorithms);
    memset(checkpoint, 0, sizeof *checkpoint);
}
