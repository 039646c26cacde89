/* The transformer's presets. */
#include "model.h"

#include <stdio.h>
#include <string.h>

static const struct preset {
    const char *name;
    struct reel_model model;
} presets[] = {
    {"skyreels-v2-df-1.3b",
     {.width = 1536,
      .ffn = 8960,
      .heads = 12,
      .layers = 30,
      .in_channels = 16,
      .out_channels = 16,
      .patch = 2,
      .stride = 8,
      .text_rows = 512,
      .text_width = 4096,
      .frequencies = 256,
      .rope_positions = 1024,
      .has_fps = 1,
      .epsilon = 1e-6}},
    {"skyreels-v2-df-14b",
     {.width = 5120,
      .ffn = 13824,
      .heads = 40,
      .layers = 40,
      .in_channels = 16,
      .out_channels = 16,
      .patch = 2,
      .stride = 8,
      .text_rows = 512,
      .text_width = 4096,
      .frequencies = 256,
      .rope_positions = 1024,
      .epsilon = 1e-6}},
    {"wan2.1-t2v-1.3b",
     {.width = 1536,
      .ffn = 8960,
      .heads = 12,
      .layers = 30,
      .in_channels = 16,
      .out_channels = 16,
      .patch = 2,
      .stride = 8,
      .text_rows = 512,
      .text_width = 4096,
      .frequencies = 256,
      .rope_positions = 1024,
      .epsilon = 1e-6}},
    {"wan2.1-t2v-14b",
     {.width = 5120,
      .ffn = 13824,
      .heads = 40,
      .layers = 40,
      .in_channels = 16,
      .out_channels = 16,
      .patch = 2,
      .stride = 8,
      .text_rows = 512,
      .text_width = 4096,
      .frequencies = 256,
      .rope_positions = 1024,
      .epsilon = 1e-6}},
    {"tiny",
     {.width = 128,
      .ffn = 352,
      .heads = 4,
      .layers = 3,
      .in_channels = 16,
      .out_channels = 16,
      .patch = 2,
      .stride = 8,
      .text_rows = 20,
      .text_width = 48,
      .frequencies = 64,
      .rope_positions = 1024,
      .has_fps = 1,
      .epsilon = 1e-6}},
};

enum { PRESETS = sizeof presets / sizeof presets[0] };

int64_t reel_model_head_channels(const struct reel_model *model)
{
    return model->width / model->heads;
}

int64_t reel_model_patch_latents(const struct reel_model *model)
{
    return model->patch * model->patch;
}

int reel_model_preset(const char *name, struct reel_model *model)
{
    for (int i = 0; i < PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0) {
            *model = presets[i].model;
            return 1;
        }
    return 0;
}

const char *reel_model_presets(void)
{
    return "skyreels-v2-df-1.3b, skyreels-v2-df-14b, wan2.1-t2v-1.3b, wan2.1-t2v-14b, tiny";
}

/* Compares field by field, because the padding between fields is undefined. */
static int models_equal(const struct reel_model *a, const struct reel_model *b)
{
    return a->width == b->width && a->ffn == b->ffn && a->heads == b->heads && a->layers == b->layers &&
           a->in_channels == b->in_channels && a->out_channels == b->out_channels &&
           a->patch == b->patch && a->stride == b->stride && a->text_rows == b->text_rows &&
           a->text_width == b->text_width && a->frequencies == b->frequencies &&
           a->image_rows == b->image_rows && a->image_width == b->image_width &&
           a->rope_positions == b->rope_positions && a->has_fps == b->has_fps &&
           !(a->epsilon < b->epsilon || a->epsilon > b->epsilon);
}

void reel_model_presets_equal(const struct reel_model *model, char *names, int64_t bytes)
{
    names[0] = '\0';
    for (int i = 0; i < PRESETS; i++) {
        size_t used = strlen(names);
        if (models_equal(model, &presets[i].model))
            snprintf(names + used, (size_t)bytes - used, "%s%s", used > 0 ? ", " : "", presets[i].name);
    }
}
