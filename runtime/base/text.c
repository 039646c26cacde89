/* Checks UTF-8 byte by byte. */
#include "text.h"

int64_t reel_utf8_bytes(const char *text, int64_t left)
{
    const unsigned char *c = (const unsigned char *)text;
    int64_t bytes = c[0] < 0x80   ? 1
                    : c[0] < 0xc2 ? 0
                    : c[0] < 0xe0 ? 2
                    : c[0] < 0xf0 ? 3
                    : c[0] < 0xf5 ? 4
                                  : 0;
    if (bytes == 0 || bytes > left)
        return 0;
    for (int64_t i = 1; i < bytes; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    /* an overlong form, a surrogate, or a code point above U+10FFFF */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] >= 0x90))
        return 0;
    return bytes;
}

int64_t reel_printable_bytes(const char *text, int64_t left)
{
    const unsigned char *c = (const unsigned char *)text;
    int64_t bytes = reel_utf8_bytes(text, left);
    if ((bytes == 1 && (*c < ' ' || *c == 0x7f)) || (bytes == 2 && *c == 0xc2 && c[1] < 0xa0) ||
        (bytes == 3 && *c == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) ||
        (bytes == 3 && *c == 0xef && ((c[1] == 0xbb && c[2] == 0xbf) || (c[1] == 0xbf && c[2] >= 0xbe))))
        return 0;
    return bytes;
}
