/* What the fuzz targets share: a file made of the input, and the checks of every refusal.
 *
 * A target is a function of any bytes, which may be called any number of times. libFuzzer calls it through
 * entry.c and stops at the first broken promise; fuzz_regressions_test.c calls it with every stored input and
 * counts broken promises.
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

/* Reports a broken promise: entry.c aborts, the unit test counts. */
void fuzz_broken(const char *file, int line, const char *what) __attribute__((nonnull));

#define FUZZ_NEED(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fuzz_broken(__FILE__, __LINE__, #condition);                                                     \
    } while (0)

/* The path of a file that holds these bytes until the next call. The path is always the same. */
const char *fuzz_file(const void *bytes, size_t count);

/* The leaks that the leak checker does not report. */
const char *__lsan_default_suppressions(void);

/* Enclose a call under test. fuzz_begin clears the error. fuzz_end checks that nothing was printed, and that
 * a refusal has the one status that the function's header documents and a cause of one line of printable
 * text. */
void fuzz_begin(void);
void fuzz_end(enum reel_status status, enum reel_status refused);

#endif
