/* What reel inspect finds in a file: one JSON object, and the same for people.
 *
 * Each kind of file has a pair. The first looks at the file and makes the report; the second prints a report
 * of that kind within 100 columns. A report is a new reference, the caller's to json_decref; on an error it
 * is NULL. Errors are those of the readers (REEL_BAD_INPUT, REEL_BAD_JOB for a preset that does not exist),
 * and REEL_NO_MEMORY. Nothing here is collective. */
#ifndef REEL_INSPECT_H
#define REEL_INSPECT_H

#include "status.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/* Whether a safetensors file holds a model, or a part of one, rather than inputs of a job. REEL_BAD_INPUT
 * when it is no safetensors file. */
enum reel_status reel_inspect_is_model(const char *path, int *is_model);

/* A model: folder, file, or synthetic:PRESET. What keeps reel from running it is a line of the report, no
 * error. */
enum reel_status reel_inspect_model(const char *path, json_t **report);
void reel_inspect_print_model(json_t *report, FILE *to);

/* Any other safetensors file: its tensors are read whole. */
enum reel_status reel_inspect_tensors(const char *path, json_t **report);
void reel_inspect_print_tensors(json_t *report, FILE *to);

/* An output of reel run; with its job's text where with_job is set. */
enum reel_status reel_inspect_output(const char *path, int with_job, json_t **report);
void reel_inspect_print_output(json_t *report, FILE *to);

/* A checkpoint, of which every byte is checked: REEL_BAD_INPUT when it is damaged, naming where. */
enum reel_status reel_inspect_checkpoint(const char *path, int with_job, json_t **report);
void reel_inspect_print_checkpoint(json_t *report, FILE *to);

enum { REEL_INSPECT_BYTES_TEXT = 32 };

/* 5741234 as "5.74 MB". */
const char *reel_inspect_bytes(int64_t bytes, char text[REEL_INSPECT_BYTES_TEXT]);

/* Values of a report, for the printers: 0 or "" where there is no such key. */
int64_t reel_inspect_integer(json_t *report, const char *key);
const char *reel_inspect_string(json_t *report, const char *key);

/* A number for a report; null where it is not finite, which JSON cannot say. */
json_t *reel_inspect_real(double value);

/* Prints a value after its name in a column of its own; a value that is too long is broken at spaces. */
void reel_inspect_line(FILE *to, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
