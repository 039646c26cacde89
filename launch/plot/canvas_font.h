/* The font of canvas.h: strokes on a grid of 6 x 10, for ASCII. */
#ifndef REEL_CANVAS_FONT_H
#define REEL_CANVAS_FONT_H

/* Of a small letter's feet, and of the height of a capital above them, in steps of the grid. */
enum { REEL_GLYPH_BASE = 2, REEL_GLYPH_CAPITAL = 6 };

/* The strokes of a character: each a run of points, two digits each (x from the left, y from below), with
 * spaces between the runs; a box where the character is not ASCII. */
const char *reel_glyph(char character);

#endif
