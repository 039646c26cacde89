/* Reads a PNG that a test wrote, and finds colours in it. */
#ifndef REEL_TEST_PICTURE_H
#define REEL_TEST_PICTURE_H

#include <stdint.h>

/* A picture, and how many pixels of a colour picture_find found, and within which bounds. */
struct picture {
    int64_t width, height, count, left, right, top, bottom;
    uint8_t *pixels; /* [height, width, 3], the caller's to free */
};

/* CHECKs that path holds a picture. */
struct picture picture_read(const char *path);

/* Finds the pixels of exactly 0xRRGGBB in the columns [left, right) and rows [top, bottom). */
void picture_find(struct picture *picture, uint32_t colour, int64_t left, int64_t right, int64_t top,
                  int64_t bottom);

#endif
