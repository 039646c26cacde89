/* Which bytes are a UTF-8 character, and which characters may be printed.
 *
 *     reel_utf8_bytes("\xc3\xa9t\xc3\xa9", 5) is 2, and so is reel_printable_bytes
 *     reel_utf8_bytes("\x1b[2J", 4) is 1, but reel_printable_bytes is 0
 *
 * Not collective, no errors: every function here is pure. */
#ifndef REEL_TEXT_H
#define REEL_TEXT_H

#include <stdint.h>

/* The number of bytes of the UTF-8 character at the start of text, which has left > 0 bytes; 0 when there is
 * no valid character. */
int64_t reel_utf8_bytes(const char *text, int64_t left);

/* The same, but also 0 for characters that a terminal does not show as part of a line: control characters, C1
 * included, line and paragraph separators, the byte order mark, and the noncharacters U+FFFE and U+FFFF. */
int64_t reel_printable_bytes(const char *text, int64_t left);

#endif
