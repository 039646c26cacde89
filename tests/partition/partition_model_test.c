/* The list of tensors has the published number of tensors and parameters, and every tensor its number. */
#include "test.h"
#include "wan.h"

#include <string.h>

static void presets_have_the_published_sizes(void)
{
    static const struct {
        const char *name;
        int64_t tensors, parameters;
    } published[] = {{"wan2.1-t2v-1.3b", 825, 1418996800},
                     {"skyreels-v2-df-1.3b", 830, 1435525696},
                     {"wan2.1-t2v-14b", 1095, 14288491584},
                     {"skyreels-v2-df-14b", 1095, 14288491584},
                     {"tiny", 101, 952032}};
    for (int i = 0; i < 5; i++) {
        struct reel_model model;
        struct reel_network network;
        CHECK(reel_model_preset(published[i].name, &model), "%s", published[i].name);
        reel_wan_network(&model, &network);
        CHECK(reel_network_tensors(&network) == published[i].tensors, "%s has %lld tensors",
              published[i].name, (long long)reel_network_tensors(&network));
        CHECK(reel_network_parameters(&network) == published[i].parameters, "%s has %lld parameters",
              published[i].name, (long long)reel_network_parameters(&network));
        CHECK(strstr(reel_model_presets(), published[i].name), "%s is not listed", published[i].name);
    }
}

static void the_image_branch_adds_what_i2v_models_own(void)
{
    struct reel_model model;
    struct reel_network network;
    reel_model_preset("wan2.1-t2v-14b", &model);
    model.in_channels = 36;
    model.image_rows = 257;
    model.image_width = 1280;
    reel_wan_network(&model, &network);
    CHECK(reel_network_tensors(&network) == 1303, "%lld tensors", (long long)reel_network_tensors(&network));
    CHECK(reel_network_parameters(&network) == 16394878784, "%lld parameters",
          (long long)reel_network_parameters(&network));
}

static void the_affine_norm_is_named_norm2_in_diffusers(void)
{
    struct reel_network network;
    char name[REEL_TENSOR_NAME_BYTES];
    reel_wan_network(&(struct reel_model){.width = 0}, &network);
    reel_tensor_name(&network, REEL_NAMING_DIFFUSERS, REEL_CROSS_NORM_WEIGHT, 7, name);
    CHECK(strcmp(name, "blocks.7.norm2.weight") == 0, "%s", name);
    reel_tensor_name(&network, REEL_NAMING_NATIVE, REEL_CROSS_NORM_WEIGHT, 7, name);
    CHECK(strcmp(name, "blocks.7.norm3.weight") == 0, "%s", name);
}

/* The hash of weights in a checkpoint is made with these numbers. */
static void every_tensor_keeps_its_number(void)
{
    static const struct {
        int tensor, number;
    } some[] = {{REEL_PATCH_WEIGHT, 0},     {REEL_TIME_IN_WEIGHT, 6},     {REEL_FPS_OUT_BIAS, 16},
                {REEL_IMAGE_POSITIONS, 17}, {REEL_HEAD_BIAS, 28},         {REEL_MODULATION, 29},
                {REEL_SELF_O_WEIGHT, 36},   {REEL_CROSS_K_WEIGHT, 45},    {REEL_CROSS_K_IMAGE_WEIGHT, 50},
                {REEL_CROSS_NORM_BIAS, 56}, {REEL_CROSS_NORM_K_IMAGE, 54}, {REEL_FFN_OUT_BIAS, 60}};
    struct reel_network network;
    int64_t seen = 0;
    reel_wan_network(&(struct reel_model){.width = 0}, &network);
    CHECK(network.tensor_count == 61, "%d tensors", network.tensor_count);
    for (int t = 0; t < network.tensor_count; t++)
        seen |= INT64_C(1) << network.tensors[t].number;
    CHECK(seen == (INT64_C(1) << 61) - 1, "two tensors have one number");
    for (size_t s = 0; s < sizeof some / sizeof some[0]; s++)
        CHECK(network.tensors[some[s].tensor].number == some[s].number, "tensor %d has the number %d",
              some[s].tensor, network.tensors[some[s].tensor].number);
}

/* Where a weight has a bias, the bias has the weight's rows, and is cut and held as they are. */
static void a_bias_is_cut_like_the_rows_of_its_weight(void)
{
    struct reel_model model;
    struct reel_network network;
    int biases = 0;
    reel_model_preset("tiny", &model);
    model.image_rows = 514;
    model.image_width = 40;
    reel_wan_network(&model, &network);
    for (int t = 0; t < network.tensor_count; t++) {
        const struct reel_tensor_spec *weight = &network.tensors[t];
        if (weight->bias < 0)
            continue;
        const struct reel_tensor_spec *bias = &network.tensors[weight->bias];
        size_t stem = strlen(weight->names[0]) - strlen("weight");
        biases++;
        CHECK(bias->dims == 1 && bias->shape[0] == weight->shape[0] && bias->in_block == weight->in_block,
              "the bias of %s has another shape", weight->names[0]);
        CHECK(strncmp(bias->names[0], weight->names[0], stem) == 0 &&
                  strcmp(bias->names[0] + stem, "bias") == 0,
              "the bias of %s is %s", weight->names[0], bias->names[0]);
        CHECK(weight->cut == REEL_CUT_COLUMNS ? bias->cut == REEL_CUT_NOTHING : bias->cut == weight->cut,
              "the bias of %s is cut otherwise", weight->names[0]);
        CHECK(bias->first_phase == weight->first_phase && bias->last_phase == weight->last_phase &&
                  bias->context == weight->context,
              "the bias of %s is held at another time", weight->names[0]);
    }
    CHECK(biases == 26, "%d weights have a bias", biases);
}

int main(void)
{
    RUN(presets_have_the_published_sizes);
    RUN(the_image_branch_adds_what_i2v_models_own);
    RUN(the_affine_norm_is_named_norm2_in_diffusers);
    RUN(every_tensor_keeps_its_number);
    RUN(a_bias_is_cut_like_the_rows_of_its_weight);
    return test_end();
}
