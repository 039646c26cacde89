/* Pictures as PNG files. */
#ifndef REEL_PNG_FILE_H
#define REEL_PNG_FILE_H

#include "status.h"

#include <stdint.h>

/* Not collective. Writes pixels, [height, width, 3] in red, green and blue, to path: aside and then renamed.
 * REEL_BAD_OUTPUT, with key (the job file's, or the option that names the file) and errno's text, when it
 * cannot be written; what stood there before is then untouched. */
enum reel_status reel_png_write(const char *path, const char *key, int64_t width, int64_t height,
                                const uint8_t *pixels);

#endif
