/* Reads and writes calibration files. */
#include "calibration.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for the coefficients and the text of a job. */
enum { BYTES_MAX = 1 << 20 };

static enum reel_status parse_calibration(const char *path, json_t *root,
                                          struct reel_calibration *calibration)
{
    json_int_t version = 0;
    const char *mode = "";
    json_t *list = NULL;
    REEL_NEED(json_unpack(root, "{s:I, s:s, s:o, s:[F, F]}", "reel_calibration", &version, "mode", &mode,
                          "coefficients", &list, "range", &calibration->min, &calibration->max) == 0 &&
                  version == 1,
              REEL_BAD_INPUT,
              "%s: this is not a coefficient file, expected one that reel calibrate has written", path);
    REEL_NEED(strcmp(mode, "e") == 0 || strcmp(mode, "e0") == 0, REEL_BAD_INPUT,
              "%s: mode is %s, expected e or e0", path, mode);
    REEL_NEED(calibration->min >= 0 && calibration->min <= calibration->max && isfinite(calibration->max),
              REEL_BAD_INPUT, "%s: range is [%g, %g], expected two distances, the smaller first", path,
              calibration->min, calibration->max);
    size_t count = json_array_size(list);
    REEL_NEED(count >= 1 && count <= REEL_COEFFICIENTS_MAX, REEL_BAD_INPUT,
              "%s: there are %zu coefficients, expected a list of 1 to %d", path, count,
              REEL_COEFFICIENTS_MAX);
    calibration->mode = strcmp(mode, "e") == 0 ? REEL_TEACACHE_E : REEL_TEACACHE_E0;
    calibration->coefficient_count = (int64_t)count;
    for (size_t c = 0; c < count; c++) {
        json_t *value = json_array_get(list, c);
        calibration->coefficients[c] = json_number_value(value);
        REEL_NEED(json_is_number(value) && isfinite(calibration->coefficients[c]), REEL_BAD_INPUT,
                  "%s: coefficient %zu is not a number, expected a finite one", path, c);
    }
    return REEL_OK;
}

enum reel_status reel_calibration_read(const char *path, struct reel_calibration *calibration)
{
    json_error_t error;
    struct stat file;
    memset(calibration, 0, sizeof *calibration);
    REEL_NEED(stat(path, &file) == 0, REEL_BAD_INPUT, "%s: teacache.coefficients cannot be read: %s", path,
              strerror(errno));
    REEL_NEED(
        S_ISREG(file.st_mode) && file.st_size <= BYTES_MAX, REEL_BAD_INPUT,
        "%s: this is not a coefficient file, expected a file of at most %d bytes, not a folder, a pipe or "
        "a device",
        path, BYTES_MAX);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    REEL_NEED(root, REEL_BAD_INPUT, "%s: teacache.coefficients cannot be read: %s", path, error.text);
    enum reel_status status = parse_calibration(path, root, calibration);
    json_decref(root);
    return status;
}

enum reel_status reel_calibration_write(const char *path, const struct reel_calibration *calibration,
                                        const char *job_text)
{
    json_t *list = json_array();
    for (int64_t c = 0; c < calibration->coefficient_count; c++)
        json_array_append_new(list, json_real(calibration->coefficients[c]));
    json_t *root = json_pack("{s:i, s:s, s:o, s:[f, f], s:s}", "reel_calibration", 1, "mode",
                             calibration->mode == REEL_TEACACHE_E ? "e" : "e0", "coefficients", list, "range",
                             calibration->min, calibration->max, "job", job_text);
    REEL_NEED(root, REEL_NO_MEMORY, "no memory for the coefficients' JSON, or the job is not UTF-8");
    char temporary[REEL_PATH_BYTES + 96];
    snprintf(temporary, sizeof temporary, "%s.tmp.%lld", path, (long long)getpid());
    enum reel_status status = REEL_OK;
    if (json_dump_file(root, temporary, JSON_INDENT(2)) != 0 || rename(temporary, path) != 0) {
        status = reel_fail(REEL_BAD_OUTPUT, "%s: the coefficients could not be written: %s", path,
                           strerror(errno));
        unlink(temporary);
    }
    json_decref(root);
    return status;
}
