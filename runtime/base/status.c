/* The error record of a thread. */
#include "status.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct reel_error error_here;

/* Replaces every byte that is no part of a printable UTF-8 character by '?': a name from a hostile file must
 * not control the terminal, and a message that was cut within a character must still be UTF-8. */
static void make_printable(char *text)
{
    int64_t step;
    for (int64_t left = (int64_t)strlen(text); left > 0; left -= step, text += step) {
        step = reel_printable_bytes(text, left);
        if (step == 0) {
            *text = '?';
            step = 1;
        }
    }
}

enum reel_status reel_fail(enum reel_status status, const char *format, ...)
{
    struct reel_error *error = &error_here;
    if (error->status != REEL_OK)
        return status;
    error->status = status;
    error->trail[0] = '\0';
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->cause, sizeof error->cause, format, arguments);
    va_end(arguments);
    make_printable(error->cause);
    return status;
}

void reel_trail(const char *format, ...)
{
    struct reel_error *error = &error_here;
    size_t used = strlen(error->trail);
    if (error->status == REEL_OK || used + 2 >= sizeof error->trail)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->trail + used, sizeof error->trail - used - 1, format, arguments);
    va_end(arguments);
    make_printable(error->trail + used);
    strcat(error->trail, "\n");
}

const struct reel_error *reel_error_here(void)
{
    return &error_here;
}

enum reel_status reel_error_set(const struct reel_error *error)
{
    error_here = *error;
    return error_here.status;
}

enum reel_status reel_error_recast(enum reel_status status)
{
    if (error_here.status != REEL_OK)
        error_here.status = status;
    return status;
}

void reel_error_clear(void)
{
    memset(&error_here, 0, sizeof error_here);
}
