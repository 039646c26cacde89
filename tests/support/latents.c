/* Outputs, compared bit for bit. */
#include "latents.h"

#include "output_read.h"
#include "test.h"

#include <string.h>

static enum reel_status open_own(const char *name, struct reel_output_file *output)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return reel_output_open(path, output);
}

int same_latents(const char *a, const char *b)
{
    struct reel_output_file one, two;
    int same = open_own(a, &one) == REEL_OK;
    if (same && open_own(b, &two) == REEL_OK) {
        same =
            one.complete && two.complete && memcmp(one.shape, two.shape, sizeof one.shape) == 0 &&
            memcmp(one.latents, two.latents,
                   (size_t)(one.shape[0] * one.shape[1] * one.shape[2] * one.shape[3]) * sizeof(float)) == 0;
        reel_output_close(&two);
    } else {
        same = 0;
    }
    reel_output_close(&one);
    reel_error_clear();
    return same;
}
