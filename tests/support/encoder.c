/* The tables of the small encoder, and a file of its weights. */
#include "encoder.h"

#include "dtype.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LIVES(first, last) .first_phase = first, .last_phase = last
#define IN_BLOCK .in_block = 1, LIVES(RUN_BLOCKS, RUN_BLOCKS)
#define MATRIX IN_BLOCK, .dims = 2, .held_as = REEL_HELD_AS_MATRIX

static const struct reel_tensor_spec specs[ENCODER_TENSORS] = {
    [DENSE_OUT_WEIGHT] = {{"dense.out.weight", "mlp.fc2.weight"}, MATRIX, .shape = {D, DENSE},
                          .cut = REEL_CUT_COLUMNS, .units = UNITS, .bias = DENSE_OUT_BIAS, .number = 40},
    [NORM_WEIGHT] = {{"norm.weight", "ln.weight"}, IN_BLOCK, .dims = 1, .shape = {D}, .bias = NORM_BIAS,
                     .random = REEL_RANDOM_NORM, .number = 3},
    [GATE_OUT_BIAS] = {{"gate.out.bias", "mlp.fc4.bias"}, IN_BLOCK, .dims = 1, .shape = {D}, .bias = -1,
                       .random = REEL_RANDOM_BIAS, .number = 5},
    [PROJECTION_WEIGHT] = {{"embeddings.projection.weight", "tower.in.weight"}, LIVES(ENCODE, ENCODE),
                           .dims = 2, .shape = {D, INPUT}, .bias = PROJECTION_BIAS,
                           .held_as = REEL_HELD_AS_FLOAT, .number = 7},
    [DENSE_IN_BIAS] = {{"dense.in.bias", "mlp.fc1.bias"}, IN_BLOCK, .dims = 1, .shape = {DENSE},
                       .cut = REEL_CUT_ROWS, .units = UNITS, .bias = -1, .random = REEL_RANDOM_BIAS,
                       .number = 9},
    [FINAL_WEIGHT] = {{"final.weight", "tower.ln.weight"}, LIVES(ENCODE, RUN_BLOCKS), .dims = 1, .shape = {D},
                      .bias = FINAL_BIAS, .random = REEL_RANDOM_NORM, .number = 11},
    [DENSE_OUT_BIAS] = {{"dense.out.bias", "mlp.fc2.bias"}, IN_BLOCK, .dims = 1, .shape = {D}, .bias = -1,
                        .random = REEL_RANDOM_BIAS, .number = 13},
    [GATE_WEIGHT] = {{"gate.in.weight", "mlp.fc3.weight"}, MATRIX, .shape = {GATE, D}, .cut = REEL_CUT_ROWS,
                     .units = GATE_UNITS, .bias = -1, .number = 15},
    [DENSE_IN_WEIGHT] = {{"dense.in.weight", "mlp.fc1.weight"}, MATRIX, .shape = {DENSE, D},
                         .cut = REEL_CUT_ROWS, .units = UNITS, .bias = DENSE_IN_BIAS, .number = 17},
    [GATE_OUT_WEIGHT] = {{"gate.out.weight", "mlp.fc4.weight"}, MATRIX, .shape = {D, GATE},
                         .cut = REEL_CUT_COLUMNS, .units = GATE_UNITS, .bias = GATE_OUT_BIAS, .number = 19},
    [PROJECTION_BIAS] = {{"embeddings.projection.bias", "tower.in.bias"}, LIVES(ENCODE, ENCODE), .dims = 1,
                         .shape = {D}, .bias = -1, .held_as = REEL_HELD_AS_FLOAT, .random = REEL_RANDOM_BIAS,
                         .number = 21},
    [NORM_BIAS] = {{"norm.bias", "ln.bias"}, IN_BLOCK, .dims = 1, .shape = {D}, .bias = -1,
                   .random = REEL_RANDOM_BIAS, .number = 23},
    [FINAL_BIAS] = {{"final.bias", "tower.ln.bias"}, LIVES(ENCODE, RUN_BLOCKS), .dims = 1, .shape = {D},
                    .bias = -1, .random = REEL_RANDOM_BIAS, .number = 25},
};

void encoder_network(const struct reel_model *model, struct reel_network *network)
{
    *network = (struct reel_network){.name = "encoder",
                                     .layers = model->layers,
                                     .tensor_count = ENCODER_TENSORS,
                                     .block = "encoder.layer.",
                                     .diffusers = "tower."};
    memcpy(network->tensors, specs, sizeof specs);
}

static int64_t scratch(const struct reel_counts *c)
{
    return c->plan->work.scratch_bytes;
}

static int64_t encode_weights(const struct reel_counts *c)
{
    return reel_counts_weights(c, ENCODE);
}

static int64_t encode_work(const struct reel_counts *c)
{
    return (1 << 20) + 4 * c->n * INPUT;
}

static int64_t encode_input(const struct reel_counts *c)
{
    return 4 * c->n * INPUT;
}

static int64_t block_weights(const struct reel_counts *c)
{
    return reel_counts_weights(c, RUN_BLOCKS);
}

static int64_t gathered(const struct reel_counts *c)
{
    int64_t block = reel_plan_layout(c->plan, c->network, c->rank, RUN_BLOCKS).block_bytes;
    return c->plan->mesh.gathered ? 2 * block : 0;
}

static int64_t tokens(const struct reel_counts *c)
{
    return 4 * c->n * D;
}

static int64_t hidden_dense(const struct reel_counts *c)
{
    return 4 * c->g * DENSE;
}

static int64_t hidden_gate(const struct reel_counts *c)
{
    return 4 * c->g * GATE;
}

static int64_t exchange(const struct reel_counts *c)
{
    int64_t tensor = c->plan->mesh.tensor;
    return tensor > 1 ? 4 * 4 * tensor * reel_plan_piece_rows(c->plan, c->n) * D : 0;
}

#define ROW(name, memory, host, bytes, first, last) {name, memory, memory, host, bytes, first, last}

static const struct reel_buffer_spec rows[ENCODER_BUFFERS] = {
    [SCRATCH] = ROW("scratch", REEL_MEMORY_ACTIVATIONS, 0, scratch, ENCODE, RUN_BLOCKS),
    [ENCODE_WEIGHTS] = ROW("encode weights", REEL_MEMORY_WEIGHTS, 0, encode_weights, ENCODE, ENCODE),
    [ENCODE_WORK] = ROW("encode work", REEL_MEMORY_ACTIVATIONS, 0, encode_work, ENCODE, ENCODE),
    [ENCODE_INPUT] = ROW("input", REEL_MEMORY_LATENTS, 1, encode_input, ENCODE, ENCODE),
    [BLOCK_WEIGHTS] = ROW("weights", REEL_MEMORY_WEIGHTS, 0, block_weights, RUN_BLOCKS, RUN_BLOCKS),
    [GATHERED] = ROW("gathered", REEL_MEMORY_WEIGHTS, 0, gathered, RUN_BLOCKS, RUN_BLOCKS),
    [NORMED] = ROW("normed", REEL_MEMORY_ACTIVATIONS, 0, tokens, RUN_BLOCKS, RUN_BLOCKS),
    [HIDDEN_DENSE] = ROW("dense", REEL_MEMORY_ACTIVATIONS, 0, hidden_dense, RUN_BLOCKS, RUN_BLOCKS),
    [HIDDEN_GATE] = ROW("gate", REEL_MEMORY_ACTIVATIONS, 0, hidden_gate, RUN_BLOCKS, RUN_BLOCKS),
    [EXCHANGE] = ROW("exchange", REEL_MEMORY_COMMUNICATION, 0, exchange, RUN_BLOCKS, RUN_BLOCKS),
    [OUTPUT] = ROW("output", REEL_MEMORY_LATENTS, 1, tokens, RUN_BLOCKS, RUN_BLOCKS),
    [TOKENS_X] = ROW("x", REEL_MEMORY_EMBEDDING, 0, tokens, ENCODE, RUN_BLOCKS),
};

const struct reel_buffer_table encoder_buffers = {
    .specs = rows, .count = ENCODER_BUFFERS, .phases = ENCODER_PHASES, .network = encoder_network};

static void write_tensor(FILE *header, FILE *data, const struct reel_network *network, int tensor,
                         int64_t layer, enum reel_naming naming, const float *values)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    char name[REEL_TENSOR_NAME_BYTES];
    int halves = naming == REEL_NAMING_DIFFUSERS;
    long first = ftell(data);
    reel_tensor_name(network, naming, tensor, layer, name);
    fprintf(header, "%s\"model.%s\":{\"dtype\":\"%s\",\"shape\":[%lld", ftell(header) > 1 ? "," : "", name,
            halves ? "BF16" : "F32", (long long)spec->shape[0]);
    for (int d = 1; d < spec->dims; d++)
        fprintf(header, ",%lld", (long long)spec->shape[d]);
    for (int64_t i = 0; i < reel_tensor_elements(network, tensor); i++) {
        uint16_t half = reel_bf16_from_float(values[i]);
        fwrite(halves ? (const void *)&half : &values[i], halves ? 2 : 4, 1, data);
    }
    fprintf(header, "],\"data_offsets\":[%ld,%ld]}", first, ftell(data));
}

static void write_all(FILE *header, FILE *data, const struct reel_network *network, enum reel_naming naming,
                      int missing)
{
    struct reel_model_files random;
    float values[D * D];
    CHECK(reel_model_open_network(NULL, network, &random) == REEL_OK, "%s", reel_error_here()->cause);
    fputc('{', header);
    for (int t = 0; t < network->tensor_count; t++)
        for (int64_t layer = 0; layer < reel_tensor_copies(network, t); layer++) {
            int64_t count = reel_tensor_elements(network, t);
            CHECK(reel_model_read(&random, t, layer, 0, count, values) == REEL_OK, "%s",
                  reel_error_here()->cause);
            if (t != missing || layer != 1)
                write_tensor(header, data, network, t, layer, naming, values);
        }
    fputc('}', header);
    reel_model_close(&random);
}

void encoder_write(const char *path, enum reel_naming naming, int missing)
{
    struct reel_network network;
    char *texts[2];
    size_t bytes[2];
    FILE *header = open_memstream(&texts[0], &bytes[0]), *data = open_memstream(&texts[1], &bytes[1]);
    encoder_network(&(struct reel_model){.layers = ENCODER_LAYERS}, &network);
    write_all(header, data, &network, naming, missing);
    fclose(header);
    fclose(data);
    FILE *file = fopen(path, "wb");
    uint64_t length = bytes[0];
    CHECK(file && fwrite(&length, 8, 1, file) == 1 && fwrite(texts[0], bytes[0], 1, file) == 1 &&
              fwrite(texts[1], bytes[1], 1, file) == 1 && fclose(file) == 0,
          "%s is not written", path);
    free(texts[0]);
    free(texts[1]);
}

float encoder_input(int64_t token, int64_t i)
{
    return (float)sin(0.37 * (double)(token * INPUT + i));
}

/* y [TOKENS, out] = x [TOKENS, in] weight^T + bias, in double. */
static void linear(const struct reel_model_files *files, int weight, int64_t layer, const double *x,
                   double *y)
{
    const struct reel_tensor_spec *spec = &files->network.tensors[weight];
    int64_t out = spec->shape[0], in = spec->shape[1];
    float w[D * D], b[D] = {0};
    CHECK(reel_model_read(files, weight, layer, 0, out * in, w) == REEL_OK, "%s", reel_error_here()->cause);
    if (spec->bias >= 0)
        CHECK(reel_model_read(files, spec->bias, layer, 0, out, b) == REEL_OK, "%s",
              reel_error_here()->cause);
    for (int64_t t = 0; t < TOKENS; t++)
        for (int64_t o = 0; o < out; o++) {
            double sum = (double)b[o];
            for (int64_t i = 0; i < in; i++)
                sum += x[t * in + i] * (double)w[o * in + i];
            y[t * out + o] = sum;
        }
}

static void norm(const struct reel_model_files *files, int weight, int64_t layer, const double *x, double *y)
{
    float w[D], b[D];
    CHECK(reel_model_read(files, weight, layer, 0, D, w) == REEL_OK &&
              reel_model_read(files, files->network.tensors[weight].bias, layer, 0, D, b) == REEL_OK,
          "%s", reel_error_here()->cause);
    for (int64_t t = 0; t < TOKENS; t++) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < D; i++)
            mean += x[t * D + i] / D;
        for (int64_t i = 0; i < D; i++)
            variance += pow(x[t * D + i] - mean, 2) / D;
        for (int64_t i = 0; i < D; i++)
            y[t * D + i] =
                (x[t * D + i] - mean) / sqrt(variance + ENCODER_EPSILON) * (double)w[i] + (double)b[i];
    }
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

/* The whole forward pass on one rank, in double. */
void encoder_alone(const struct reel_model_files *files, float output[TOKENS * D])
{
    double input[TOKENS * INPUT], x[TOKENS * D], normed[TOKENS * D], hidden[TOKENS * DENSE], y[TOKENS * D];
    for (int64_t i = 0; i < TOKENS * INPUT; i++)
        input[i] = (double)encoder_input(i / INPUT, i % INPUT);
    linear(files, PROJECTION_WEIGHT, 0, input, x);
    for (int64_t layer = 0; layer < ENCODER_LAYERS; layer++) {
        norm(files, NORM_WEIGHT, layer, x, normed);
        linear(files, DENSE_IN_WEIGHT, layer, normed, hidden);
        for (int64_t i = 0; i < TOKENS * DENSE; i++)
            hidden[i] = gelu(hidden[i]);
        linear(files, DENSE_OUT_WEIGHT, layer, hidden, y);
        for (int64_t i = 0; i < TOKENS * D; i++)
            x[i] += y[i];
        linear(files, GATE_WEIGHT, layer, normed, hidden);
        for (int64_t i = 0; i < TOKENS * GATE; i++)
            hidden[i] = silu(hidden[i]);
        linear(files, GATE_OUT_WEIGHT, layer, hidden, y);
        for (int64_t i = 0; i < TOKENS * D; i++)
            x[i] += y[i];
    }
    norm(files, FINAL_WEIGHT, 0, x, y);
    for (int64_t i = 0; i < TOKENS * D; i++)
        output[i] = (float)y[i];
}
