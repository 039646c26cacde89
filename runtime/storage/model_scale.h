/* The scales of fp8 weights.
 *
 * The value of a weight in F8_E4M3 or F8_E5M2 is fp8 * scale. The scale is a tensor under one of two names,
 * and a marker may say that a file has scales. Both exist with and without the model's prefix, for native and
 * diffusers names:
 *
 *     blocks.7.ffn.0.weight          F8_E4M3 [8960, 1536]
 *     blocks.7.ffn.0.scale_weight    F32, one value: [], [1], [1, 1]; or one for each row: [8960], [8960, 1]
 *     blocks.7.ffn.0.weight_scale    the same under its newer name
 *     scaled_fp8                     the marker: 0, 1 or 2 elements of either fp8 dtype
 *
 * A model whose files have none of these, nor the metadata _quantization_metadata, holds unscaled weights.
 * Otherwise an fp8 weight without a scale is an error: its values would be wrong by a factor, without notice.
 * Scales of activations (scale_input, input_scale) and descriptions of formats (comfy_quant) are ignored. */
#ifndef REEL_MODEL_SCALE_H
#define REEL_MODEL_SCALE_H

#include "model_index.h"
#include "status.h"

/* Not collective. Gives markers their role, and scales and ignored tensors of layers whose weight has
 * REEL_ROLE_TENSOR theirs. No errors. */
void reel_model_scale_roles(struct reel_model_index *index);

/* Not collective. Refuses NVFP4 weights: REEL_BAD_INPUT names the first tensor that only these have. */
enum reel_status reel_model_scale_refuse(const struct reel_model_index *index);

/* Not collective. Sets the scale of every fp8 weight's slot; the roles must be set. REEL_BAD_INPUT for a
 * weight that has two scales, for an fp8 weight that has none while the files have scales, for a scale of
 * another shape or dtype, and for a scale whose weight is not fp8. */
enum reel_status reel_model_scale_attach(struct reel_model_index *index);

/* Not collective. Multiplies values [count], the elements [first, first + count) of the slot's tensor in
 * row-major order, by their scales; does nothing when the tensor has none. Errors as
 * reel_safetensors_read_floats; REEL_BAD_INPUT for a scale that is not finite. */
enum reel_status reel_model_scale_apply(const struct reel_model_slot *slot, int64_t first, int64_t count,
                                        float *values);

#endif
