/* A small network that is not the transformer: an encoder with tensors, names, phases and buffers of its own.
 *
 * In its first phase it projects the input [tokens, INPUT] to tokens [tokens, D]. In its second, each of its
 * blocks adds to the tokens
 *
 *     dense_out(gelu(dense_in(norm(x))))  +  gate_out(silu(gate(norm(x))))
 *
 * and a last norm gives the output. Both pairs of layers are cut over the tensor axis, in units of seven and
 * of two columns. */
#ifndef REEL_TEST_ENCODER_H
#define REEL_TEST_ENCODER_H

#include "buffers.h"
#include "model_file.h"

/* Widths: of a token, of the input, and the inner widths of the two pairs of layers with their units. */
enum { D = 40, INPUT = 24, DENSE = 35, UNITS = 5, GATE = 14, GATE_UNITS = 7 };
enum { TOKENS = 27, ENCODER_LAYERS = 2 };

#define ENCODER_EPSILON 1e-6 /* of its norms */

/* The phases. */
enum { ENCODE, RUN_BLOCKS, ENCODER_PHASES };

/* In an order in which no bias stands behind its weight. */
enum encoder_tensor {
    DENSE_OUT_WEIGHT,
    NORM_WEIGHT,
    GATE_OUT_BIAS,
    PROJECTION_WEIGHT,
    DENSE_IN_BIAS,
    FINAL_WEIGHT,
    DENSE_OUT_BIAS,
    GATE_WEIGHT,
    DENSE_IN_WEIGHT,
    GATE_OUT_WEIGHT,
    PROJECTION_BIAS,
    NORM_BIAS,
    FINAL_BIAS,
    ENCODER_TENSORS
};

/* TOKENS_X is in use in both phases; all else shares memory with what is in use in the other. */
enum encoder_buffer {
    SCRATCH,
    ENCODE_WEIGHTS,
    ENCODE_WORK,
    ENCODE_INPUT,
    BLOCK_WEIGHTS,
    GATHERED,
    NORMED,
    HIDDEN_DENSE,
    HIDDEN_GATE,
    EXCHANGE,
    OUTPUT,
    TOKENS_X,
    ENCODER_BUFFERS
};

void encoder_network(const struct reel_model *model, struct reel_network *network);

extern const struct reel_buffer_table encoder_buffers; /* a row for each enum encoder_buffer */

/* Writes its random weights to a file at path: as F32 with native names, or as BF16 with diffusers names.
 * They are exact in both. The tensor `missing` of layer 1 is left out; -1: none. */
void encoder_write(const char *path, enum reel_naming naming, int missing);

/* An element of the input; and the output [TOKENS, D], computed from whole weights in double. */
float encoder_input(int64_t token, int64_t i);
void encoder_alone(const struct reel_model_files *files, float output[TOKENS * D]);

#endif
