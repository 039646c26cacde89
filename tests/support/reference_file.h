/* Reads the reference cases: safetensors files and the JSON values of their metadata.
 *
 * This reader is small and only for tests, so that its results do not depend on the reader under test. */
#ifndef REEL_TEST_REFERENCE_FILE_H
#define REEL_TEST_REFERENCE_FILE_H

#include <stdint.h>

#include "dtype.h"

enum { REFERENCE_RANK_MAX = 8 };

struct reference_tensor {
    enum reel_dtype dtype;
    int64_t rank, shape[REFERENCE_RANK_MAX];
    int64_t count;     /* elements */
    const void *bytes; /* aligned for the dtype, valid until the file is closed */
};

struct reference_file;

/* The file at path; ends the program with a message when it cannot be read. */
struct reference_file *reference_open(const char *path);

/* As reference_open, for a path below tests/reference/. */
struct reference_file *reference_open_named(const char *name);
void reference_close(struct reference_file *file);

/* How many tensors the file holds. */
int64_t reference_tensors(const struct reference_file *file);

/* Returns 1 and sets *tensor if the file has a tensor of that name, else returns 0. */
int reference_tensor(struct reference_file *file, const char *name, struct reference_tensor *tensor);

/* The data of the tensor of that name and dtype; ends the program if there is none. */
const void *reference_data(struct reference_file *file, const char *name, enum reel_dtype dtype);

/* A metadata value as its text in the file, valid until the file is closed; NULL when absent. */
const char *reference_text(const struct reference_file *file, const char *key);

/* A metadata value as a number (true is 1); neutral when absent. */
double reference_number(const struct reference_file *file, const char *key, double neutral);

#endif
