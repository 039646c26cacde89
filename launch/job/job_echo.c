/* A job and its keys as text: the echo and the help. */
#include "job_file.h"
#include "job_value.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMNS = 100, HELP_INDENT = 34 };

/* Whether the heading of key k's section must be printed before it. before is the key printed last, or -1. */
static int opens_section(int64_t k, int64_t before)
{
    const struct reel_key *key = reel_key_at(k);
    int64_t bytes = reel_key_section_bytes(key);
    return bytes > 0 && (before < 0 || reel_key_section_bytes(reel_key_at(before)) != bytes ||
                         strncmp(reel_key_at(before)->name, key->name, (size_t)bytes + 1) != 0);
}

/* The name without its section. */
static const char *own_name(const struct reel_key *key)
{
    int64_t bytes = reel_key_section_bytes(key);
    return key->name + (bytes > 0 ? bytes + 1 : 0);
}

char *reel_job_echo(const struct reel_job *job)
{
    char *echo = NULL, text[REEL_TEXT_BYTES];
    size_t bytes = 0;
    int64_t before = -1; /* the last key printed: a section begins with its first key that is set */
    FILE *out = open_memstream(&echo, &bytes);
    if (!out)
        return NULL;
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const struct reel_key *key = reel_key_at(k);
        reel_key_print(key, job, text);
        if (!text[0])
            continue;
        if (opens_section(k, before))
            fprintf(out, "%.*s:\n", (int)reel_key_section_bytes(key), key->name);
        fprintf(out, "%s%s: %s\n", reel_key_section_bytes(key) > 0 ? "  " : "", own_name(key), text);
        before = k;
    }
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(echo);
        return NULL;
    }
    return echo;
}

/* Prints the words of text with line breaks before HELP_COLUMNS. out is at column; new lines begin at
 * HELP_INDENT. */
static void print_words(FILE *out, const char *text, int column)
{
    while (*text) {
        int bytes = (int)strcspn(text, " ");
        if (column + 1 + bytes > HELP_COLUMNS) {
            fprintf(out, "\n%*s", HELP_INDENT - 1, "");
            column = HELP_INDENT - 1;
        }
        column += fprintf(out, " %.*s", bytes, text);
        text += bytes + (text[bytes] == ' ');
    }
}

void reel_job_help(FILE *out)
{
    char expects[REEL_EXPECTS_BYTES], line[2 * REEL_EXPECTS_BYTES];
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const struct reel_key *key = reel_key_at(k);
        const char *default_value = !key->default_value   ? "required"
                                    : *key->default_value ? key->default_value
                                                          : "-";
        if (opens_section(k, k - 1))
            fprintf(out, "%.*s:\n", (int)reel_key_section_bytes(key), key->name);
        int column = fprintf(out, "%s%s", reel_key_section_bytes(key) > 0 ? "  " : "", own_name(key));
        column += fprintf(out, "%*s", 23 - column, "");
        column += fprintf(out, "%-*s", HELP_INDENT - 1 - column, default_value);
        reel_key_expects(key, expects);
        snprintf(line, sizeof line, "%s: %s", expects, key->help);
        print_words(out, line, column);
        fputc('\n', out);
    }
}
