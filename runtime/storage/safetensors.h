/* Reads safetensors files: a JSON header that names tensors, then their bytes.
 *
 * A file is believed only after all of it has been checked: every tensor has a known type, a shape whose size
 * is that of its bytes, and a place of its own; the places cover the data without holes, as the format
 * demands. A file that was cut short, that lies, or that is something else is told apart here, so that nobody
 * above meets it.
 *
 *     struct reel_safetensors *file;
 *     REEL_PASS(reel_safetensors_open("model.safetensors", &file));
 *     const struct reel_safetensors_entry *entry = reel_safetensors_find(file, "patch_embedding.bias");
 *     REEL_PASS(reel_safetensors_read_floats(file, entry, 0, entry->elements, bias));      [1536] floats
 *
 * Bytes are read with pread, never mapped: a file system that fails says so with an error, not with a signal.
 * Errors are REEL_BAD_INPUT with one sentence that names file, tensor and value; REEL_NO_MEMORY otherwise. */
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

/* Not collective. Opens path and checks the whole header. *file is the caller's, for reel_safetensors_close;
 * on an error it is NULL. */
enum reel_status reel_safetensors_open(const char *path, struct reel_safetensors **file);

/* Not collective. Closes and frees; NULL is fine. */
void reel_safetensors_close(struct reel_safetensors *file);

/* Not collective. The path it was opened with, for messages. No errors. */
const char *reel_safetensors_path(const struct reel_safetensors *file);

/* Not collective. The number of tensors, and the tensor at a position below it, ordered by name. No errors.
 */
int64_t reel_safetensors_count(const struct reel_safetensors *file);
const struct reel_safetensors_entry *reel_safetensors_at(const struct reel_safetensors *file,
                                                         int64_t position);

/* Not collective. The tensor of that name, or NULL. */
const struct reel_safetensors_entry *reel_safetensors_find(const struct reel_safetensors *file,
                                                           const char *name);

/* Not collective. The text that the file's metadata holds under key, or NULL; it belongs to the file. */
const char *reel_safetensors_metadata(const struct reel_safetensors *file, const char *key);

/* Not collective. The key at a position of the metadata, from 0 on; NULL behind the last. It belongs to the
 * file. */
const char *reel_safetensors_metadata_key(const struct reel_safetensors *file, int64_t position);

/* Not collective. Reads count elements from element first on into out [count], widened or rounded to float.
 * The tensor is F64, F32, F16 or BF16; another type is REEL_BAD_INPUT, as is a file that has become shorter.
 * Needs at most 4 MiB beside out. */
enum reel_status reel_safetensors_read_floats(const struct reel_safetensors *file,
                                              const struct reel_safetensors_entry *entry, int64_t first,
                                              int64_t count, float *out);

/* Not collective. As reel_safetensors_read_floats, for F8_E4M3 and F8_E5M2 too. What stands in the file: the
 * scale of an fp8 weight is a tensor of its own (model_scale.h). */
enum reel_status reel_safetensors_read_weights(const struct reel_safetensors *file,
                                               const struct reel_safetensors_entry *entry, int64_t first,
                                               int64_t count, float *out);

/* Not collective. As above for I64, I32, U8 and BOOL, into out [count]. */
enum reel_status reel_safetensors_read_integers(const struct reel_safetensors *file,
                                                const struct reel_safetensors_entry *entry, int64_t first,
                                                int64_t count, int64_t *out);

/* Not collective. Writes a shape for a message: "[16, 5, any]", where -1 is any extent. No errors. */
void reel_shape_text(int dims, const int64_t *shape, char text[REEL_SHAPE_TEXT_BYTES]);

#endif
