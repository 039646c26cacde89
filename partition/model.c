/* The transformer's sizes: presets, and the list of tensors with their two names. */
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
      .text_rows = 20,
      .text_width = 48,
      .frequencies = 64,
      .rope_positions = 1024,
      .has_fps = 1,
      .epsilon = 1e-6}},
};

enum { PRESETS = sizeof presets / sizeof presets[0] };

/* The extent of one dimension; NONE ends a shape. */
enum extent {
    NONE,
    ONE,
    TWO,
    SIX,
    WIDTH,
    SIX_WIDTHS,
    FFN,
    IN_CHANNELS,
    PATCH_OUT,
    TEXT,
    FREQUENCIES,
    IMAGE_ROWS,
    IMAGE_WIDTH
};

enum presence { ALWAYS, FPS, IMAGE, POSITIONS };

/* The names of block tensors are without "blocks.N.". */
static const struct tensor {
    const char *native;
    const char *diffusers;
    enum extent shape[REEL_DIMS_MAX];
    enum presence presence;
} tensors[REEL_TENSORS] = {
    [REEL_PATCH_WEIGHT] = {"patch_embedding.weight",
                           "patch_embedding.weight",
                           {WIDTH, IN_CHANNELS, ONE, TWO, TWO},
                           ALWAYS},
    [REEL_PATCH_BIAS] = {"patch_embedding.bias", "patch_embedding.bias", {WIDTH}, ALWAYS},
    [REEL_TEXT_IN_WEIGHT] = {"text_embedding.0.weight",
                             "condition_embedder.text_embedder.linear_1.weight",
                             {WIDTH, TEXT},
                             ALWAYS},
    [REEL_TEXT_IN_BIAS] = {"text_embedding.0.bias",
                           "condition_embedder.text_embedder.linear_1.bias",
                           {WIDTH},
                           ALWAYS},
    [REEL_TEXT_OUT_WEIGHT] = {"text_embedding.2.weight",
                              "condition_embedder.text_embedder.linear_2.weight",
                              {WIDTH, WIDTH},
                              ALWAYS},
    [REEL_TEXT_OUT_BIAS] = {"text_embedding.2.bias",
                            "condition_embedder.text_embedder.linear_2.bias",
                            {WIDTH},
                            ALWAYS},
    [REEL_TIME_IN_WEIGHT] = {"time_embedding.0.weight",
                             "condition_embedder.time_embedder.linear_1.weight",
                             {WIDTH, FREQUENCIES},
                             ALWAYS},
    [REEL_TIME_IN_BIAS] = {"time_embedding.0.bias",
                           "condition_embedder.time_embedder.linear_1.bias",
                           {WIDTH},
                           ALWAYS},
    [REEL_TIME_OUT_WEIGHT] = {"time_embedding.2.weight",
                              "condition_embedder.time_embedder.linear_2.weight",
                              {WIDTH, WIDTH},
                              ALWAYS},
    [REEL_TIME_OUT_BIAS] = {"time_embedding.2.bias",
                            "condition_embedder.time_embedder.linear_2.bias",
                            {WIDTH},
                            ALWAYS},
    [REEL_TIME_PROJECTION_WEIGHT] = {"time_projection.1.weight",
                                     "condition_embedder.time_proj.weight",
                                     {SIX_WIDTHS, WIDTH},
                                     ALWAYS},
    [REEL_TIME_PROJECTION_BIAS] = {"time_projection.1.bias",
                                   "condition_embedder.time_proj.bias",
                                   {SIX_WIDTHS},
                                   ALWAYS},
    [REEL_FPS_ROWS] = {"fps_embedding.weight", "fps_embedding.weight", {TWO, WIDTH}, FPS},
    [REEL_FPS_IN_WEIGHT] = {"fps_projection.0.weight",
                            "fps_projection.net.0.proj.weight",
                            {WIDTH, WIDTH},
                            FPS},
    [REEL_FPS_IN_BIAS] = {"fps_projection.0.bias", "fps_projection.net.0.proj.bias", {WIDTH}, FPS},
    [REEL_FPS_OUT_WEIGHT] = {"fps_projection.2.weight",
                             "fps_projection.net.2.weight",
                             {SIX_WIDTHS, WIDTH},
                             FPS},
    [REEL_FPS_OUT_BIAS] = {"fps_projection.2.bias", "fps_projection.net.2.bias", {SIX_WIDTHS}, FPS},
    [REEL_IMAGE_POSITIONS] = {"img_emb.emb_pos",
                              "condition_embedder.image_embedder.pos_embed",
                              {ONE, IMAGE_ROWS, IMAGE_WIDTH},
                              POSITIONS},
    [REEL_IMAGE_NORM_IN_WEIGHT] = {"img_emb.proj.0.weight",
                                   "condition_embedder.image_embedder.norm1.weight",
                                   {IMAGE_WIDTH},
                                   IMAGE},
    [REEL_IMAGE_NORM_IN_BIAS] = {"img_emb.proj.0.bias",
                                 "condition_embedder.image_embedder.norm1.bias",
                                 {IMAGE_WIDTH},
                                 IMAGE},
    [REEL_IMAGE_IN_WEIGHT] = {"img_emb.proj.1.weight",
                              "condition_embedder.image_embedder.ff.net.0.proj.weight",
                              {IMAGE_WIDTH, IMAGE_WIDTH},
                              IMAGE},
    [REEL_IMAGE_IN_BIAS] = {"img_emb.proj.1.bias",
                            "condition_embedder.image_embedder.ff.net.0.proj.bias",
                            {IMAGE_WIDTH},
                            IMAGE},
    [REEL_IMAGE_OUT_WEIGHT] = {"img_emb.proj.3.weight",
                               "condition_embedder.image_embedder.ff.net.2.weight",
                               {WIDTH, IMAGE_WIDTH},
                               IMAGE},
    [REEL_IMAGE_OUT_BIAS] = {"img_emb.proj.3.bias",
                             "condition_embedder.image_embedder.ff.net.2.bias",
                             {WIDTH},
                             IMAGE},
    [REEL_IMAGE_NORM_OUT_WEIGHT] = {"img_emb.proj.4.weight",
                                    "condition_embedder.image_embedder.norm2.weight",
                                    {WIDTH},
                                    IMAGE},
    [REEL_IMAGE_NORM_OUT_BIAS] = {"img_emb.proj.4.bias",
                                  "condition_embedder.image_embedder.norm2.bias",
                                  {WIDTH},
                                  IMAGE},
    [REEL_HEAD_MODULATION] = {"head.modulation", "scale_shift_table", {ONE, TWO, WIDTH}, ALWAYS},
    [REEL_HEAD_WEIGHT] = {"head.head.weight", "proj_out.weight", {PATCH_OUT, WIDTH}, ALWAYS},
    [REEL_HEAD_BIAS] = {"head.head.bias", "proj_out.bias", {PATCH_OUT}, ALWAYS},
    [REEL_MODULATION] = {"modulation", "scale_shift_table", {ONE, SIX, WIDTH}, ALWAYS},
    [REEL_SELF_Q_WEIGHT] = {"self_attn.q.weight", "attn1.to_q.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_SELF_Q_BIAS] = {"self_attn.q.bias", "attn1.to_q.bias", {WIDTH}, ALWAYS},
    [REEL_SELF_K_WEIGHT] = {"self_attn.k.weight", "attn1.to_k.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_SELF_K_BIAS] = {"self_attn.k.bias", "attn1.to_k.bias", {WIDTH}, ALWAYS},
    [REEL_SELF_V_WEIGHT] = {"self_attn.v.weight", "attn1.to_v.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_SELF_V_BIAS] = {"self_attn.v.bias", "attn1.to_v.bias", {WIDTH}, ALWAYS},
    [REEL_SELF_O_WEIGHT] = {"self_attn.o.weight", "attn1.to_out.0.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_SELF_O_BIAS] = {"self_attn.o.bias", "attn1.to_out.0.bias", {WIDTH}, ALWAYS},
    [REEL_SELF_NORM_Q] = {"self_attn.norm_q.weight", "attn1.norm_q.weight", {WIDTH}, ALWAYS},
    [REEL_SELF_NORM_K] = {"self_attn.norm_k.weight", "attn1.norm_k.weight", {WIDTH}, ALWAYS},
    [REEL_CROSS_Q_WEIGHT] = {"cross_attn.q.weight", "attn2.to_q.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_CROSS_Q_BIAS] = {"cross_attn.q.bias", "attn2.to_q.bias", {WIDTH}, ALWAYS},
    [REEL_CROSS_K_WEIGHT] = {"cross_attn.k.weight", "attn2.to_k.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_CROSS_K_BIAS] = {"cross_attn.k.bias", "attn2.to_k.bias", {WIDTH}, ALWAYS},
    [REEL_CROSS_V_WEIGHT] = {"cross_attn.v.weight", "attn2.to_v.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_CROSS_V_BIAS] = {"cross_attn.v.bias", "attn2.to_v.bias", {WIDTH}, ALWAYS},
    [REEL_CROSS_O_WEIGHT] = {"cross_attn.o.weight", "attn2.to_out.0.weight", {WIDTH, WIDTH}, ALWAYS},
    [REEL_CROSS_O_BIAS] = {"cross_attn.o.bias", "attn2.to_out.0.bias", {WIDTH}, ALWAYS},
    [REEL_CROSS_NORM_Q] = {"cross_attn.norm_q.weight", "attn2.norm_q.weight", {WIDTH}, ALWAYS},
    [REEL_CROSS_NORM_K] = {"cross_attn.norm_k.weight", "attn2.norm_k.weight", {WIDTH}, ALWAYS},
    [REEL_CROSS_K_IMAGE_WEIGHT] = {"cross_attn.k_img.weight",
                                   "attn2.add_k_proj.weight",
                                   {WIDTH, WIDTH},
                                   IMAGE},
    [REEL_CROSS_K_IMAGE_BIAS] = {"cross_attn.k_img.bias", "attn2.add_k_proj.bias", {WIDTH}, IMAGE},
    [REEL_CROSS_V_IMAGE_WEIGHT] = {"cross_attn.v_img.weight",
                                   "attn2.add_v_proj.weight",
                                   {WIDTH, WIDTH},
                                   IMAGE},
    [REEL_CROSS_V_IMAGE_BIAS] = {"cross_attn.v_img.bias", "attn2.add_v_proj.bias", {WIDTH}, IMAGE},
    [REEL_CROSS_NORM_K_IMAGE] = {"cross_attn.norm_k_img.weight", "attn2.norm_added_k.weight", {WIDTH}, IMAGE},
    [REEL_CROSS_NORM_WEIGHT] = {"norm3.weight", "norm2.weight", {WIDTH}, ALWAYS},
    [REEL_CROSS_NORM_BIAS] = {"norm3.bias", "norm2.bias", {WIDTH}, ALWAYS},
    [REEL_FFN_IN_WEIGHT] = {"ffn.0.weight", "ffn.net.0.proj.weight", {FFN, WIDTH}, ALWAYS},
    [REEL_FFN_IN_BIAS] = {"ffn.0.bias", "ffn.net.0.proj.bias", {FFN}, ALWAYS},
    [REEL_FFN_OUT_WEIGHT] = {"ffn.2.weight", "ffn.net.2.weight", {WIDTH, FFN}, ALWAYS},
    [REEL_FFN_OUT_BIAS] = {"ffn.2.bias", "ffn.net.2.bias", {WIDTH}, ALWAYS},
};

int64_t reel_model_head_channels(const struct reel_model *model)
{
    return model->width / model->heads;
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
           a->text_rows == b->text_rows && a->text_width == b->text_width &&
           a->frequencies == b->frequencies && a->image_rows == b->image_rows &&
           a->image_width == b->image_width && a->rope_positions == b->rope_positions &&
           a->has_fps == b->has_fps && !(a->epsilon < b->epsilon || a->epsilon > b->epsilon);
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

static int64_t extent_of(const struct reel_model *model, enum extent extent)
{
    switch (extent) {
    case NONE:
        return 0;
    case ONE:
        return 1;
    case TWO:
        return 2;
    case SIX:
        return 6;
    case WIDTH:
        return model->width;
    case SIX_WIDTHS:
        return 6 * model->width;
    case FFN:
        return model->ffn;
    case IN_CHANNELS:
        return model->in_channels;
    case PATCH_OUT:
        return 4 * model->out_channels;
    case TEXT:
        return model->text_width;
    case FREQUENCIES:
        return model->frequencies;
    case IMAGE_ROWS:
        return model->image_rows;
    case IMAGE_WIDTH:
        return model->image_width;
    }
    return 0;
}

int reel_tensor_exists(const struct reel_model *model, enum reel_tensor tensor)
{
    switch (tensors[tensor].presence) {
    case ALWAYS:
        return 1;
    case FPS:
        return model->has_fps != 0;
    case IMAGE:
        return model->image_rows > 0;
    case POSITIONS:
        return model->image_rows > 257; /* two images: their rows have position embeddings (FLF2V) */
    }
    return 0;
}

int reel_tensor_shape(const struct reel_model *model, enum reel_tensor tensor, int64_t shape[REEL_DIMS_MAX])
{
    int dims = 0;
    while (dims < REEL_DIMS_MAX && tensors[tensor].shape[dims] != NONE) {
        shape[dims] = extent_of(model, tensors[tensor].shape[dims]);
        dims++;
    }
    return dims;
}

int64_t reel_tensor_elements(const struct reel_model *model, enum reel_tensor tensor)
{
    if (!reel_tensor_exists(model, tensor))
        return 0;
    int64_t shape[REEL_DIMS_MAX], elements = 1;
    int dims = reel_tensor_shape(model, tensor, shape);
    for (int d = 0; d < dims; d++)
        elements *= shape[d];
    return elements;
}

void reel_tensor_name(enum reel_naming naming, enum reel_tensor tensor, int64_t layer,
                      char name[REEL_TENSOR_NAME_BYTES])
{
    const char *base = naming == REEL_NAMING_NATIVE ? tensors[tensor].native : tensors[tensor].diffusers;
    if (tensor < REEL_GLOBAL_TENSORS)
        snprintf(name, REEL_TENSOR_NAME_BYTES, "%s", base);
    else
        snprintf(name, REEL_TENSOR_NAME_BYTES, "blocks.%lld.%s", (long long)layer, base);
}

/* Counts the tensors and the parameters of the whole model. */
static void count_tensors(const struct reel_model *model, int64_t *count, int64_t *parameters)
{
    *count = *parameters = 0;
    for (int t = 0; t < REEL_TENSORS; t++) {
        int64_t copies = t < REEL_GLOBAL_TENSORS ? 1 : model->layers;
        if (reel_tensor_exists(model, (enum reel_tensor)t))
            *count += copies;
        *parameters += copies * reel_tensor_elements(model, (enum reel_tensor)t);
    }
}

int64_t reel_model_tensors(const struct reel_model *model)
{
    int64_t count, parameters;
    count_tensors(model, &count, &parameters);
    return count;
}

int64_t reel_model_parameters(const struct reel_model *model)
{
    int64_t count, parameters;
    count_tensors(model, &count, &parameters);
    return parameters;
}
