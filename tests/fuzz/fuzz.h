/* What the fuzz targets share: a file made of the input, and what must hold of every refusal.
 *
 * A target is a function of bytes that may be called with anything, any number of times. libFuzzer calls it
 * through entry.c and stops at the first broken promise; fuzz_regressions_test.c calls it with every kept
 * input and counts what is broken.
 *
 *     const char *path = fuzz_file(bytes, count);
 *     fuzz_begin();
 *     enum reel_status status = reel_safetensors_open(path, &file);
 *     fuzz_end(status, REEL_BAD_INPUT);
 *
 * Not collective. */
#ifndef REEL_FUZZ_H
#define REEL_FUZZ_H

#include "status.h"

#include <stddef.h>
#include <stdint.h>

/* The targets. */
void fuzz_safetensors(const uint8_t *bytes, size_t count);
void fuzz_job(const uint8_t *bytes, size_t count);

/* Said of a promise that does not hold: entry.c aborts, the unit test counts. */
void fuzz_broken(const char *file, int line, const char *what) __attribute__((nonnull));

#define FUZZ_NEED(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fuzz_broken(__FILE__, __LINE__, #condition);                                                     \
    } while (0)

/* The path of a file that holds these bytes until the next call; always the same path. */
const char *fuzz_file(const void *bytes, size_t count);

/* What the leak checker is told not to report. */
const char *__lsan_default_suppressions(void);

/* Around a call under test: no error stands before it; after it nothing has been printed, and a refusal has
 * the one status that its header documents and one sentence in one line of printable text. */
void fuzz_begin(void);
void fuzz_end(enum reel_status status, enum reel_status refused);

#endif
