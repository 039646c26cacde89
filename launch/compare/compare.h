/* Two outputs side by side: how far B is from A, the reference, say with TeaCache from without it.
 *
 *     struct reel_comparison comparison;
 *     REEL_PASS(reel_comparison_open("full.h5", "cached.h5", &comparison));
 *     reel_comparison_print(&comparison, stdout);
 *     reel_comparison_close(&comparison);
 *
 * Compared are the latent frames that both have; similarity.h says what is measured. Not collective. */
#ifndef REEL_COMPARE_H
#define REEL_COMPARE_H

#include "output_read.h"
#include "similarity.h"
#include "status.h"

#include <stdio.h>

enum { REEL_COMPARE_SIDES = 2 };

/* An output, and how many of its forwards were computed and how many TeaCache skipped. */
struct reel_compare_side {
    const char *path; /* the caller's */
    struct reel_output_file file;
    int64_t computed, skipped;
};

struct reel_comparison {
    struct reel_compare_side side[REEL_COMPARE_SIDES]; /* A and B */
    double peak;                                       /* largest less smallest latent of A, all its frames */
    struct reel_similarity similarity;
};

/* Reads and measures. *comparison is the caller's, for reel_comparison_close; after an error there is nothing
 * to close. REEL_BAD_INPUT when a file is no output, they have no latent in common, a latent is not finite or
 * A's are all the same; REEL_NO_MEMORY. */
enum reel_status reel_comparison_open(const char *a, const char *b, struct reel_comparison *comparison);
void reel_comparison_close(struct reel_comparison *comparison);

/* A table with a row per frame, within 80 columns but for the paths. */
void reel_comparison_print(const struct reel_comparison *comparison, FILE *to);

/* One JSON object; null for what is infinite or does not exist. REEL_NO_MEMORY. */
enum reel_status reel_comparison_print_json(const struct reel_comparison *comparison, FILE *to);

/* PSNR, SSIM and relative L2 over the frames, as a PNG. REEL_BAD_OUTPUT, REEL_NO_MEMORY. */
enum reel_status reel_comparison_plot(const struct reel_comparison *comparison, const char *path);

#endif
