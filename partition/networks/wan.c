/* The table of the transformer's tensors. */
#include "wan.h"

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
    PATCH,
    PATCH_OUT,
    TEXT,
    FREQUENCIES,
    IMAGE_ROWS,
    IMAGE_WIDTH,
    EXTENTS
};

/* Which models have a tensor. */
enum presence { ALWAYS, WITH_FPS, WITH_IMAGE, WITH_POSITIONS, PRESENCES };

/* Which dimension of a tensor the tensor axis cuts, and by which unit. */
enum cutting { NOTHING, ROWS_BY_HEAD, COLUMNS_BY_HEAD, ROWS_BY_FFN, COLUMNS_BY_FFN };

/* The number in the hash of weights, the native name, the diffusers name (of block tensors without
 * "blocks.N."), the shape, and what differs from a global tensor that every part holds whole. */
static const struct row {
    int number;
    const char *native, *diffusers;
    enum extent shape[REEL_DIMS_MAX];
    int in_block;
    enum presence presence;
    enum cutting cut;
    int bias;      /* 0: none, for tensor 0 is no bias */
    int is_matrix; /* the weight of a block's linear layer */
    int embeds;    /* of the time embedding */
    enum reel_context context;
    enum reel_random random;
} rows[] = {
    [REEL_PATCH_WEIGHT] = {0, "patch_embedding.weight", "patch_embedding.weight",
                           {WIDTH, IN_CHANNELS, ONE, PATCH, PATCH}, .bias = REEL_PATCH_BIAS},
    [REEL_PATCH_BIAS] = {1, "patch_embedding.bias", "patch_embedding.bias", {WIDTH},
                         .random = REEL_RANDOM_BIAS},
    [REEL_TEXT_IN_WEIGHT] = {2, "text_embedding.0.weight", "condition_embedder.text_embedder.linear_1.weight",
                             {WIDTH, TEXT}, .bias = REEL_TEXT_IN_BIAS},
    [REEL_TEXT_IN_BIAS] = {3, "text_embedding.0.bias", "condition_embedder.text_embedder.linear_1.bias",
                           {WIDTH}, .random = REEL_RANDOM_BIAS},
    [REEL_TEXT_OUT_WEIGHT] = {4, "text_embedding.2.weight",
                              "condition_embedder.text_embedder.linear_2.weight", {WIDTH, WIDTH},
                              .bias = REEL_TEXT_OUT_BIAS},
    [REEL_TEXT_OUT_BIAS] = {5, "text_embedding.2.bias", "condition_embedder.text_embedder.linear_2.bias",
                            {WIDTH}, .random = REEL_RANDOM_BIAS},
    [REEL_TIME_IN_WEIGHT] = {6, "time_embedding.0.weight", "condition_embedder.time_embedder.linear_1.weight",
                             {WIDTH, FREQUENCIES}, .bias = REEL_TIME_IN_BIAS, .embeds = 1},
    [REEL_TIME_IN_BIAS] = {7, "time_embedding.0.bias", "condition_embedder.time_embedder.linear_1.bias",
                           {WIDTH}, .embeds = 1, .random = REEL_RANDOM_BIAS},
    [REEL_TIME_OUT_WEIGHT] = {8, "time_embedding.2.weight",
                              "condition_embedder.time_embedder.linear_2.weight", {WIDTH, WIDTH},
                              .bias = REEL_TIME_OUT_BIAS, .embeds = 1},
    [REEL_TIME_OUT_BIAS] = {9, "time_embedding.2.bias", "condition_embedder.time_embedder.linear_2.bias",
                            {WIDTH}, .embeds = 1, .random = REEL_RANDOM_BIAS},
    [REEL_TIME_PROJECTION_WEIGHT] = {10, "time_projection.1.weight", "condition_embedder.time_proj.weight",
                                     {SIX_WIDTHS, WIDTH}, .bias = REEL_TIME_PROJECTION_BIAS, .embeds = 1},
    [REEL_TIME_PROJECTION_BIAS] = {11, "time_projection.1.bias", "condition_embedder.time_proj.bias",
                                   {SIX_WIDTHS}, .embeds = 1, .random = REEL_RANDOM_BIAS},
    [REEL_FPS_ROWS] = {12, "fps_embedding.weight", "fps_embedding.weight", {TWO, WIDTH}, .presence = WITH_FPS,
                       .embeds = 1, .random = REEL_RANDOM_ROWS},
    [REEL_FPS_IN_WEIGHT] = {13, "fps_projection.0.weight", "fps_projection.net.0.proj.weight", {WIDTH, WIDTH},
                            .presence = WITH_FPS, .bias = REEL_FPS_IN_BIAS, .embeds = 1},
    [REEL_FPS_IN_BIAS] = {14, "fps_projection.0.bias", "fps_projection.net.0.proj.bias", {WIDTH},
                          .presence = WITH_FPS, .embeds = 1, .random = REEL_RANDOM_BIAS},
    [REEL_FPS_OUT_WEIGHT] = {15, "fps_projection.2.weight", "fps_projection.net.2.weight",
                             {SIX_WIDTHS, WIDTH}, .presence = WITH_FPS, .bias = REEL_FPS_OUT_BIAS,
                             .embeds = 1},
    [REEL_FPS_OUT_BIAS] = {16, "fps_projection.2.bias", "fps_projection.net.2.bias", {SIX_WIDTHS},
                           .presence = WITH_FPS, .embeds = 1, .random = REEL_RANDOM_BIAS},
    [REEL_IMAGE_POSITIONS] = {17, "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed",
                              {ONE, IMAGE_ROWS, IMAGE_WIDTH}, .presence = WITH_POSITIONS,
                              .random = REEL_RANDOM_BIAS},
    [REEL_IMAGE_NORM_IN_WEIGHT] = {18, "img_emb.proj.0.weight",
                                   "condition_embedder.image_embedder.norm1.weight", {IMAGE_WIDTH},
                                   .presence = WITH_IMAGE, .bias = REEL_IMAGE_NORM_IN_BIAS,
                                   .random = REEL_RANDOM_NORM},
    [REEL_IMAGE_NORM_IN_BIAS] = {19, "img_emb.proj.0.bias", "condition_embedder.image_embedder.norm1.bias",
                                 {IMAGE_WIDTH}, .presence = WITH_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_IMAGE_IN_WEIGHT] = {20, "img_emb.proj.1.weight",
                              "condition_embedder.image_embedder.ff.net.0.proj.weight",
                              {IMAGE_WIDTH, IMAGE_WIDTH}, .presence = WITH_IMAGE, .bias = REEL_IMAGE_IN_BIAS},
    [REEL_IMAGE_IN_BIAS] = {21, "img_emb.proj.1.bias", "condition_embedder.image_embedder.ff.net.0.proj.bias",
                            {IMAGE_WIDTH}, .presence = WITH_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_IMAGE_OUT_WEIGHT] = {22, "img_emb.proj.3.weight",
                               "condition_embedder.image_embedder.ff.net.2.weight", {WIDTH, IMAGE_WIDTH},
                               .presence = WITH_IMAGE, .bias = REEL_IMAGE_OUT_BIAS},
    [REEL_IMAGE_OUT_BIAS] = {23, "img_emb.proj.3.bias", "condition_embedder.image_embedder.ff.net.2.bias",
                             {WIDTH}, .presence = WITH_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_IMAGE_NORM_OUT_WEIGHT] = {24, "img_emb.proj.4.weight",
                                    "condition_embedder.image_embedder.norm2.weight", {WIDTH},
                                    .presence = WITH_IMAGE, .bias = REEL_IMAGE_NORM_OUT_BIAS,
                                    .random = REEL_RANDOM_NORM},
    [REEL_IMAGE_NORM_OUT_BIAS] = {25, "img_emb.proj.4.bias", "condition_embedder.image_embedder.norm2.bias",
                                  {WIDTH}, .presence = WITH_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_HEAD_MODULATION] = {26, "head.modulation", "scale_shift_table", {ONE, TWO, WIDTH},
                              .random = REEL_RANDOM_MODULATION},
    [REEL_HEAD_WEIGHT] = {27, "head.head.weight", "proj_out.weight", {PATCH_OUT, WIDTH},
                          .bias = REEL_HEAD_BIAS},
    [REEL_HEAD_BIAS] = {28, "head.head.bias", "proj_out.bias", {PATCH_OUT}, .random = REEL_RANDOM_BIAS},
    [REEL_MODULATION] = {29, "modulation", "scale_shift_table", {ONE, SIX, WIDTH}, .in_block = 1,
                         .random = REEL_RANDOM_MODULATION},
    [REEL_SELF_Q_WEIGHT] = {30, "self_attn.q.weight", "attn1.to_q.weight", {WIDTH, WIDTH}, .in_block = 1,
                            .cut = ROWS_BY_HEAD, .bias = REEL_SELF_Q_BIAS, .is_matrix = 1},
    [REEL_SELF_Q_BIAS] = {31, "self_attn.q.bias", "attn1.to_q.bias", {WIDTH}, .in_block = 1,
                          .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_BIAS},
    [REEL_SELF_K_WEIGHT] = {32, "self_attn.k.weight", "attn1.to_k.weight", {WIDTH, WIDTH}, .in_block = 1,
                            .cut = ROWS_BY_HEAD, .bias = REEL_SELF_K_BIAS, .is_matrix = 1},
    [REEL_SELF_K_BIAS] = {33, "self_attn.k.bias", "attn1.to_k.bias", {WIDTH}, .in_block = 1,
                          .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_BIAS},
    [REEL_SELF_V_WEIGHT] = {34, "self_attn.v.weight", "attn1.to_v.weight", {WIDTH, WIDTH}, .in_block = 1,
                            .cut = ROWS_BY_HEAD, .bias = REEL_SELF_V_BIAS, .is_matrix = 1},
    [REEL_SELF_V_BIAS] = {35, "self_attn.v.bias", "attn1.to_v.bias", {WIDTH}, .in_block = 1,
                          .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_BIAS},
    [REEL_SELF_O_WEIGHT] = {36, "self_attn.o.weight", "attn1.to_out.0.weight", {WIDTH, WIDTH}, .in_block = 1,
                            .cut = COLUMNS_BY_HEAD, .bias = REEL_SELF_O_BIAS, .is_matrix = 1},
    [REEL_SELF_O_BIAS] = {37, "self_attn.o.bias", "attn1.to_out.0.bias", {WIDTH}, .in_block = 1,
                          .random = REEL_RANDOM_BIAS},
    [REEL_SELF_NORM_Q] = {38, "self_attn.norm_q.weight", "attn1.norm_q.weight", {WIDTH}, .in_block = 1,
                          .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_NORM},
    [REEL_SELF_NORM_K] = {39, "self_attn.norm_k.weight", "attn1.norm_k.weight", {WIDTH}, .in_block = 1,
                          .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_NORM},
    [REEL_CROSS_Q_WEIGHT] = {40, "cross_attn.q.weight", "attn2.to_q.weight", {WIDTH, WIDTH}, .in_block = 1,
                             .cut = ROWS_BY_HEAD, .bias = REEL_CROSS_Q_BIAS, .is_matrix = 1},
    [REEL_CROSS_Q_BIAS] = {41, "cross_attn.q.bias", "attn2.to_q.bias", {WIDTH}, .in_block = 1,
                           .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_O_WEIGHT] = {42, "cross_attn.o.weight", "attn2.to_out.0.weight", {WIDTH, WIDTH},
                             .in_block = 1, .cut = COLUMNS_BY_HEAD, .bias = REEL_CROSS_O_BIAS,
                             .is_matrix = 1},
    [REEL_CROSS_O_BIAS] = {43, "cross_attn.o.bias", "attn2.to_out.0.bias", {WIDTH}, .in_block = 1,
                           .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_NORM_Q] = {44, "cross_attn.norm_q.weight", "attn2.norm_q.weight", {WIDTH}, .in_block = 1,
                           .cut = ROWS_BY_HEAD, .random = REEL_RANDOM_NORM},
    [REEL_CROSS_K_WEIGHT] = {45, "cross_attn.k.weight", "attn2.to_k.weight", {WIDTH, WIDTH}, .in_block = 1,
                             .cut = ROWS_BY_HEAD, .bias = REEL_CROSS_K_BIAS, .is_matrix = 1,
                             .context = REEL_CONTEXT_OF_TEXT},
    [REEL_CROSS_K_BIAS] = {46, "cross_attn.k.bias", "attn2.to_k.bias", {WIDTH}, .in_block = 1,
                           .cut = ROWS_BY_HEAD, .context = REEL_CONTEXT_OF_TEXT, .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_V_WEIGHT] = {47, "cross_attn.v.weight", "attn2.to_v.weight", {WIDTH, WIDTH}, .in_block = 1,
                             .cut = ROWS_BY_HEAD, .bias = REEL_CROSS_V_BIAS, .is_matrix = 1,
                             .context = REEL_CONTEXT_OF_TEXT},
    [REEL_CROSS_V_BIAS] = {48, "cross_attn.v.bias", "attn2.to_v.bias", {WIDTH}, .in_block = 1,
                           .cut = ROWS_BY_HEAD, .context = REEL_CONTEXT_OF_TEXT, .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_NORM_K] = {49, "cross_attn.norm_k.weight", "attn2.norm_k.weight", {WIDTH}, .in_block = 1,
                           .cut = ROWS_BY_HEAD, .context = REEL_CONTEXT_OF_TEXT, .random = REEL_RANDOM_NORM},
    [REEL_CROSS_K_IMAGE_WEIGHT] = {50, "cross_attn.k_img.weight", "attn2.add_k_proj.weight", {WIDTH, WIDTH},
                                   .in_block = 1, .presence = WITH_IMAGE, .cut = ROWS_BY_HEAD,
                                   .bias = REEL_CROSS_K_IMAGE_BIAS, .is_matrix = 1,
                                   .context = REEL_CONTEXT_OF_IMAGE},
    [REEL_CROSS_K_IMAGE_BIAS] = {51, "cross_attn.k_img.bias", "attn2.add_k_proj.bias", {WIDTH}, .in_block = 1,
                                 .presence = WITH_IMAGE, .cut = ROWS_BY_HEAD,
                                 .context = REEL_CONTEXT_OF_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_V_IMAGE_WEIGHT] = {52, "cross_attn.v_img.weight", "attn2.add_v_proj.weight", {WIDTH, WIDTH},
                                   .in_block = 1, .presence = WITH_IMAGE, .cut = ROWS_BY_HEAD,
                                   .bias = REEL_CROSS_V_IMAGE_BIAS, .is_matrix = 1,
                                   .context = REEL_CONTEXT_OF_IMAGE},
    [REEL_CROSS_V_IMAGE_BIAS] = {53, "cross_attn.v_img.bias", "attn2.add_v_proj.bias", {WIDTH}, .in_block = 1,
                                 .presence = WITH_IMAGE, .cut = ROWS_BY_HEAD,
                                 .context = REEL_CONTEXT_OF_IMAGE, .random = REEL_RANDOM_BIAS},
    [REEL_CROSS_NORM_K_IMAGE] = {54, "cross_attn.norm_k_img.weight", "attn2.norm_added_k.weight", {WIDTH},
                                 .in_block = 1, .presence = WITH_IMAGE, .cut = ROWS_BY_HEAD,
                                 .context = REEL_CONTEXT_OF_IMAGE, .random = REEL_RANDOM_NORM},
    [REEL_CROSS_NORM_WEIGHT] = {55, "norm3.weight", "norm2.weight", {WIDTH}, .in_block = 1,
                                .bias = REEL_CROSS_NORM_BIAS, .random = REEL_RANDOM_NORM},
    [REEL_CROSS_NORM_BIAS] = {56, "norm3.bias", "norm2.bias", {WIDTH}, .in_block = 1,
                              .random = REEL_RANDOM_BIAS},
    [REEL_FFN_IN_WEIGHT] = {57, "ffn.0.weight", "ffn.net.0.proj.weight", {FFN, WIDTH}, .in_block = 1,
                            .cut = ROWS_BY_FFN, .bias = REEL_FFN_IN_BIAS, .is_matrix = 1},
    [REEL_FFN_IN_BIAS] = {58, "ffn.0.bias", "ffn.net.0.proj.bias", {FFN}, .in_block = 1, .cut = ROWS_BY_FFN,
                          .random = REEL_RANDOM_BIAS},
    [REEL_FFN_OUT_WEIGHT] = {59, "ffn.2.weight", "ffn.net.2.weight", {WIDTH, FFN}, .in_block = 1,
                             .cut = COLUMNS_BY_FFN, .bias = REEL_FFN_OUT_BIAS, .is_matrix = 1},
    [REEL_FFN_OUT_BIAS] = {60, "ffn.2.bias", "ffn.net.2.bias", {WIDTH}, .in_block = 1,
                           .random = REEL_RANDOM_BIAS},
};

_Static_assert(sizeof rows / sizeof rows[0] == REEL_WAN_TENSORS, "every tensor has a row");
_Static_assert((int)REEL_WAN_TENSORS <= (int)REEL_TENSORS_MAX, "a network has room for all tensors");

int64_t reel_ffn_units(const struct reel_model *model)
{
    return model->ffn % REEL_FFN_UNIT == 0 ? model->ffn / REEL_FFN_UNIT : model->ffn;
}

/* The extents of a model. */
static void measure_extents(const struct reel_model *m, int64_t extents[EXTENTS])
{
    extents[NONE] = 0;
    extents[ONE] = 1;
    extents[TWO] = 2;
    extents[SIX] = 6;
    extents[WIDTH] = m->width;
    extents[SIX_WIDTHS] = 6 * m->width;
    extents[FFN] = m->ffn;
    extents[IN_CHANNELS] = m->in_channels;
    extents[PATCH] = m->patch;
    extents[PATCH_OUT] = m->patch * m->patch * m->out_channels;
    extents[TEXT] = m->text_width;
    extents[FREQUENCIES] = m->frequencies;
    extents[IMAGE_ROWS] = m->image_rows;
    extents[IMAGE_WIDTH] = m->image_width;
}

static void cut_tensor(const struct reel_model *model, enum cutting cut, struct reel_tensor_spec *spec)
{
    if (cut == NOTHING)
        return;
    spec->cut = cut == ROWS_BY_HEAD || cut == ROWS_BY_FFN ? REEL_CUT_ROWS : REEL_CUT_COLUMNS;
    spec->units = cut == ROWS_BY_HEAD || cut == COLUMNS_BY_HEAD ? model->heads : reel_ffn_units(model);
}

void reel_wan_network(const struct reel_model *model, struct reel_network *network)
{
    const int present[PRESENCES] = {
        [ALWAYS] = 1,
        [WITH_FPS] = model->has_fps != 0,
        [WITH_IMAGE] = model->image_rows > 0,
        [WITH_POSITIONS] = model->image_rows > 257 /* two images: their rows have positions (FLF2V) */
    };
    int64_t extents[EXTENTS];
    measure_extents(model, extents);
    *network = (struct reel_network){.name = "wan",
                                     .layers = model->layers,
                                     .tensor_count = REEL_WAN_TENSORS,
                                     .block = "blocks.",
                                     .diffusers = "condition_embedder."};
    for (int t = 0; t < REEL_WAN_TENSORS; t++) {
        const struct row *row = &rows[t];
        struct reel_tensor_spec *spec = &network->tensors[t];
        int phase = row->embeds ? REEL_PHASE_EMBEDDING : REEL_PHASE_SAMPLING;
        *spec = (struct reel_tensor_spec){.names = {row->native, row->diffusers},
                                          .in_block = row->in_block,
                                          .bias = row->bias > 0 ? row->bias : -1,
                                          .held_as = row->embeds      ? REEL_HELD_AS_FLOAT
                                                     : row->is_matrix ? REEL_HELD_AS_MATRIX
                                                                      : REEL_HELD_AS_DTYPE,
                                          .first_phase = phase,
                                          .last_phase = phase,
                                          .context = row->context,
                                          .random = row->random,
                                          .number = row->number};
        cut_tensor(model, row->cut, spec);
        for (int d = 0; d < REEL_DIMS_MAX && present[row->presence] && row->shape[d] != NONE; d++)
            spec->shape[spec->dims++] = extents[row->shape[d]];
    }
}
