/* libFuzzer's entry point of one target, REEL_FUZZ_TARGET. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

void fuzz_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    if (reel_error_here()->status != REEL_OK)
        fprintf(stderr, "the error: %d, %s\n", (int)reel_error_here()->status, reel_error_here()->cause);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    REEL_FUZZ_TARGET(bytes, count);
    return 0;
}
