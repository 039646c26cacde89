/* The font of canvas.h: printable ASCII characters as lines on a grid of 6 x 10. */
#ifndef REEL_CANVAS_FONT_H
#define REEL_CANVAS_FONT_H

/* The height of the base line above the bottom of the grid, and of a capital above the base line, in grid
 * steps. */
enum { REEL_GLYPH_BASE = 2, REEL_GLYPH_CAPITAL = 6 };

/* The lines of a character: sequences of connected points, separated by spaces. A point is two digits, x from
 * the left and y from the bottom. For a character that is not printable ASCII, a box. */
const char *reel_glyph(char character);

#endif
