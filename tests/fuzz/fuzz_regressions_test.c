/* Runs the fuzz targets on their seeds and on every input that once broke a promise. */
#include "fuzz.h"
#include "test.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES = 1 << 16 };

static int64_t broken;
static const char *input_path = "no input";

void fuzz_broken(const char *file, int line, const char *what)
{
    if (strcmp(input_path, "no input") != 0)
        fprintf(stderr, "%s:%d: does not hold of %s: %s\n", file, line, input_path, what);
    broken++;
}

static int is_visible(const struct dirent *item)
{
    return item->d_name[0] != '.';
}

/* Calls the target with every file of a folder of tests/fuzz. */
static void every_input(const char *folder, void (*target)(const uint8_t *bytes, size_t count))
{
    struct dirent **names;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", REEL_TEST_FUZZ, folder);
    int count = scandir(path, &names, is_visible, alphasort);
    CHECK(count > 0, "%s holds no input", path);
    for (int n = 0; n < count; n++) {
        snprintf(path, sizeof path, "%s/%s/%.200s", REEL_TEST_FUZZ, folder, names[n]->d_name);
        FILE *file = fopen(path, "rb");
        uint8_t *bytes = malloc(INPUT_BYTES);
        size_t got = file && bytes ? fread(bytes, 1, INPUT_BYTES, file) : 0;
        CHECK(file && bytes && got > 0 && got < INPUT_BYTES, "%s cannot be read", path);
        uint8_t *exactly = realloc(bytes, got + !got); /* lets a sanitizer find a read beyond the end */
        int64_t before = broken;
        input_path = path;
        target(exactly ? exactly : bytes, got);
        CHECK(broken == before, "%lld promises", (long long)(broken - before));
        input_path = "no input";
        free(exactly ? exactly : bytes);
        if (file)
            fclose(file);
        free(names[n]);
    }
    if (count >= 0)
        free(names);
}

static void safetensors_files_of_any_kind_are_read_or_refused(void)
{
    every_input("corpus-safetensors", fuzz_safetensors);
    every_input("regressions-safetensors", fuzz_safetensors);
}

static void jobs_of_any_kind_are_read_or_refused(void)
{
    every_input("corpus-job", fuzz_job);
    every_input("regressions-job", fuzz_job);
}

static void a_broken_promise_is_noticed(void)
{
    int64_t before = broken;
    fuzz_begin();
    fprintf(stderr, "a library's complaint\n");
    fuzz_end(REEL_OK, REEL_BAD_JOB);
    CHECK(broken == before + 1, "words on standard error: %lld", (long long)(broken - before));
    fuzz_begin();
    fuzz_end(reel_fail(REEL_BAD_INPUT, "a file"), REEL_BAD_JOB);
    CHECK(broken == before + 2, "another status: %lld", (long long)(broken - before));
    fuzz_begin();
    fuzz_end(reel_fail(REEL_BAD_JOB, "%s", ""), REEL_BAD_JOB);
    CHECK(broken == before + 3, "no sentence: %lld", (long long)(broken - before));
    fuzz_begin();
    reel_error_set(&(struct reel_error){.status = REEL_BAD_JOB, .cause = "two\nlines"});
    fuzz_end(REEL_BAD_JOB, REEL_BAD_JOB);
    CHECK(broken == before + 4, "two lines: %lld", (long long)(broken - before));
    broken = before;
}

int main(void)
{
    RUN(a_broken_promise_is_noticed);
    RUN(safetensors_files_of_any_kind_are_read_or_refused);
    RUN(jobs_of_any_kind_are_read_or_refused);
    return test_end();
}
