/* The list of tensors has the published number of tensors and parameters. */
#include "model.h"
#include "test.h"

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
        CHECK(reel_model_preset(published[i].name, &model), "%s", published[i].name);
        CHECK(reel_model_tensors(&model) == published[i].tensors, "%s has %lld tensors", published[i].name,
              (long long)reel_model_tensors(&model));
        CHECK(reel_model_parameters(&model) == published[i].parameters, "%s has %lld parameters",
              published[i].name, (long long)reel_model_parameters(&model));
        CHECK(strstr(reel_model_presets(), published[i].name), "%s is not listed", published[i].name);
    }
}

static void the_image_branch_adds_what_i2v_models_own(void)
{
    struct reel_model model;
    reel_model_preset("wan2.1-t2v-14b", &model);
    model.in_channels = 36;
    model.image_rows = 257;
    model.image_width = 1280;
    CHECK(reel_model_tensors(&model) == 1303, "%lld tensors", (long long)reel_model_tensors(&model));
    CHECK(reel_model_parameters(&model) == 16394878784, "%lld parameters",
          (long long)reel_model_parameters(&model));
}

static void the_affine_norm_is_named_norm2_in_diffusers(void)
{
    char name[REEL_TENSOR_NAME_BYTES];
    reel_tensor_name(REEL_NAMING_DIFFUSERS, REEL_CROSS_NORM_WEIGHT, 7, name);
    CHECK(strcmp(name, "blocks.7.norm2.weight") == 0, "%s", name);
    reel_tensor_name(REEL_NAMING_NATIVE, REEL_CROSS_NORM_WEIGHT, 7, name);
    CHECK(strcmp(name, "blocks.7.norm3.weight") == 0, "%s", name);
}

int main(void)
{
    RUN(presets_have_the_published_sizes);
    RUN(the_image_branch_adds_what_i2v_models_own);
    RUN(the_affine_norm_is_named_norm2_in_diffusers);
    return test_end();
}
