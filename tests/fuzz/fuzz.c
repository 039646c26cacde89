/* What the fuzz targets share. */
#include "fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Between fuzz_begin and fuzz_end, the variable stderr is a memory stream that captures what libraries print.
 * The descriptor stays as it is, so that a sanitizer can still print. */
static FILE *capture, *kept_stderr;
static char *printed;
static size_t printed_bytes;

/* libfyaml 0.7 leaks 2 KiB for every text that has many escaped quotes. launch_job_test, which does not
 * suppress this leak, shows that reel closes its documents. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml.so";
}

const char *fuzz_file(const void *bytes, size_t count)
{
    static int memory = -1;
    static char path[64];
    if (memory < 0) {
        memory = memfd_create("reel-fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    }
    FUZZ_NEED(memory >= 0 && ftruncate(memory, 0) == 0);
    FUZZ_NEED(pwrite(memory, bytes, count, 0) == (ssize_t)count);
    return path;
}

void fuzz_begin(void)
{
    if (!capture)
        capture = open_memstream(&printed, &printed_bytes);
    FUZZ_NEED(capture);
    kept_stderr = stderr;
    stderr = capture;
    reel_error_clear();
}

void fuzz_end(enum reel_status status, enum reel_status refused)
{
    const struct reel_error *error = reel_error_here();
    stderr = kept_stderr;
    FUZZ_NEED(ftello(capture) == 0);
    rewind(capture);
    FUZZ_NEED(status == error->status);
    FUZZ_NEED(status == REEL_OK || status == refused);
    if (status == REEL_OK)
        return;
    FUZZ_NEED(error->cause[0]);
    for (const char *c = error->cause; *c; c++)
        FUZZ_NEED((unsigned char)*c >= ' ' && *c != 0x7f);
    /* the log writes the cause as a JSON string, which must be UTF-8 */
    json_t *text = json_string(error->cause);
    FUZZ_NEED(text);
    json_decref(text);
    /* a terminal obeys C1 control characters like an escape sequence; U+2028 and U+2029 end a line */
    for (const char *c = error->cause; *c; c++) {
        FUZZ_NEED(!(c[0] == '\xc2' && (unsigned char)c[1] < 0xa0));
        FUZZ_NEED(strncmp(c, "\xe2\x80\xa8", 3) != 0 && strncmp(c, "\xe2\x80\xa9", 3) != 0);
    }
}
