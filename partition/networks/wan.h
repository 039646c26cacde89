/* The tensors of the transformer of Wan2.1 and SkyReels-V2, which share one architecture.
 *
 * The tensors of the time embedding are held as float and whole by every rank, in the phase that makes the
 * table of timestep embeddings alone. All others are held while the video is sampled: the tensor axis cuts
 * the rows of q, k, v and ffn-in and the columns of o and ffn-out (Megatron-LM, Shoeybi et al. 2019), so that
 * each part holds whole heads and a range of the feed-forward's inner width. Every part holds the other
 * tensors whole; they act on tokens of full width.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_WAN_H
#define REEL_WAN_H

#include "model.h"
#include "network.h"

/* The index of each tensor in the network's table. */
enum reel_tensor {
    REEL_PATCH_WEIGHT,
    REEL_PATCH_BIAS,
    REEL_TEXT_IN_WEIGHT,
    REEL_TEXT_IN_BIAS,
    REEL_TEXT_OUT_WEIGHT,
    REEL_TEXT_OUT_BIAS,
    REEL_TIME_IN_WEIGHT,
    REEL_TIME_IN_BIAS,
    REEL_TIME_OUT_WEIGHT,
    REEL_TIME_OUT_BIAS,
    REEL_TIME_PROJECTION_WEIGHT,
    REEL_TIME_PROJECTION_BIAS,
    REEL_FPS_ROWS,
    REEL_FPS_IN_WEIGHT,
    REEL_FPS_IN_BIAS,
    REEL_FPS_OUT_WEIGHT,
    REEL_FPS_OUT_BIAS,
    REEL_IMAGE_POSITIONS,
    REEL_IMAGE_NORM_IN_WEIGHT,
    REEL_IMAGE_NORM_IN_BIAS,
    REEL_IMAGE_IN_WEIGHT,
    REEL_IMAGE_IN_BIAS,
    REEL_IMAGE_OUT_WEIGHT,
    REEL_IMAGE_OUT_BIAS,
    REEL_IMAGE_NORM_OUT_WEIGHT,
    REEL_IMAGE_NORM_OUT_BIAS,
    REEL_HEAD_MODULATION,
    REEL_HEAD_WEIGHT,
    REEL_HEAD_BIAS,

    /* of every block */
    REEL_MODULATION,
    REEL_SELF_Q_WEIGHT,
    REEL_SELF_Q_BIAS,
    REEL_SELF_K_WEIGHT,
    REEL_SELF_K_BIAS,
    REEL_SELF_V_WEIGHT,
    REEL_SELF_V_BIAS,
    REEL_SELF_O_WEIGHT,
    REEL_SELF_O_BIAS,
    REEL_SELF_NORM_Q,
    REEL_SELF_NORM_K,
    REEL_CROSS_Q_WEIGHT,
    REEL_CROSS_Q_BIAS,
    REEL_CROSS_O_WEIGHT,
    REEL_CROSS_O_BIAS,
    REEL_CROSS_NORM_Q,
    REEL_CROSS_K_WEIGHT,
    REEL_CROSS_K_BIAS,
    REEL_CROSS_V_WEIGHT,
    REEL_CROSS_V_BIAS,
    REEL_CROSS_NORM_K,
    REEL_CROSS_K_IMAGE_WEIGHT,
    REEL_CROSS_K_IMAGE_BIAS,
    REEL_CROSS_V_IMAGE_WEIGHT,
    REEL_CROSS_V_IMAGE_BIAS,
    REEL_CROSS_NORM_K_IMAGE,
    /* The affine norm before cross attention: norm3, in diffusers norm2. */
    REEL_CROSS_NORM_WEIGHT,
    REEL_CROSS_NORM_BIAS,
    REEL_FFN_IN_WEIGHT,
    REEL_FFN_IN_BIAS,
    REEL_FFN_OUT_WEIGHT,
    REEL_FFN_OUT_BIAS,
    REEL_WAN_TENSORS
};

/* Makes the network of a model. The names do not depend on the sizes, so that the network of a model of zeros
 * serves to find the tensors of a file whose sizes are not known yet. */
void reel_wan_network(const struct reel_model *model, struct reel_network *network);

/* The units in which the feed-forward's inner width is cut: REEL_FFN_UNIT columns, which matrix units load at
 * once, or single columns where that does not divide the width. */
enum { REEL_FFN_UNIT = 16 };
int64_t reel_ffn_units(const struct reel_model *model);

#endif
