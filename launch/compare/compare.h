/* Compares two outputs: how far B is from A, the reference. For example, B with TeaCache and A without.
 *
 *     struct reel_comparison comparison;
 *     REEL_PASS(reel_comparison_open("full.h5", "cached.h5", &comparison));
 *     reel_comparison_print(&comparison, stdout);
 *     reel_comparison_close(&comparison);
 *
 * The latent frames that both outputs have are compared; similarity.h defines the measures.
 * Not collective. */
#ifndef REEL_COMPARE_H
#define REEL_COMPARE_H

#include "output_read.h"
#include "similarity.h"
#include "status.h"

#include <stdio.h>

enum { REEL_COMPARE_SIDES = 2 };

/* An output, with the number of its forwards that were computed and that TeaCache skipped. */
struct reel_compare_side {
    const char *path; /* borrowed from the caller */
    struct reel_output_file file;
    int64_t computed, skipped;
};

struct reel_comparison {
    struct reel_compare_side side[REEL_COMPARE_SIDES]; /* A and B */
    double peak;                                       /* max - min of A's latents, over all its frames */
    struct reel_similarity similarity;
};

/* Reads both files and measures. The caller closes *comparison with reel_comparison_close; after an error
 * there is nothing to close. a and b must outlive *comparison. REEL_BAD_INPUT when a file is not an output of
 * reel or has no finished frame, the shapes of their frames differ, a latent is not finite, or A's latents
 * are all equal; REEL_NO_MEMORY. */
enum reel_status reel_comparison_open(const char *a, const char *b, struct reel_comparison *comparison);
void reel_comparison_close(struct reel_comparison *comparison);

/* Prints a table with a row per frame. Its lines have at most 80 columns, except those with the paths. */
void reel_comparison_print(const struct reel_comparison *comparison, FILE *to);

/* Prints one JSON object; a value that is infinite or does not exist is null. REEL_NO_MEMORY. */
enum reel_status reel_comparison_print_json(const struct reel_comparison *comparison, FILE *to);

/* Writes a PNG of PSNR, SSIM and both L2 measures over the frames. REEL_BAD_OUTPUT, REEL_NO_MEMORY. */
enum reel_status reel_comparison_plot(const struct reel_comparison *comparison, const char *path);

#endif
