/* Tensors that a job hands in as safetensors files: prompt embeddings, noise, prefix and end latents.
 *
 *     int64_t shape[4] = {16, -1, 68, 120}, found[4];
 *     float *latents;
 *     REEL_PASS(reel_input_floats("start.safetensors", "prefix_latents", 4, shape, found, &latents));
 *                                                                found is [16, 5, 68, 120], latents to be
 * freed
 */
#ifndef REEL_TENSOR_INPUT_H
#define REEL_TENSOR_INPUT_H

#include "status.h"

#include <stdint.h>

/* Not collective. *has: whether the file at path has a tensor of that name. REEL_BAD_INPUT when it is no
 * readable safetensors file. */
enum reel_status reel_input_has(const char *path, const char *name, int *has);

/* Not collective. Reads the tensor into *out, allocated here and freed by the caller, with shape [dims]
 * expected (-1: any extent) and actual_shape [dims], unless NULL, found. F32, F16, BF16 and F64 are read.
 * REEL_BAD_INPUT names file, tensor, what was found and what was expected: no such tensor, another rank,
 * shape or type, a number that is not finite. *out is NULL after an error. */
enum reel_status reel_input_floats(const char *path, const char *name, int dims, const int64_t *shape,
                                   int64_t *actual_shape, float **out);

/* Not collective. The extents [dims] of a tensor, from the file's header alone. REEL_BAD_INPUT as reel_input_check, of
 * which shape -1 takes any extent. */
enum reel_status reel_input_shape(const char *path, const char *name, int dims, const int64_t *shape,
                                  int64_t *actual_shape);

/* Not collective. Whether reel_input_floats would accept name, type and shape, from the file's header alone: the
 * same errors, but for numbers that are not finite. */
enum reel_status reel_input_check(const char *path, const char *name, int dims, const int64_t *shape);

/* Not collective. Reads prompt embeddings [rows, text_width] and pads them with zero rows to *out
 * [text_rows, text_width], allocated here and freed by the caller. More than text_rows rows are
 * REEL_BAD_INPUT, and so is everything that reel_input_floats refuses. */
enum reel_status reel_input_prompt(const char *path, const char *name, int64_t text_rows, int64_t text_width,
                                   float **out);

#endif
