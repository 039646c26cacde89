/* Slices of tensors, and their positions in memory. */
#include "slice.h"

#include <stddef.h>

/* Which dimension of a tensor the tensor axis cuts, and by which unit. */
enum cutting { NOTHING, ROWS_BY_HEAD, COLUMNS_BY_HEAD, ROWS_BY_FFN, COLUMNS_BY_FFN };

static enum cutting cutting_of(enum reel_tensor tensor)
{
    switch ((int)tensor) {
    case REEL_SELF_Q_WEIGHT:
    case REEL_SELF_Q_BIAS:
    case REEL_SELF_K_WEIGHT:
    case REEL_SELF_K_BIAS:
    case REEL_SELF_V_WEIGHT:
    case REEL_SELF_V_BIAS:
    case REEL_SELF_NORM_Q:
    case REEL_SELF_NORM_K:
    case REEL_CROSS_Q_WEIGHT:
    case REEL_CROSS_Q_BIAS:
    case REEL_CROSS_NORM_Q:
    case REEL_CROSS_K_WEIGHT:
    case REEL_CROSS_K_BIAS:
    case REEL_CROSS_V_WEIGHT:
    case REEL_CROSS_V_BIAS:
    case REEL_CROSS_NORM_K:
    case REEL_CROSS_K_IMAGE_WEIGHT:
    case REEL_CROSS_K_IMAGE_BIAS:
    case REEL_CROSS_V_IMAGE_WEIGHT:
    case REEL_CROSS_V_IMAGE_BIAS:
    case REEL_CROSS_NORM_K_IMAGE:
        return ROWS_BY_HEAD;
    case REEL_SELF_O_WEIGHT:
    case REEL_CROSS_O_WEIGHT:
        return COLUMNS_BY_HEAD;
    case REEL_FFN_IN_WEIGHT:
    case REEL_FFN_IN_BIAS:
        return ROWS_BY_FFN;
    case REEL_FFN_OUT_WEIGHT:
        return COLUMNS_BY_FFN;
    default:
        return NOTHING;
    }
}

struct reel_slice reel_slice_of(const struct reel_model *model, int64_t parts, int64_t part,
                                enum reel_tensor tensor)
{
    int64_t shape[REEL_DIMS_MAX], C = reel_model_head_channels(model);
    reel_tensor_shape(model, tensor, shape);
    struct reel_slice slice = {.rows = shape[0], .columns = reel_tensor_elements(model, tensor) / shape[0]};
    slice.row_count = slice.rows;
    slice.column_count = slice.columns;
    enum cutting cutting = cutting_of(tensor);
    int by_head = cutting == ROWS_BY_HEAD || cutting == COLUMNS_BY_HEAD;
    int64_t whole = by_head ? model->heads : reel_ffn_units(model), unit = by_head ? C : model->ffn / whole;
    int64_t first = unit * reel_cut_even_first(whole, parts, part);
    int64_t count = unit * reel_cut_even_first(whole, parts, part + 1) - first;
    if (cutting == ROWS_BY_HEAD || cutting == ROWS_BY_FFN) {
        slice.first_row = first;
        slice.row_count = count;
    } else if (cutting != NOTHING) {
        slice.first_column = first;
        slice.column_count = count;
    }
    return slice;
}

int64_t reel_ffn_units(const struct reel_model *model)
{
    return model->ffn % REEL_FFN_UNIT == 0 ? model->ffn / REEL_FFN_UNIT : model->ffn;
}

struct reel_cut reel_ffn_cut(const struct reel_model *model, int64_t parts)
{
    int64_t units = reel_ffn_units(model);
    struct reel_cut cut = reel_cut_even(units, parts);
    for (int64_t p = 0; p <= parts; p++)
        cut.first[p] *= model->ffn / units;
    return cut;
}

int64_t reel_slice_elements(const struct reel_slice *slice)
{
    return slice->row_count * slice->column_count;
}

static int is_of_embedding(int tensor)
{
    return tensor >= REEL_TIME_IN_WEIGHT && tensor <= REEL_FPS_OUT_BIAS;
}

int reel_tensor_is_matrix(enum reel_tensor tensor)
{
    static const enum reel_tensor matrices[] = {
        REEL_SELF_Q_WEIGHT,  REEL_SELF_K_WEIGHT,        REEL_SELF_V_WEIGHT,        REEL_SELF_O_WEIGHT,
        REEL_CROSS_Q_WEIGHT, REEL_CROSS_K_WEIGHT,       REEL_CROSS_V_WEIGHT,       REEL_CROSS_O_WEIGHT,
        REEL_FFN_IN_WEIGHT,  REEL_CROSS_K_IMAGE_WEIGHT, REEL_CROSS_V_IMAGE_WEIGHT, REEL_FFN_OUT_WEIGHT};
    for (size_t m = 0; m < sizeof matrices / sizeof matrices[0]; m++)
        if (matrices[m] == tensor)
            return 1;
    return 0;
}

int64_t reel_layout_width(const struct reel_layout *layout, enum reel_tensor tensor)
{
    return reel_tensor_is_matrix(tensor) ? layout->widths.matrices : layout->widths.others;
}

struct reel_layout reel_layout_of(const struct reel_model *model, int64_t parts, int64_t part,
                                  enum reel_holding holding, struct reel_widths widths)
{
    struct reel_layout layout = {.widths = widths};
    for (int t = 0; t < REEL_TENSORS; t++) {
        int64_t *end = t < REEL_GLOBAL_TENSORS ? &layout.global_bytes : &layout.block_bytes;
        layout.offset[t] = -1;
        if (!reel_tensor_exists(model, (enum reel_tensor)t) ||
            is_of_embedding(t) != (holding == REEL_HELD_FOR_EMBEDDING))
            continue;
        struct reel_slice slice = reel_slice_of(model, parts, part, (enum reel_tensor)t);
        int64_t bytes = reel_slice_elements(&slice) * reel_layout_width(&layout, (enum reel_tensor)t);
        layout.offset[t] = *end;
        *end += (bytes + REEL_LAYOUT_UNIT - 1) / REEL_LAYOUT_UNIT * REEL_LAYOUT_UNIT;
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
