/* Reads and measures two outputs. */
#include "compare.h"

#include "statistics.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static enum reel_status open_side(const char *path, struct reel_compare_side *side)
{
    *side = (struct reel_compare_side){.path = path};
    REEL_NEED(access(path, R_OK) == 0, REEL_BAD_INPUT, "%s: %s", path, strerror(errno));
    REEL_PASS(reel_output_open(path, &side->file));
    for (int64_t k = 0; k < side->file.chunk_count; k++)
        for (int branch = 0; branch < 2; branch++) {
            side->computed += side->file.chunks[k].computed[branch];
            side->skipped += side->file.chunks[k].skipped[branch];
        }
    return REEL_OK;
}

/* The max - min of all latents of a side. Latents outside the compared frames are checked too: all of A's
 * give the peak, and a broken frame of B is worth an error. */
static enum reel_status measure_range(const struct reel_compare_side *side, double *range)
{
    const int64_t *shape = side->file.shape;
    struct reel_statistics s = {0};
    reel_statistics_add(&s, side->file.latents, shape[0] * shape[1] * shape[2] * shape[3]);
    REEL_NEED(s.not_finite == 0, REEL_BAD_INPUT,
              "%s: %" PRId64 " of its %" PRId64 " latents are not finite, expected finite ones", side->path,
              s.not_finite, s.count + s.not_finite);
    REEL_NEED(s.count > 0, REEL_BAD_INPUT, "%s has no finished latent frame, expected at least one",
              side->path);
    *range = s.max - s.min;
    return REEL_OK;
}

static enum reel_status check_shapes(const struct reel_compare_side *a, const struct reel_compare_side *b)
{
    const int64_t *x = a->file.shape, *y = b->file.shape;
    REEL_NEED(x[0] == y[0] && x[2] == y[2] && x[3] == y[3], REEL_BAD_INPUT,
              "%s has latents of %" PRId64 " channels x %" PRId64 " x %" PRId64 " and %s of %" PRId64
              " channels x %" PRId64 " x %" PRId64 ", expected the same",
              a->path, x[0], x[2], x[3], b->path, y[0], y[2], y[3]);
    return REEL_OK;
}

static struct reel_latents latents_of(const struct reel_output_file *file)
{
    return (struct reel_latents){.values = file->latents,
                                 .channels = file->shape[0],
                                 .frames = file->shape[1],
                                 .rows = file->shape[2],
                                 .columns = file->shape[3]};
}

static enum reel_status measure_sides(struct reel_comparison *comparison)
{
    const struct reel_compare_side *a = &comparison->side[0], *b = &comparison->side[1];
    struct reel_latents x = latents_of(&a->file), y = latents_of(&b->file);
    double range;
    REEL_PASS(check_shapes(a, b));
    REEL_PASS(measure_range(b, &range));
    REEL_PASS(measure_range(a, &comparison->peak));
    REEL_NEED(comparison->peak > 0, REEL_BAD_INPUT,
              "%s: its latents are all %g, expected different ones: PSNR and SSIM need their range", a->path,
              (double)x.values[0]);
    return reel_similarity_open(&x, &y, comparison->peak, &comparison->similarity);
}

enum reel_status reel_comparison_open(const char *a, const char *b, struct reel_comparison *comparison)
{
    *comparison = (struct reel_comparison){0};
    enum reel_status status = open_side(a, &comparison->side[0]);
    if (status == REEL_OK)
        status = open_side(b, &comparison->side[1]);
    if (status == REEL_OK)
        status = measure_sides(comparison);
    if (status != REEL_OK)
        reel_comparison_close(comparison);
    return status;
}

void reel_comparison_close(struct reel_comparison *comparison)
{
    for (int s = 0; s < REEL_COMPARE_SIDES; s++)
        reel_output_close(&comparison->side[s].file);
    reel_similarity_close(&comparison->similarity);
    *comparison = (struct reel_comparison){0};
}
