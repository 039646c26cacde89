/* Reads, stores and prints the values of keys. */
#include "job_value.h"

#include "model.h"
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char synthetic[] = "synthetic:";

static void *place_of(const struct reel_key *key, struct reel_job *job)
{
    return (char *)job + key->offset;
}

static const void *place_in(const struct reel_key *key, const struct reel_job *job)
{
    return (const char *)job + key->offset;
}

/* Digits after an optional minus: no plus, no leading zero (some parsers would read octal), nothing else. */
static int parse_integer(const char *text, int64_t *number)
{
    const char *digits = text + (*text == '-');
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] || (count > 1 && digits[0] == '0'))
        return 0;
    errno = 0;
    *number = strtoll(text, NULL, 10);
    return errno == 0;
}

/* The length of the decimal number at the start of text, including its exponent if with_exponent; 0 when
 * there is no number. strtod alone would also accept hexadecimal, inf and nan. */
static size_t real_bytes(const char *text, int with_exponent)
{
    const char *c = text + (*text == '-' || *text == '+');
    size_t whole = strspn(c, "0123456789"),
           fraction = c[whole] == '.' ? strspn(c + whole + 1, "0123456789") : 0;
    if (whole + fraction == 0)
        return 0;
    c += whole + (c[whole] == '.' ? 1 + fraction : 0);
    if (with_exponent && (*c == 'e' || *c == 'E')) {
        const char *exponent = c + 1 + (c[1] == '-' || c[1] == '+');
        size_t digits = strspn(exponent, "0123456789");
        c = digits ? exponent + digits : c;
    }
    return (size_t)(c - text);
}

static int parse_real(const char *text, double *number)
{
    size_t bytes = real_bytes(text, 1);
    if (bytes == 0 || text[bytes])
        return 0;
    *number = strtod(text, NULL);
    return isfinite(*number);
}

/* Seconds without a unit, or hours, minutes and seconds in this order: 3h50m, 1.5h, 20s. */
static int parse_duration(const char *text, double *seconds)
{
    static const char units[] = "hms";
    static const double each[] = {3600, 60, 1};
    size_t next = 0;
    if (parse_real(text, seconds))
        return 1;
    *seconds = 0;
    if (!*text)
        return 0;
    while (*text) {
        size_t bytes = real_bytes(text, 0);
        const char *unit = bytes && text[bytes] ? strchr(units + next, text[bytes]) : NULL;
        if (!unit || *text == '-' || *text == '+')
            return 0;
        *seconds += strtod(text, NULL) * each[unit - units];
        next = (size_t)(unit - units) + 1;
        text += bytes + 1;
    }
    return isfinite(*seconds);
}

static int parse_choice(const char *choices, const char *text, int *index)
{
    size_t bytes = strlen(text);
    *index = 0;
    for (const char *c = choices; *c; c += *c == ' ') {
        size_t length = strcspn(c, " ");
        if (length == bytes && strncmp(c, text, bytes) == 0)
            return 1;
        c += length;
        (*index)++;
    }
    return 0;
}

/* Whether text appears unchanged in a terminal, in an HDF5 attribute of the output and in the echo. */
static int is_printable(const char *text)
{
    int64_t bytes = (int64_t)strlen(text), at = 0, step = 1;
    for (; at < bytes && step > 0; at += step)
        step = reel_printable_bytes(text + at, bytes - at);
    return step > 0;
}

enum reel_status reel_path_resolve(const char *folder, const char *path, const char *place,
                                   char resolved[REEL_PATH_BYTES])
{
    const char *parts[2] = {path[0] == '/' ? "" : folder, path};
    size_t used = 0;
    memset(resolved, 0, REEL_PATH_BYTES);
    for (int p = 0; p < 2; p++)
        for (const char *c = parts[p]; *c;) {
            size_t bytes = strcspn(c, "/");
            if (bytes > 0 && !(bytes == 1 && *c == '.')) {
                REEL_NEED(used + bytes + 2 <= REEL_PATH_BYTES, REEL_BAD_JOB,
                          "%s: the path %.60s... is too long, expected less than %d bytes with its folder",
                          place, path, REEL_PATH_BYTES);
                resolved[used++] = '/';
                memcpy(resolved + used, c, bytes);
                used += bytes;
            }
            c += bytes + (c[bytes] == '/');
        }
    if (used == 0)
        resolved[0] = '/';
    REEL_NEED(is_printable(resolved), REEL_BAD_JOB,
              "%s: the path %.200s has a control character or is not UTF-8, expected a printable path", place,
              resolved);
    return REEL_OK;
}

/* The value as a message shows it: what the user wrote, cut short if it is long. */
static void show_value(const struct reel_value *value, char shown[96])
{
    const char *quote = value->kind == REEL_VALUE_QUOTED ? "\"" : "";
    size_t bytes = strlen(value->text);
    snprintf(shown, 96, "%s%.64s%s%s", quote, value->text, bytes > 64 ? "..." : "", quote);
}

static enum reel_status bad_value(const struct reel_key *key, const struct reel_value *value,
                                  const char *place)
{
    char shown[96], expects[REEL_EXPECTS_BYTES];
    show_value(value, shown);
    reel_key_expects(key, expects);
    return reel_fail(REEL_BAD_JOB, "%s: %s is %s, expected %s", place, key->name, shown, expects);
}

static enum reel_status read_coefficients(const struct reel_key *key, const struct reel_value *value,
                                          const char *folder, const char *place, struct reel_job *job)
{
    double list[REEL_COEFFICIENTS_MAX] = {0}, number;
    char file[REEL_PATH_BYTES] = {0}, expects[REEL_EXPECTS_BYTES];
    reel_key_expects(key, expects);
    if (value->kind == REEL_VALUE_LIST) {
        REEL_NEED(value->count >= 1 && value->count <= REEL_COEFFICIENTS_MAX, REEL_BAD_JOB,
                  "%s: %s is a list of %lld, expected %s", place, key->name, (long long)value->count,
                  expects);
        for (int64_t i = 0; i < value->count; i++)
            REEL_NEED(parse_real(value->items[i], &list[i]), REEL_BAD_JOB,
                      "%s: %s holds %.64s, expected numbers", place, key->name,
                      *value->items[i] ? value->items[i] : "an empty item");
    } else if ((value->kind != REEL_VALUE_PLAIN && value->kind != REEL_VALUE_QUOTED) || !*value->text ||
               parse_real(value->text, &number)) {
        return bad_value(key, value, place);
    } else if (strcmp(value->text, "auto") != 0) {
        REEL_PASS(reel_path_resolve(folder, value->text, place, file));
    }
    job->teacache.coefficient_count = value->count;
    memcpy(job->teacache.coefficients, list, sizeof list);
    memcpy(job->teacache.coefficient_file, file, sizeof file);
    return REEL_OK;
}

static enum reel_status read_path(const struct reel_key *key, const struct reel_value *value,
                                  const char *folder, const char *place, struct reel_job *job)
{
    char path[REEL_PATH_BYTES] = {0};
    struct reel_model model;
    if (key->type == REEL_KEY_FOLDER && strcmp(value->text, "off") == 0) {
        path[0] = '\0';
    } else if (key->type == REEL_KEY_FOLDER && strcmp(value->text, "auto") == 0) {
        /* A resolved path is absolute, so "auto" is unambiguous. job_file.c replaces it when all keys are
         * read. */
        snprintf(path, sizeof path, "auto");
    } else if (key->type == REEL_KEY_MODEL && strncmp(value->text, synthetic, sizeof synthetic - 1) == 0) {
        if (!reel_model_preset(value->text + sizeof synthetic - 1, &model))
            return bad_value(key, value, place);
        snprintf(path, sizeof path, "%s", value->text);
    } else if (*value->text) {
        REEL_PASS(reel_path_resolve(folder, value->text, place, path));
    } else if (key->type != REEL_KEY_PATH || !key->default_value) {
        return bad_value(key, value, place);
    }
    memcpy(place_of(key, job), path, sizeof path);
    return REEL_OK;
}

static int read_integer(const struct reel_key *key, const char *text, struct reel_job *job)
{
    int64_t number = REEL_AUTO;
    int is_auto = key->type == REEL_KEY_INTEGER_OR_AUTO && strcmp(text, "auto") == 0;
    if (!is_auto && (!parse_integer(text, &number) || number < key->min || number > key->max))
        return 0;
    memcpy(place_of(key, job), &number, sizeof number);
    return 1;
}

static int read_real(const struct reel_key *key, const char *text, struct reel_job *job)
{
    double number;
    if (!(key->type == REEL_KEY_DURATION ? parse_duration(text, &number) : parse_real(text, &number)))
        return 0;
    if (number > key->to || number < key->from || (number == key->from && !key->from_too))
        return 0;
    memcpy(place_of(key, job), &number, sizeof number);
    return 1;
}

static int read_name(const struct reel_key *key, const char *text, struct reel_job *job)
{
    int index;
    if (!parse_choice(key->type == REEL_KEY_BOOLEAN ? "false true" : key->choices, text, &index))
        return 0;
    if (key->type == REEL_KEY_BOOLEAN)
        memcpy(place_of(key, job), &(int64_t){index}, sizeof(int64_t));
    else
        memcpy(place_of(key, job), &index, sizeof index);
    return 1;
}

/* Every enum of the job is stored as an int. */
_Static_assert(sizeof(enum reel_compute) == sizeof(int), "an enum has the size of an int");

enum reel_status reel_key_read(const struct reel_key *key, const struct reel_value *value, const char *folder,
                               const char *place, struct reel_job *job)
{
    int plain = value->kind == REEL_VALUE_PLAIN, text = plain || value->kind == REEL_VALUE_QUOTED, good = 0;
    if (value->kind == REEL_VALUE_NULL && key->default_value && !*key->default_value) {
        reel_key_reset(key, job);
        return REEL_OK;
    }
    switch (key->type) {
    case REEL_KEY_COEFFICIENTS:
        return read_coefficients(key, value, folder, place, job);
    case REEL_KEY_PATH:
    case REEL_KEY_MODEL:
    case REEL_KEY_FOLDER:
        return text ? read_path(key, value, folder, place, job) : bad_value(key, value, place);
    case REEL_KEY_INTEGER:
    case REEL_KEY_INTEGER_OR_AUTO:
        good = plain && read_integer(key, value->text, job);
        break;
    case REEL_KEY_REAL:
        good = plain && read_real(key, value->text, job);
        break;
    case REEL_KEY_DURATION:
        good = text && read_real(key, value->text, job);
        break;
    case REEL_KEY_BOOLEAN:
        good = plain && read_name(key, value->text, job);
        break;
    case REEL_KEY_CHOICE:
        good = text && read_name(key, value->text, job);
        break;
    }
    return good ? REEL_OK : bad_value(key, value, place);
}

void reel_key_reset(const struct reel_key *key, struct reel_job *job)
{
    if (key->default_value && *key->default_value) {
        struct reel_value value = reel_value_plain(key->default_value);
        reel_key_read(key, &value, "/", "the default", job);
    } else {
        memset(place_of(key, job), 0, key->type == REEL_KEY_DURATION ? sizeof(double) : REEL_PATH_BYTES);
    }
}

/* Prints with as few of 15, 16 or 17 digits as read back to the same double. */
static int print_real(double number, char *text, size_t bytes)
{
    int used = 0;
    for (int digits = 15; digits <= 17; digits++) {
        used = snprintf(text, bytes, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return used;
}

static void print_duration(double seconds, char *text, size_t bytes)
{
    if (seconds != floor(seconds) || seconds < 1) {
        print_real(seconds, text, bytes);
        return;
    }
    int64_t whole = (int64_t)seconds, part[] = {whole / 3600, whole / 60 % 60, whole % 60};
    int used = 0;
    for (int p = 0; p < 3; p++)
        if (part[p])
            used += snprintf(text + used, bytes - (size_t)used, "%lld%c", (long long)part[p], "hms"[p]);
}

/* Without quotes where YAML cannot misread the path, else in double quotes. */
static void print_path(const char *path, char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    if (path[0] == '/' && path[strspn(path, safe)] == '\0') {
        strcpy(text, path);
        return;
    }
    *text++ = '"';
    for (const char *c = path; *c; c++) {
        if (*c == '"' || *c == '\\')
            *text++ = '\\';
        *text++ = *c;
    }
    strcpy(text, "\"");
}

static void print_coefficients(const struct reel_job *job, char text[REEL_TEXT_BYTES])
{
    int used = 0;
    if (job->teacache.coefficient_count == 0 && !job->teacache.coefficient_file[0]) {
        strcpy(text, "auto");
    } else if (job->teacache.coefficient_count == 0) {
        print_path(job->teacache.coefficient_file, text);
    } else {
        for (int64_t i = 0; i < job->teacache.coefficient_count; i++) {
            used += snprintf(text + used, REEL_TEXT_BYTES - (size_t)used, "%s", i ? ", " : "[");
            used += print_real(job->teacache.coefficients[i], text + used, REEL_TEXT_BYTES - (size_t)used);
        }
        snprintf(text + used, REEL_TEXT_BYTES - (size_t)used, "]");
    }
}

static void print_choice(const char *choices, int index, char text[REEL_TEXT_BYTES])
{
    for (; index > 0; index--)
        choices = strchr(choices, ' ') + 1;
    snprintf(text, REEL_TEXT_BYTES, "%.*s", (int)strcspn(choices, " "), choices);
}

void reel_key_print(const struct reel_key *key, const struct reel_job *job, char text[REEL_TEXT_BYTES])
{
    const void *value = place_in(key, job);
    int64_t integer = 0;
    double real = 0;
    int index = 0;
    text[0] = '\0';
    switch (key->type) {
    case REEL_KEY_INTEGER:
    case REEL_KEY_INTEGER_OR_AUTO:
    case REEL_KEY_BOOLEAN:
        memcpy(&integer, value, sizeof integer);
        if (key->type == REEL_KEY_BOOLEAN)
            strcpy(text, integer ? "true" : "false");
        else if (key->type == REEL_KEY_INTEGER_OR_AUTO && integer == REEL_AUTO)
            strcpy(text, "auto");
        else
            snprintf(text, REEL_TEXT_BYTES, "%lld", (long long)integer);
        break;
    case REEL_KEY_REAL:
        memcpy(&real, value, sizeof real);
        print_real(real, text, REEL_TEXT_BYTES);
        break;
    case REEL_KEY_DURATION:
        memcpy(&real, value, sizeof real);
        if (real > 0 || *key->default_value)
            print_duration(real, text, REEL_TEXT_BYTES);
        break;
    case REEL_KEY_CHOICE:
        memcpy(&index, value, sizeof index);
        print_choice(key->choices, index, text);
        break;
    case REEL_KEY_FOLDER:
        strcpy(text, *(const char *)value ? (const char *)value : "off");
        if (text[0] == '/')
            print_path(value, text);
        break;
    case REEL_KEY_PATH:
    case REEL_KEY_MODEL:
        if (*(const char *)value)
            print_path(value, text);
        break;
    case REEL_KEY_COEFFICIENTS:
        print_coefficients(job, text);
        break;
    }
}
