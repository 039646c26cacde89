/* Characters: which bytes are UTF-8, and which of them may be shown.
 *
 *     reel_utf8_bytes("\xc3\xa9t\xc3\xa9", 5) is 2, and so is reel_printable_bytes; of "\x1b[2J" they are 1
 * and 0.
 *
 * Not collective, no errors: every function here is pure. */
#ifndef REEL_TEXT_H
#define REEL_TEXT_H

#include <stdint.h>

/* The bytes of the UTF-8 character at the start of text, of which left > 0 are there; 0 when it is none. */
int64_t reel_utf8_bytes(const char *text, int64_t left);

/* The same, but 0 also for what does not stand in a line on a terminal as what it is: control characters,
 * those of Unicode included (C1, line separators, the byte order mark, noncharacters). */
int64_t reel_printable_bytes(const char *text, int64_t left);

#endif
