/* Reading, filtering and comparing the lines of a fingerprint. */
#include "fingerprint.h"

#include <stdlib.h>
#include <string.h>

/* A line "key: value" of a text. In the YAML of a job, the section becomes part of the key: "section.key". */
struct line {
    const char *next;
    char section[128], key[256], value[REEL_LINE_BYTES];
};

/* Moves to the next line that has a value. Returns 0 after the last line, else 1. */
static int next_line(struct line *line)
{
    while (*line->next) {
        int bytes = (int)strcspn(line->next, "\n"), indent = (int)strspn(line->next, " ");
        const char *start = line->next + indent, *colon = memchr(start, ':', (size_t)(bytes - indent));
        line->next += bytes + (line->next[bytes] == '\n');
        if (!colon)
            continue;
        int name = (int)(colon - start), rest = bytes - indent - name - 1;
        const char *value = colon + 1 + (rest > 0 && colon[1] == ' ');
        rest -= (int)(value - colon - 1);
        if (rest <= 0) { /* a section opens */
            snprintf(line->section, sizeof line->section, "%.*s.", name < 100 ? name : 100, start);
            continue;
        }
        snprintf(line->key, sizeof line->key, "%s%.*s", indent > 0 ? line->section : "",
                 name < 100 ? name : 100, start);
        snprintf(line->value, sizeof line->value, "%.*s", rest, value);
        return 1;
    }
    return 0;
}

/* 1 when the fingerprint has the text of this key; 0 for the keys below and all that begin like them. Most of
 * those do not change the result. Others do, and count in another way: files by the hashes of their contents,
 * model.compute and teacache.coefficients by the values that reel chose (make_fingerprint in resume_compare.c
 * adds these lines), and video.frames may grow (compare_frames, there too). */
static int key_matters(const char *key)
{
    static const char *const others[] = {"partition.",
                                         "communication.",
                                         "checkpoint.",
                                         "output.",
                                         "device",
                                         "teacache.embedding",
                                         "teacache.coefficients",
                                         "model.path",
                                         "model.compute",
                                         "prompt.embeds",
                                         "sampler.noise",
                                         "video.frames",
                                         "diffusion_forcing.prefix_latents",
                                         "diffusion_forcing.end_latents"};
    for (size_t o = 0; o < sizeof others / sizeof others[0]; o++)
        if (strncmp(key, others[o], strlen(others[o])) == 0)
            return 0;
    return 1;
}

void reel_fingerprint_job(FILE *out, const char *job_text)
{
    struct line line = {.next = job_text};
    while (next_line(&line))
        if (key_matters(line.key))
            fprintf(out, "%s: %s\n", line.key, line.value);
}

/* Finds the line of a key. Returns 1 when it is there, else 0. */
static int find_line(const char *text, const char *key, struct line *line)
{
    *line = (struct line){.next = text};
    while (next_line(line))
        if (strcmp(line->key, key) == 0)
            return 1;
    return 0;
}

int reel_fingerprint_value(const char *job_text, const char *key, char value[REEL_LINE_BYTES])
{
    struct line line;
    int found = find_line(job_text, key, &line);
    snprintf(value, REEL_LINE_BYTES, "%s", found ? line.value : "");
    return found;
}

/* 1 for an input of a chunk that has not begun, in a video that grows. */
static int may_differ(const char *key, const struct reel_fingerprint_rules *rules)
{
    long long chunk;
    return rules->grown && sscanf(key, "chunk %lld ", &chunk) == 1 && chunk >= rules->begun;
}

static enum reel_status fail_difference(const struct reel_fingerprint_rules *rules, const char *key,
                                        const char *saved, const char *now)
{
    return reel_fail(
        REEL_BAD_INPUT,
        "%s: was made with %s %s, and the job has %s, expected the same, or --fresh to start over",
        rules->file, key, saved, now);
}

enum reel_status reel_fingerprint_compare(const char *saved, const char *now,
                                          const struct reel_fingerprint_rules *rules)
{
    struct line ours = {.next = now}, theirs = {.next = saved}, other;
    while (next_line(&ours))
        if (!may_differ(ours.key, rules)) {
            if (!find_line(saved, ours.key, &other))
                return fail_difference(rules, ours.key, "not set", ours.value);
            if (strcmp(ours.value, other.value) != 0)
                return fail_difference(rules, ours.key, other.value, ours.value);
        }
    while (!rules->partial && next_line(&theirs))
        if (!may_differ(theirs.key, rules) && !find_line(now, theirs.key, &other))
            return fail_difference(rules, theirs.key, theirs.value, "not set");
    return REEL_OK;
}
