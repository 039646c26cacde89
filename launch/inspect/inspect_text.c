/* Helpers that all reports of reel inspect use. */
#include "inspect.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { COLUMNS = 100, NAME_COLUMNS = 18, LINE_BYTES = 4096 };

const char *reel_inspect_bytes(int64_t bytes, char text[REEL_INSPECT_BYTES_TEXT])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(text, REEL_INSPECT_BYTES_TEXT, "%.*f %s", unit == 0 ? 0 : 2, value, units[unit]);
    return text;
}

int64_t reel_inspect_integer(json_t *report, const char *key)
{
    return json_integer_value(json_object_get(report, key));
}

const char *reel_inspect_string(json_t *report, const char *key)
{
    const char *text = json_string_value(json_object_get(report, key));
    return text ? text : "";
}

json_t *reel_inspect_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* How many characters of text fit into a line of width columns: all of it when short enough, else up to the
 * last space, else width. */
static int line_length(const char *text, int width)
{
    int length = (int)strlen(text), end = width;
    if (length <= width)
        return length;
    while (end > 0 && text[end] != ' ')
        end--;
    return end > 0 ? end : width;
}

void reel_inspect_line(FILE *to, const char *name, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const char *text = line;
    do {
        int length = line_length(text, COLUMNS - 2 - NAME_COLUMNS);
        fprintf(to, "  %-*s%.*s\n", NAME_COLUMNS, text == line ? name : "", length, text);
        text += length + (text[length] == ' ');
    } while (*text);
}
