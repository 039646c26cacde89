/* Takes any bytes as a job file and its settings: the file ends at the first zero byte; each zero byte starts
 * a --set. */
#include "fuzz.h"
#include "job_file.h"
#include "job_value.h"
#include "job_yaml.h"

#include <stdlib.h>
#include <string.h>

enum { SETS_MAX = 8 };

/* A --set is accepted or refused, and the printed value of its key reads as the same value. */
static void check_set(const char *set)
{
    static struct reel_job job, again;
    char text[REEL_TEXT_BYTES], second[REEL_TEXT_BYTES], name[2 * REEL_KEY_BYTES];
    struct reel_yaml yaml = {0};
    struct reel_value value;
    size_t bytes = strcspn(set, "=");
    if (!set[bytes] || bytes >= sizeof name)
        return;
    memcpy(name, set, bytes);
    name[bytes] = '\0';
    const struct reel_key *key = reel_key_named(name);
    if (!key)
        return;
    memset(&job, 0, sizeof job);
    memset(&again, 0, sizeof again);
    fuzz_begin();
    enum reel_status status =
        reel_yaml_open(set + bytes + 1, (int64_t)strlen(set + bytes + 1), "here", 0, &yaml);
    if (status == REEL_OK) {
        reel_yaml_value(reel_yaml_root(&yaml), &value);
        status = reel_key_read(key, &value, "/folder", "here", &job);
    }
    reel_yaml_close(&yaml);
    fuzz_end(status, REEL_BAD_JOB);
    if (status != REEL_OK)
        return;
    reel_key_print(key, &job, text);
    FUZZ_NEED(strlen(text) < sizeof text && !strchr(text, '\n'));
    fuzz_begin();
    status = reel_yaml_open(text, (int64_t)strlen(text), "there", 0, &yaml);
    if (status == REEL_OK) {
        reel_yaml_value(reel_yaml_root(&yaml), &value);
        status = reel_key_read(key, &value, "/other", "there", &again);
    }
    reel_yaml_close(&yaml);
    fuzz_end(status, REEL_BAD_JOB);
    reel_key_print(key, &again, second);
    FUZZ_NEED(status == REEL_OK && memcmp(&job, &again, sizeof job) == 0 && strcmp(text, second) == 0);
}

/* Checks that every number of a loaded job is in the range that its key documents. */
static void check_ranges(const struct reel_job *job)
{
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const struct reel_key *key = reel_key_at(k);
        int64_t integer;
        double real;
        memcpy(&integer, (const char *)job + key->offset, sizeof integer);
        memcpy(&real, (const char *)job + key->offset, sizeof real);
        if (key->type == REEL_KEY_INTEGER)
            FUZZ_NEED(integer >= key->min && integer <= key->max);
        if (key->type == REEL_KEY_INTEGER_OR_AUTO)
            FUZZ_NEED(integer == REEL_AUTO || (integer >= key->min && integer <= key->max));
        if (key->type == REEL_KEY_REAL)
            FUZZ_NEED(real >= key->from && real <= key->to);
    }
    FUZZ_NEED(job->model.path[0] && job->output.latents[0] == '/');
    FUZZ_NEED(job->video.width % 16 == 0 && job->video.height % 16 == 0 && job->video.frames % 4 == 1);
}

/* Checks that the echo of a job loads to the same bytes and echoes the same. */
static void check_echo(const struct reel_job *job)
{
    static struct reel_job again;
    char *echo = reel_job_echo(job);
    FUZZ_NEED(echo);
    if (!echo)
        return;
    const char *path = fuzz_file(echo, strlen(echo));
    fuzz_begin();
    enum reel_status status = reel_job_load(path, NULL, 0, &again);
    fuzz_end(status, REEL_BAD_JOB);
    FUZZ_NEED(status == REEL_OK && memcmp(job, &again, sizeof again) == 0);
    char *second = reel_job_echo(&again);
    FUZZ_NEED(second && strcmp(echo, second) == 0);
    free(second);
    free(echo);
}

void fuzz_job(const uint8_t *bytes, size_t count)
{
    static struct reel_job job;
    char *sets[SETS_MAX];
    int64_t set_count = 0;
    size_t file_bytes = strnlen((const char *)bytes, count), at = file_bytes + 1;
    for (; at < count && set_count < SETS_MAX; at += strlen(sets[set_count++]) + 1) {
        sets[set_count] = strndup((const char *)bytes + at, count - at);
        FUZZ_NEED(sets[set_count]);
    }
    const char *path = fuzz_file(bytes, file_bytes);
    fuzz_begin();
    enum reel_status status = reel_job_load(path, (const char *const *)sets, set_count, &job);
    fuzz_end(status, REEL_BAD_JOB);
    if (status == REEL_OK) {
        check_ranges(&job);
        check_echo(&job);
    }
    for (int64_t s = 0; s < set_count; s++) {
        check_set(sets[s]);
        free(sets[s]);
    }
}
