/* Pictures by libpng. */
#include "picture.h"

#include "test.h"

#include <png.h>
#include <stdlib.h>

struct picture picture_read(const char *path)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    CHECK(png_image_begin_read_from_file(&image, path), "%s: %s", path, image.message);
    image.format = PNG_FORMAT_RGB;
    struct picture picture = {.width = image.width, .height = image.height};
    picture.pixels = malloc(PNG_IMAGE_SIZE(image));
    CHECK(png_image_finish_read(&image, NULL, picture.pixels, 0, NULL), "%s: %s", path, image.message);
    return picture;
}

void picture_find(struct picture *picture, uint32_t colour, int64_t left, int64_t right, int64_t top,
                  int64_t bottom)
{
    picture->count = 0;
    picture->left = picture->top = INT64_MAX;
    picture->right = picture->bottom = -1;
    for (int64_t i = top * picture->width; i < bottom * picture->width; i++) {
        const uint8_t *pixel = picture->pixels + 3 * i;
        int64_t x = i % picture->width, y = i / picture->width;
        if (x < left || x >= right || (uint32_t)(pixel[0] << 16 | pixel[1] << 8 | pixel[2]) != colour)
            continue;
        picture->count++;
        picture->left = x < picture->left ? x : picture->left;
        picture->right = x > picture->right ? x : picture->right;
        picture->top = y < picture->top ? y : picture->top;
        picture->bottom = y > picture->bottom ? y : picture->bottom;
    }
}
