/* Reads safetensors files: a JSON header that names tensors, then their bytes.
 *
 * Opening checks the whole header: every tensor has a known dtype and as many bytes as its shape needs, no
 * two tensors overlap, and together they cover the data without holes, as the format demands. A file that is
 * cut short, inconsistent or of another format is refused, so that callers can trust every entry.
 *
 *     struct reel_safetensors *file;
 *     REEL_PASS(reel_safetensors_open("model.safetensors", &file));
 *     const struct reel_safetensors_entry *entry = reel_safetensors_find(file, "patch_embedding.bias");
 *     REEL_PASS(reel_safetensors_read_floats(file, entry, 0, entry->elements, bias));      [1536] floats
 *
 * Bytes are read with pread, never mapped: a failing file system then gives an error, not a signal. Errors
 * are REEL_BAD_INPUT, with one sentence that names file, tensor and value, and REEL_NO_MEMORY. */
#ifndef REEL_SAFETENSORS_H
#define REEL_SAFETENSORS_H

#include "dtype.h"
#include "status.h"

#include <stdint.h>

enum { REEL_SAFETENSORS_DIMS = 8, REEL_SHAPE_TEXT_BYTES = 200 };

struct reel_safetensors;

struct reel_safetensors_entry {
    const char *name; /* lives as long as the open file */
    enum reel_dtype dtype;
    int dims;
    int64_t shape[REEL_SAFETENSORS_DIMS];
    int64_t elements;
    int64_t offset; /* of its first byte, from the start of the file */
    int64_t bytes;
};

/* Not collective. Opens path and checks the whole header. The caller closes *file with
 * reel_safetensors_close; it is NULL after an error. */
enum reel_status reel_safetensors_open(const char *path, struct reel_safetensors **file);

/* Not collective. Closes and frees; NULL is allowed. */
void reel_safetensors_close(struct reel_safetensors *file);

/* Not collective. The path that the file was opened with, for messages. No errors. */
const char *reel_safetensors_path(const struct reel_safetensors *file);

/* Not collective. The number of tensors, and the tensor at a position in [0, number), ordered by name. No
 * errors. */
int64_t reel_safetensors_count(const struct reel_safetensors *file);
const struct reel_safetensors_entry *reel_safetensors_at(const struct reel_safetensors *file,
                                                         int64_t position);

/* Not collective. The tensor of that name, or NULL. */
const struct reel_safetensors_entry *reel_safetensors_find(const struct reel_safetensors *file,
                                                           const char *name);

/* Not collective. The value of a key of the file's metadata, or NULL. It belongs to the file. */
const char *reel_safetensors_metadata(const struct reel_safetensors *file, const char *key);

/* Not collective. The key at a position of the metadata, from 0 on; NULL after the last. It belongs to the
 * file. */
const char *reel_safetensors_metadata_key(const struct reel_safetensors *file, int64_t position);

/* Not collective. Reads the elements [first, first + count) into out [count], widened or rounded to float.
 * The tensor is F64, F32, F16 or BF16; another dtype is REEL_BAD_INPUT, and so is a file that has become
 * shorter. A range outside the tensor is REEL_INTERNAL. Needs at most 4 MiB beside out. */
enum reel_status reel_safetensors_read_floats(const struct reel_safetensors *file,
                                              const struct reel_safetensors_entry *entry, int64_t first,
                                              int64_t count, float *out);

/* Not collective. As reel_safetensors_read_floats, but also reads F8_E4M3 and F8_E5M2. Gives the stored
 * values: the scale of an fp8 weight is a tensor of its own (model_scale.h). */
enum reel_status reel_safetensors_read_weights(const struct reel_safetensors *file,
                                               const struct reel_safetensors_entry *entry, int64_t first,
                                               int64_t count, float *out);

/* Not collective. As reel_safetensors_read_floats, for I64, I32, U8 and BOOL, into out [count]. */
enum reel_status reel_safetensors_read_integers(const struct reel_safetensors *file,
                                                const struct reel_safetensors_entry *entry, int64_t first,
                                                int64_t count, int64_t *out);

/* Not collective. Writes a shape for a message: "[16, 5, any]" for 16, 5, -1. No errors. */
void reel_shape_text(int dims, const int64_t *shape, char text[REEL_SHAPE_TEXT_BYTES]);

#endif
