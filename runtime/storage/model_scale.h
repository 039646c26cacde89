/* The scales of fp8 weights.
 *
 * A weight in F8_E4M3 or F8_E5M2 stands for fp8 * scale. Files say the scale in one of two ways, with or
 * without the model's prefix in front, in native or diffusers names:
 *
 *     blocks.7.ffn.0.weight          F8_E4M3 [8960, 1536]
 *     blocks.7.ffn.0.scale_weight    F32, one number: [], [1], [1, 1]; or one for each row: [8960], [8960, 1]
 *     blocks.7.ffn.0.weight_scale    the same under its newer name
 *     scaled_fp8                     0, 1 or 2 elements of either fp8 type: this file has scales
 *
 * A file where nothing speaks of scales (none of these, nor the metadata _quantization_metadata) holds the
 * weights themselves. Where something does, an fp8 weight without a scale is an error: its numbers would be
 * wrong by a factor that nobody sees. Scales of activations (scale_input, input_scale) and notes on formats
 * (comfy_quant) are ignored. */
#ifndef REEL_MODEL_SCALE_H
#define REEL_MODEL_SCALE_H

#include "model_index.h"
#include "status.h"

/* Not collective. Gives scales, markers and ignored tensors of layers whose weight has REEL_ROLE_TENSOR their
 * roles. No errors. */
void reel_model_scale_roles(struct reel_model_index *index);

/* Not collective. REEL_BAD_INPUT names the first tensor that only NVFP4 weights have. */
enum reel_status reel_model_scale_refuse(const struct reel_model_index *index);

/* Not collective. After the roles are given: connects every fp8 weight with its scale. REEL_BAD_INPUT for an
 * fp8 weight that has none where the files have scales or that has two, for a scale of another shape or type,
 * and for one whose weight is not fp8. */
enum reel_status reel_model_scale_attach(struct reel_model_index *index);

/* Not collective. Multiplies count elements of the slot's tensor, from element first (row-major) on, by their
 * scales; nothing when it has none. Errors of reel_safetensors_read_floats; REEL_BAD_INPUT for a scale that
 * is not finite. */
enum reel_status reel_model_scale_apply(const struct reel_model_slot *slot, int64_t first, int64_t count,
                                        float *values);

#endif
