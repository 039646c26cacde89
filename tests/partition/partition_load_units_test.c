/* Load units cover every tensor of a model once, and the portions that ranks take of them are those of the
 * plan. */
#include "load_units.h"
#include "test.h"

/* The elements of all load units; CHECKs that the rows of a tensor follow each other. */
static int64_t elements_of(const struct reel_load_units *units)
{
    int64_t elements = 0, wrong = 0;
    for (int64_t r = 0; r < units->rows_count; r++) {
        const struct reel_tensor_rows *rows = &units->rows[r], *before = rows - 1;
        int goes_on = r > 0 && before->tensor == rows->tensor && before->layer == rows->layer;
        elements += rows->count * rows->columns;
        wrong += rows->count < 1 || rows->first != (goes_on ? before->first + before->count : 0);
    }
    CHECK(wrong == 0, "%lld rows out of order", (long long)wrong);
    CHECK(units->first[0] == 0 && units->first[units->count] == units->rows_count, "pieces leave rows out");
    return elements;
}

static void check_cover(const struct reel_model *model, int64_t readers, int64_t largest)
{
    struct reel_load_units sampling, embedding;
    struct reel_network network;
    reel_wan_network(model, &network);
    CHECK(reel_load_units_make(&network, REEL_PHASE_SAMPLING, readers, &sampling) == REEL_OK &&
              reel_load_units_make(&network, REEL_PHASE_EMBEDDING, readers, &embedding) == REEL_OK,
          "%s", reel_error_here()->cause);
    CHECK(elements_of(&sampling) + elements_of(&embedding) == reel_network_parameters(&network),
          "for %lld readers", (long long)readers);
    CHECK(sampling.count >= readers && sampling.largest <= largest, "%lld pieces of at most %lld",
          (long long)sampling.count, (long long)sampling.largest);
    reel_load_units_free(&sampling);
    reel_load_units_free(&embedding);
}

static void pieces_cover_every_tensor_once(void)
{
    static const char *const presets[] = {"tiny", "skyreels-v2-df-1.3b", "skyreels-v2-df-14b"};
    struct reel_model model;
    for (int64_t readers = 1; readers <= 32; readers *= 2)
        for (size_t m = 0; m < sizeof presets / sizeof presets[0]; m++) {
            CHECK(reel_model_preset(presets[m], &model), "%s", presets[m]);
            check_cover(&model, readers, REEL_LOAD_UNIT_ELEMENTS_MAX);
        }
}

static void a_row_longer_than_a_piece_is_a_piece(void)
{
    struct reel_model model;
    CHECK(reel_model_preset("tiny", &model), "tiny");
    model.image_rows = 5000;
    model.image_width = 1280;
    model.in_channels = 36;
    check_cover(&model, 4, 5000 * 1280);
}

static void small_tensors_are_read_together(void)
{
    struct reel_model model;
    struct reel_network network;
    struct reel_load_units units;
    CHECK(reel_model_preset("skyreels-v2-df-14b", &model), "14b");
    reel_wan_network(&model, &network);
    CHECK(reel_load_units_make(&network, REEL_PHASE_SAMPLING, 8, &units) == REEL_OK, "%s",
          reel_error_here()->cause);
    CHECK(units.count == 4899 && units.rows_count == 5584, "%lld pieces of %lld rows", (long long)units.count,
          (long long)units.rows_count);
    reel_load_units_free(&units);
}

/* From all load units, every rank gets its part of the plan: no more, and no less but for the padding that
 * aligns tensors. */
static void portions_fill(struct reel_workload work)
{
    struct reel_model model;
    struct reel_plan plan;
    struct reel_network network;
    struct reel_load_units units;
    CHECK(reel_model_preset("skyreels-v2-df-1.3b", &model), "1.3b");
    reel_wan_network(&model, &network);
    CHECK(reel_plan_make(&model, &work, &(struct reel_mesh){1, 3, 1, 5, 1}, 15, &plan) == REEL_OK, "%s",
          reel_error_here()->cause);
    CHECK(reel_load_units_make(&network, REEL_PHASE_SAMPLING, 15, &units) == REEL_OK, "%s",
          reel_error_here()->cause);
    int64_t wrong = 0, kept = 0, planned = 0;
    for (int64_t rank = 0; rank < 15; rank++) {
        struct reel_rank_weights rank_weights =
            reel_rank_weights_of(&plan, &network, rank, REEL_PHASE_SAMPLING);
        planned += reel_rank_weights_bytes(&rank_weights, &network);
        for (int64_t r = 0; r < units.rows_count; r++) {
            struct reel_portion portion = reel_portion_of(&network, &rank_weights, &units.rows[r]);
            int64_t end = portion.to + portion.count * portion.bytes;
            wrong += portion.count > 0 &&
                     (end > reel_rank_weights_bytes(&rank_weights, &network) || portion.to % portion.bytes);
            kept += portion.count * portion.bytes;
        }
    }
    CHECK(wrong == 0, "%lld portions leave the memory of their rank", (long long)wrong);
    CHECK(kept <= planned && kept > planned - 15 * REEL_LAYOUT_UNIT * network.tensor_count * model.layers,
          "%lld of %lld", (long long)kept, (long long)planned);
    reel_load_units_free(&units);
}

static void portions_fill_what_the_plan_gives_each_rank(void)
{
    portions_fill((struct reel_workload){.branches = 1, .dtype = REEL_F32, .matrix_dtype = REEL_F32});
    portions_fill((struct reel_workload){.branches = 1, .dtype = REEL_BF16, .matrix_dtype = REEL_BF16});
    portions_fill((struct reel_workload){.branches = 1, .dtype = REEL_BF16, .matrix_dtype = REEL_F8_E4M3});
}

int main(void)
{
    RUN(pieces_cover_every_tensor_once);
    RUN(a_row_longer_than_a_piece_is_a_piece);
    RUN(small_tensors_are_read_together);
    RUN(portions_fill_what_the_plan_gives_each_rank);
    return test_end();
}
