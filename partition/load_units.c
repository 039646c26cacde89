/* Load units of a checkpoint, and which rank holds what of them. */
#include "load_units.h"

#include "traffic.h"

#include <stdlib.h>
#include <string.h>

/* The wanted elements of a load unit. At least WANTED_MIN, so that messages are not too small. At most
 * WANTED_MAX: a unit of whole rows may be half as large again, and stays below REEL_LOAD_UNIT_ELEMENTS_MAX. A
 * tensor smaller than 1 / SMALL_PART of the wanted size shares a unit with others. */
enum {
    WANTED_MIN = 1 << 14,
    WANTED_MAX = REEL_LOAD_UNIT_ELEMENTS_MAX / 3 * 2,
    UNITS_PER_READER = 8,
    SMALL_PART = 8
};

/* Appends rows to the open load unit, or opens a new one. While the arrays are NULL it only counts. */
static void put_rows(struct reel_load_units *units, struct reel_tensor_rows rows, int opens, int64_t *filled)
{
    if (opens) {
        if (units->first)
            units->first[units->count] = units->rows_count;
        units->count++;
        *filled = 0;
    }
    rows.at = *filled;
    *filled += rows.count * rows.columns;
    if (*filled > units->largest)
        units->largest = *filled;
    if (units->rows)
        units->rows[units->rows_count] = rows;
    units->rows_count++;
}

/* Puts a tensor into load units of its own, as near to the wanted size as whole rows allow. */
static void put_cut_tensor(struct reel_load_units *units, struct reel_tensor_rows whole, int64_t wanted,
                           int64_t *filled)
{
    int64_t parts = (whole.count * whole.columns + wanted / 2) / wanted;
    parts = parts < 1 ? 1 : parts > whole.count ? whole.count : parts;
    for (int64_t p = 0; p < parts; p++) {
        struct reel_tensor_rows rows = whole;
        rows.first = whole.count * p / parts;
        rows.count = whole.count * (p + 1) / parts - rows.first;
        put_rows(units, rows, 1, filled);
    }
}

/* Small tensors come first, then matrices, each tensor by tensor. The shares of gathered blocks are in the
 * order of tensors too. So readers of consecutive units mostly read what they hold themselves, and never
 * all read for the same rank at once. */
static void put_all_tensors(const struct reel_network *network, int phase, int64_t wanted,
                            struct reel_load_units *units)
{
    int64_t filled = wanted;
    for (int small = 1; small >= 0; small--)
        for (int t = 0; t < network->tensor_count; t++) {
            int64_t elements = reel_tensor_elements(network, t);
            if (!reel_tensor_is_held(network, t, phase) || (elements < wanted / SMALL_PART) != small)
                continue;
            struct reel_slice whole = reel_slice_of(network, 1, 0, t);
            for (int64_t layer = 0; layer < reel_tensor_copies(network, t); layer++) {
                struct reel_tensor_rows rows = {
                    .tensor = t, .layer = layer, .count = whole.rows, .columns = whole.columns};
                if (small)
                    put_rows(units, rows, filled + elements > wanted, &filled);
                else
                    put_cut_tensor(units, rows, wanted, &filled);
            }
        }
}

/* Weights are read as float, whatever their dtype in memory. */
static int64_t wanted_elements(const struct reel_network *network, int phase, int64_t readers)
{
    struct reel_layout layout =
        reel_layout_of(network, 1, 0, phase, (struct reel_dtypes){REEL_F32, REEL_F32});
    int64_t all = (layout.global_bytes + network->layers * layout.block_bytes) / reel_dtype_bytes(REEL_F32);
    int64_t wanted = all / (UNITS_PER_READER * readers);
    return wanted < WANTED_MIN ? WANTED_MIN : wanted > WANTED_MAX ? WANTED_MAX : wanted;
}

enum reel_status reel_load_units_make(const struct reel_network *network, int phase, int64_t readers,
                                      struct reel_load_units *units)
{
    int64_t wanted = wanted_elements(network, phase, readers);
    *units = (struct reel_load_units){.count = 0};
    put_all_tensors(network, phase, wanted, units);
    units->rows = malloc((size_t)units->rows_count * sizeof *units->rows);
    units->first = malloc((size_t)(units->count + 1) * sizeof *units->first);
    if (!units->rows || !units->first) {
        reel_load_units_free(units);
        return reel_fail(REEL_NO_MEMORY, "no memory for the list of load units");
    }
    units->count = units->rows_count = 0;
    put_all_tensors(network, phase, wanted, units);
    units->first[units->count] = units->rows_count;
    return REEL_OK;
}

void reel_load_units_free(struct reel_load_units *units)
{
    free(units->rows);
    free(units->first);
    *units = (struct reel_load_units){.count = 0};
}

struct reel_rank_weights reel_rank_weights_of(const struct reel_plan *plan,
                                              const struct reel_network *network, int64_t rank, int phase)
{
    struct reel_rank_weights rank_weights = {.parts = plan->mesh.tensor,
                                             .part = reel_plan_coords(plan, rank).tensor,
                                             .layout = reel_plan_layout(plan, network, rank, phase)};
    rank_weights.held = reel_plan_share(plan, &rank_weights.layout, rank);
    return rank_weights;
}

int64_t reel_rank_weights_bytes(const struct reel_rank_weights *rank_weights,
                                const struct reel_network *network)
{
    return rank_weights->layout.global_bytes + network->layers * rank_weights->held.count;
}

struct reel_portion reel_portion_of(const struct reel_network *network,
                                    const struct reel_rank_weights *rank_weights,
                                    const struct reel_tensor_rows *rows)
{
    const struct reel_layout *layout = &rank_weights->layout;
    struct reel_slice slice = reel_slice_of(network, rank_weights->parts, rank_weights->part, rows->tensor);
    struct reel_range mine = reel_range_intersect((struct reel_range){rows->first, rows->count},
                                                  (struct reel_range){slice.first_row, slice.row_count});
    int64_t width = slice.column_count, bytes = reel_layout_width(layout, network, rows->tensor);
    int64_t place = layout->offset[rows->tensor] + (mine.first - slice.first_row) * width * bytes;
    struct reel_portion portion = {.from = (mine.first - rows->first) * rows->columns + slice.first_column,
                                   .width = width,
                                   .count = mine.count * width,
                                   .to = place,
                                   .bytes = bytes};
    if (!network->tensors[rows->tensor].in_block)
        return portion;
    /* shares and tensors begin on multiples of REEL_LAYOUT_UNIT, so no share cuts an element */
    struct reel_range kept =
        reel_range_intersect((struct reel_range){place, portion.count * bytes}, rank_weights->held);
    portion.skip = (kept.first - place) / bytes;
    portion.count = kept.count / bytes;
    portion.to =
        layout->global_bytes + rows->layer * rank_weights->held.count + kept.first - rank_weights->held.first;
    return portion;
}
