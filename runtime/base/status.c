/* The error record of a thread. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct reel_error error_here;

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
    for (char *c = error->cause; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?'; /* a name from a hostile file does not write on the terminal */
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
    for (char *c = error->trail + used; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    strcat(error->trail, "\n");
}

struct reel_error *reel_error_here(void)
{
    return &error_here;
}

void reel_error_clear(void)
{
    memset(&error_here, 0, sizeof error_here);
}
