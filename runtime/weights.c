/* Whole weights in host memory: where each tensor lies, and reading them to their place. */
#include "weights.h"

#include <inttypes.h>
#include <stddef.h>

/* 64 bytes, and 4 MiB, in floats. */
enum { ALIGNMENT = 16, PIECE = 1 << 20 };

/* Lays the tensors first .. end out from floats on; returns where they end. */
static int64_t lay_out(const struct reel_model *model, int first, int end, int64_t floats,
                       int64_t offset[REEL_TENSORS])
{
    for (int t = first; t < end; t++) {
        int64_t elements = reel_tensor_elements(model, (enum reel_tensor)t);
        offset[t] = elements > 0 ? floats : -1;
        floats += (elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return floats;
}

/* Fills all but base; returns the floats of the whole. */
static int64_t plan(const struct reel_model *model, struct reel_weights *weights)
{
    int64_t blocks = lay_out(model, 0, REEL_GLOBAL_TENSORS, 0, weights->offset);
    int64_t end = lay_out(model, REEL_GLOBAL_TENSORS, REEL_TENSORS, blocks, weights->offset);
    weights->block_stride = end - blocks;
    return blocks + model->layers * weights->block_stride;
}

int64_t reel_weights_bytes(const struct reel_model *model)
{
    struct reel_weights weights;
    return plan(model, &weights) * (int64_t)sizeof(float);
}

enum reel_status reel_weights_load(const struct reel_model_files *files, void *memory, int64_t bytes,
                                   struct reel_weights *weights,
                                   void (*progress)(void *context, int64_t done_bytes, int64_t all_bytes),
                                   void *context)
{
    const struct reel_model *model = &files->model;
    int64_t needed = plan(model, weights) * (int64_t)sizeof(float), done = 0;
    int64_t all = reel_model_parameters(model) * (int64_t)sizeof(float);
    REEL_NEED(bytes >= needed && (uintptr_t)memory % 64 == 0, REEL_INTERNAL,
              "weights need %" PRId64 " bytes of memory aligned to 64, not %" PRId64 " at %p", needed, bytes,
              memory);
    weights->base = memory;
    for (int t = 0; t < REEL_TENSORS; t++) {
        enum reel_tensor tensor = (enum reel_tensor)t;
        int64_t elements = reel_tensor_elements(model, tensor);
        int64_t copies = t < REEL_GLOBAL_TENSORS ? 1 : model->layers;
        for (int64_t layer = 0; layer < copies && elements > 0; layer++) {
            float *place = (float *)memory + (reel_weight(weights, tensor, layer) - weights->base);
            for (int64_t first = 0; first < elements; first += PIECE) {
                int64_t count = elements - first < PIECE ? elements - first : PIECE;
                REEL_PASS(reel_model_read(files, tensor, layer, first, count, place + first));
                done += count * (int64_t)sizeof(float);
                if (progress)
                    progress(context, done, all);
            }
        }
    }
    return REEL_OK;
}

const float *reel_weight(const struct reel_weights *weights, enum reel_tensor tensor, int64_t layer)
{
    if (weights->offset[tensor] < 0)
        return NULL;
    return weights->base + weights->offset[tensor] +
           (tensor < REEL_GLOBAL_TENSORS ? 0 : layer * weights->block_stride);
}
