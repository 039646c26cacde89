/* What reel inspect finds in a file: a report, which is one JSON object, and the same as text.
 *
 * Each kind of file has a pair of functions. The first reads the file and makes the report; the second prints
 * a report of that kind as text of at most 100 columns. A report is a new reference that the caller releases
 * with json_decref; after an error it is NULL. Errors are those of the readers (REEL_BAD_INPUT; REEL_BAD_JOB
 * for a preset that does not exist) and REEL_NO_MEMORY. Not collective. */
#ifndef REEL_INSPECT_H
#define REEL_INSPECT_H

#include "status.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Whether a safetensors file holds a model or a part of one, rather than the inputs of a job. REEL_BAD_INPUT
 * when it is not a safetensors file. */
enum reel_status reel_inspect_is_model(const char *path, int *is_model);

/* A model: a folder, a file, or synthetic:PRESET. If reel could not run it, the report says why; that is not
 * an error. */
enum reel_status reel_inspect_model(const char *path, json_t **report);
void reel_inspect_print_model(json_t *report, FILE *to);

/* A safetensors file that is not a model. Its tensors are read whole. */
enum reel_status reel_inspect_tensors(const char *path, json_t **report);
void reel_inspect_print_tensors(json_t *report, FILE *to);

/* An output of reel run. With with_job, the report includes the text of its job. */
enum reel_status reel_inspect_output(const char *path, int with_job, json_t **report);
void reel_inspect_print_output(json_t *report, FILE *to);

/* A checkpoint. Every byte of it is checked: REEL_BAD_INPUT, naming the place, when it is damaged. With
 * with_job, the report includes the text of its job. */
enum reel_status reel_inspect_checkpoint(const char *path, int with_job, json_t **report);
void reel_inspect_print_checkpoint(json_t *report, FILE *to);

enum { REEL_INSPECT_BYTES_TEXT = 32 };

/* 5741234 as "5.74 MB". */
const char *reel_inspect_bytes(int64_t bytes, char text[REEL_INSPECT_BYTES_TEXT]);

/* A value of a report, for the functions that print; 0 or "" when the key is missing. */
int64_t reel_inspect_integer(json_t *report, const char *key);
const char *reel_inspect_string(json_t *report, const char *key);

/* A number for a report; null when it is not finite, because JSON has no infinity and no NaN. */
json_t *reel_inspect_real(double value);

/* Prints one line: the name, then the value in its own column. A value that is too long is broken at
 * spaces. */
void reel_inspect_line(FILE *to, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
