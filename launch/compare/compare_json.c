/* A comparison as one JSON object. */
#include "compare.h"

#include "inspect.h"

static json_t *side_json(const struct reel_compare_side *side)
{
    const struct reel_output_file *file = &side->file;
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:[I, I, I, I], s:I, s:I}", "path", side->path,
                     "reel_version", file->version, "complete", file->complete != 0, "seed",
                     (json_int_t)file->seed, "latent_frames", (json_int_t)((file->frames + 3) / 4),
                     "finished_latent_frames", (json_int_t)file->finished_frames, "shape",
                     (json_int_t)file->shape[0], (json_int_t)file->shape[1], (json_int_t)file->shape[2],
                     (json_int_t)file->shape[3], "computed", (json_int_t)side->computed, "skipped",
                     (json_int_t)side->skipped);
}

static json_t *likeness_json(const struct reel_likeness *likeness)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "relative_l2", reel_inspect_real(likeness->relative_l2), "psnr",
                     reel_inspect_real(likeness->psnr), "ssim", reel_inspect_real(likeness->ssim),
                     "temporal_l2", reel_inspect_real(likeness->temporal_l2));
}

static json_t *frames_json(const struct reel_similarity *similarity)
{
    json_t *list = json_array();
    for (int64_t f = 0; f < similarity->frames; f++) {
        json_t *frame = likeness_json(&similarity->frame[f]);
        json_object_set_new(frame, "frame", json_integer(f));
        json_array_append_new(list, frame);
    }
    return list;
}

enum reel_status reel_comparison_print_json(const struct reel_comparison *comparison, FILE *to)
{
    const struct reel_similarity *similarity = &comparison->similarity;
    json_t *report = json_pack("{s:s, s:o, s:o, s:f, s:I, s:b, s:o, s:o}", "kind", "comparison", "a",
                               side_json(&comparison->side[0]), "b", side_json(&comparison->side[1]), "peak",
                               comparison->peak, "compared_latent_frames", (json_int_t)similarity->frames,
                               "identical", similarity->identical, "all", likeness_json(&similarity->all),
                               "frames", frames_json(similarity));
    REEL_NEED(report, REEL_NO_MEMORY, "no memory for the comparison's JSON, or a path is not UTF-8");
    json_dumpf(report, to, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    fputc('\n', to);
    json_decref(report);
    return REEL_OK;
}
