/* What the schema knows and this version does not do. A key that would be ignored is refused instead; whoever
 * builds a feature removes its lines here. */
#include "job_file.h"
#include "job_value.h"

#include <string.h>

static const struct refusal {
    const char *key;
    const char *allowed; /* the values that work, separated by spaces; NULL: the default alone */
    const char *reason;
} refusals[] = {
    {"model.compute", "auto fp32", "this version computes in fp32 only"},
    {"device", "auto cpu", "this version computes on the CPU only"},
    {"communication.transport", "auto mpi", "this version sends by MPI only"},
};

static int is_among(const char *text, const char *words)
{
    size_t bytes = strlen(text);
    for (const char *word = words; *word; word += strcspn(word, " "), word += *word == ' ')
        if (strcspn(word, " ") == bytes && strncmp(word, text, bytes) == 0)
            return 1;
    return 0;
}

enum reel_status reel_job_refuse_what_is_not_built(const struct reel_job *job,
                                                   const struct reel_job_origin *origin)
{
    struct reel_job standard;
    char value[REEL_TEXT_BYTES], usual[REEL_TEXT_BYTES], place[REEL_PLACE_BYTES];
    memset(&standard, 0, sizeof standard);
    for (size_t r = 0; r < sizeof refusals / sizeof refusals[0]; r++) {
        const struct reel_key *key = reel_key_named(refusals[r].key);
        const char *allowed = refusals[r].allowed;
        reel_key_reset(key, &standard);
        reel_key_print(key, job, value);
        reel_key_print(key, &standard, usual);
        if (allowed ? is_among(value, allowed) : strcmp(value, usual) == 0)
            continue;
        reel_job_place(origin, key, place);
        if (!allowed && !*usual)
            return reel_fail(REEL_BAD_JOB, "%s: %s is %.200s, but %s; expected none", place, key->name, value,
                             refusals[r].reason);
        const char *space = allowed ? strchr(allowed, ' ') : NULL;
        return reel_fail(REEL_BAD_JOB, "%s: %s is %.200s, but %s; expected %.*s%s%s", place, key->name, value,
                         refusals[r].reason, space ? (int)(space - allowed) : (int)strlen(usual),
                         space ? allowed : usual, space ? " or " : " (the default)", space ? space + 1 : "");
    }
    return REEL_OK;
}
