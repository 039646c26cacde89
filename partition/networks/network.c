/* What follows from a network's table. */
#include "network.h"

#include <stdio.h>

int reel_tensor_exists(const struct reel_network *network, int tensor)
{
    return network->tensors[tensor].dims > 0;
}

int64_t reel_tensor_copies(const struct reel_network *network, int tensor)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    if (spec->dims == 0)
        return 0;
    return spec->in_block ? network->layers : 1;
}

int64_t reel_tensor_elements(const struct reel_network *network, int tensor)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    int64_t elements = spec->dims > 0;
    for (int d = 0; d < spec->dims; d++)
        elements *= spec->shape[d];
    return elements;
}

int reel_tensor_is_held(const struct reel_network *network, int tensor, int phase)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    return spec->dims > 0 && spec->first_phase <= phase && phase <= spec->last_phase;
}

int reel_tensor_is_matrix(const struct reel_network *network, int tensor)
{
    return network->tensors[tensor].held_as == REEL_HELD_AS_MATRIX;
}

void reel_tensor_name(const struct reel_network *network, enum reel_naming naming, int tensor, int64_t layer,
                      char name[REEL_TENSOR_NAME_BYTES])
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    if (spec->in_block)
        snprintf(name, REEL_TENSOR_NAME_BYTES, "%s%lld.%s", network->block, (long long)layer,
                 spec->names[naming]);
    else
        snprintf(name, REEL_TENSOR_NAME_BYTES, "%s", spec->names[naming]);
}

int64_t reel_network_tensors(const struct reel_network *network)
{
    int64_t count = 0;
    for (int t = 0; t < network->tensor_count; t++)
        count += reel_tensor_copies(network, t);
    return count;
}

int64_t reel_network_parameters(const struct reel_network *network)
{
    int64_t parameters = 0;
    for (int t = 0; t < network->tensor_count; t++)
        parameters += reel_tensor_copies(network, t) * reel_tensor_elements(network, t);
    return parameters;
}
