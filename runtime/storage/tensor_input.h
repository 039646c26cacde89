/* Reads the tensors of a job's safetensors files: prompt embeddings, noise, prefix and end latents.
 *
 *     int64_t shape[4] = {16, -1, 68, 120}, found[4];
 *     float *latents;
 *     REEL_PASS(reel_input_floats("start.safetensors", "prefix_latents", 4, shape, found, &latents));
 *
 * sets found to {16, 5, 68, 120} and latents to its values, which the caller frees. */
#ifndef REEL_TENSOR_INPUT_H
#define REEL_TENSOR_INPUT_H

#include "status.h"

#include <stdint.h>

/* Not collective. Sets *has to 1 when the file at path has a tensor of that name, else to 0. REEL_BAD_INPUT
 * when it is not a readable safetensors file. */
enum reel_status reel_input_has(const char *path, const char *name, int *has);

/* Not collective. Reads the tensor, of dtype F32, F16, BF16 or F64, into *out, which is allocated here and
 * freed by the caller. shape [dims] is expected (-1: any extent); actual_shape [dims], unless NULL, gets the
 * tensor's. REEL_BAD_INPUT names file, tensor, what was found and what was expected: no such tensor, another
 * number of dimensions, shape or dtype, a value that is not finite. REEL_NO_MEMORY. *out is NULL after an
 * error. */
enum reel_status reel_input_floats(const char *path, const char *name, int dims, const int64_t *shape,
                                   int64_t *actual_shape, float **out);

/* Not collective. Sets actual_shape [dims] to the shape of a tensor, from the file's header alone. shape
 * [dims] is expected (-1: any extent). Errors as reel_input_check. */
enum reel_status reel_input_shape(const char *path, const char *name, int dims, const int64_t *shape,
                                  int64_t *actual_shape);

/* Not collective. Checks a tensor's name, dtype and shape from the file's header alone. Errors as
 * reel_input_floats, except for values that are not finite. */
enum reel_status reel_input_check(const char *path, const char *name, int dims, const int64_t *shape);

/* Not collective. Reads prompt embeddings [rows, text_width] and pads them with zero rows to *out
 * [text_rows, text_width], which is allocated here and freed by the caller. More than text_rows rows are
 * REEL_BAD_INPUT; other errors as reel_input_floats. */
enum reel_status reel_input_prompt(const char *path, const char *name, int64_t text_rows, int64_t text_width,
                                   float **out);

#endif
