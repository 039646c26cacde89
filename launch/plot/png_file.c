/* PNG files, written with libpng. */
#include "png_file.h"

#include "job.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum reel_status reel_png_write(const char *path, const char *key, int64_t width, int64_t height,
                                const uint8_t *pixels)
{
    char temporary[REEL_PATH_BYTES + 96];
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = PNG_FORMAT_RGB};
    int length = snprintf(temporary, sizeof temporary, "%s.tmp.%lld", path, (long long)getpid());
    REEL_NEED(length < (int)sizeof temporary, REEL_BAD_OUTPUT, "%s: %s could not be written: %s", path, key,
              strerror(ENAMETOOLONG));
    errno = 0;
    if (!png_image_write_to_file(&image, temporary, 0, pixels, 0, NULL)) {
        unlink(temporary);
        return reel_fail(REEL_BAD_OUTPUT, "%s: %s could not be written: %s", path, key,
                         errno ? strerror(errno) : image.message);
    }
    if (rename(temporary, path) == 0)
        return REEL_OK;
    reel_fail(REEL_BAD_OUTPUT, "%s: %s could not be put in place: %s", path, key, strerror(errno));
    unlink(temporary);
    return REEL_BAD_OUTPUT;
}
