/* The lines that say which algorithms were chosen: a sorted list with each line once, kept until the process
 * ends. */
#include "gemm_algorithms.h"

#include "gpu.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 256 };

struct line {
    struct line *next;
    char text[LINE_BYTES];
};

static struct line *first_line;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

void reel_gemm_algorithms_note(const char *format, ...)
{
    struct line *line = malloc(sizeof *line);
    if (!line)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->text, sizeof line->text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&guard);
    struct line **place = &first_line;
    while (*place && strcmp((*place)->text, line->text) < 0)
        place = &(*place)->next;
    if (*place && strcmp((*place)->text, line->text) == 0) {
        free(line);
    } else {
        line->next = *place;
        *place = line;
    }
    pthread_mutex_unlock(&guard);
}

void reel_gpu_gemm_algorithms(char *text, int64_t text_bytes)
{
    int64_t used = 0;
    if (text_bytes < 1)
        return;
    text[0] = '\0';
    pthread_mutex_lock(&guard);
    for (const struct line *line = first_line; line; line = line->next) {
        int64_t length = (int64_t)strlen(line->text);
        if (used + length + 2 > text_bytes)
            break;
        memcpy(text + used, line->text, (size_t)length);
        used += length;
        text[used++] = '\n';
        text[used] = '\0';
    }
    pthread_mutex_unlock(&guard);
}
