/* Slices of tensors, and their positions in memory. */
#include "slice.h"

struct reel_slice reel_slice_of(const struct reel_network *network, int64_t parts, int64_t part, int tensor)
{
    const struct reel_tensor_spec *spec = &network->tensors[tensor];
    int64_t rows = spec->shape[0], columns = reel_tensor_elements(network, tensor) / rows;
    struct reel_slice slice = {
        .rows = rows, .columns = columns, .row_count = rows, .column_count = columns};
    if (spec->cut == REEL_CUT_NOTHING)
        return slice;
    int64_t unit = (spec->cut == REEL_CUT_ROWS ? rows : columns) / spec->units;
    int64_t first = unit * reel_cut_even_first(spec->units, parts, part);
    int64_t count = unit * reel_cut_even_first(spec->units, parts, part + 1) - first;
    if (spec->cut == REEL_CUT_ROWS) {
        slice.first_row = first;
        slice.row_count = count;
    } else {
        slice.first_column = first;
        slice.column_count = count;
    }
    return slice;
}

int64_t reel_slice_elements(const struct reel_slice *slice)
{
    return slice->row_count * slice->column_count;
}

enum reel_dtype reel_layout_dtype(const struct reel_layout *layout, const struct reel_network *network,
                                  int tensor)
{
    enum reel_held_as held_as = network->tensors[tensor].held_as;
    if (held_as == REEL_HELD_AS_FLOAT)
        return REEL_F32;
    return held_as == REEL_HELD_AS_MATRIX ? layout->dtypes.matrix : layout->dtypes.other;
}

int64_t reel_layout_width(const struct reel_layout *layout, const struct reel_network *network, int tensor)
{
    return reel_dtype_bytes(reel_layout_dtype(layout, network, tensor));
}

int reel_layout_is_float(const struct reel_layout *layout, const struct reel_network *network)
{
    for (int t = 0; t < network->tensor_count; t++)
        if (layout->offset[t] >= 0 && reel_layout_dtype(layout, network, t) != REEL_F32)
            return 0;
    return 1;
}

/* Widens the range to hold `count` bytes from first on, which begin behind it. */
static void extend_range(struct reel_range *range, int64_t first, int64_t count)
{
    if (range->count == 0)
        range->first = first;
    range->count = first + count - range->first;
}

struct reel_layout reel_layout_of(const struct reel_network *network, int64_t parts, int64_t part, int phase,
                                  struct reel_dtypes dtypes)
{
    struct reel_layout layout = {.dtypes = dtypes};
    for (int t = 0; t < network->tensor_count; t++) {
        const struct reel_tensor_spec *spec = &network->tensors[t];
        int64_t *end = spec->in_block ? &layout.block_bytes : &layout.global_bytes;
        layout.offset[t] = -1;
        if (!reel_tensor_is_held(network, t, phase))
            continue;
        struct reel_slice slice = reel_slice_of(network, parts, part, t);
        int64_t bytes = reel_slice_elements(&slice) * reel_layout_width(&layout, network, t);
        bytes = (bytes + REEL_LAYOUT_UNIT - 1) / REEL_LAYOUT_UNIT * REEL_LAYOUT_UNIT;
        layout.offset[t] = *end;
        if (spec->context != REEL_CONTEXT_NONE)
            extend_range(&layout.context[spec->context], *end, bytes);
        *end += bytes;
    }
    return layout;
}

struct reel_cut reel_layout_shares(const struct reel_layout *layout, int64_t ranks)
{
    struct reel_cut cut = reel_cut_even(layout->block_bytes / REEL_LAYOUT_UNIT, ranks);
    for (int64_t p = 0; p <= ranks; p++)
        cut.first[p] *= REEL_LAYOUT_UNIT;
    return cut;
}
