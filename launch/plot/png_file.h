/* Writes pictures as PNG files. */
#ifndef REEL_PNG_FILE_H
#define REEL_PNG_FILE_H

#include "status.h"

#include <stdint.h>

/* Not collective. Writes pixels, [height, width, 3] in red, green and blue, to a temporary file beside path,
 * then renames it to path. REEL_BAD_OUTPUT when that fails; a file that was at path before is then unchanged.
 * The message names key, the job key or option that gave the path. */
enum reel_status reel_png_write(const char *path, const char *key, int64_t width, int64_t height,
                                const uint8_t *pixels);

#endif
