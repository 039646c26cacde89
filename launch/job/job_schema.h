/* The keys of a job file, once: the table that the parser, --set, the help, the echo and the checks read.
 *
 * A key is named section.key as in --set; `device` alone has no section. Its standard text is what the job
 * holds when nobody sets it, written as a user would write it and read by the same code:
 *
 *     const struct reel_key *key = reel_key_named("sampler.steps");
 *     key->standard is "30", key->offset is that of job.sampler.steps, and
 *     reel_key_expects(key, ...) writes "an integer from 1 to 1000"
 *
 * Not collective; nothing here fails. */
#ifndef REEL_JOB_SCHEMA_H
#define REEL_JOB_SCHEMA_H

#include "job.h"

#include <stddef.h>
#include <stdint.h>

enum reel_key_type {
    REEL_KEY_INTEGER,
    REEL_KEY_INTEGER_OR_AUTO, /* REEL_AUTO where it says auto */
    REEL_KEY_REAL,
    REEL_KEY_BOOLEAN,
    REEL_KEY_CHOICE,      /* an enum whose values count up from 0 in the order of choices */
    REEL_KEY_PATH,        /* empty: not set */
    REEL_KEY_MODEL,       /* a path or synthetic:PRESET */
    REEL_KEY_FOLDER,      /* auto | off | DIR; off is the empty string */
    REEL_KEY_DURATION,    /* seconds as a double; 0 where it is not set */
    REEL_KEY_COEFFICIENTS /* auto | a list | FILE: three members of struct reel_job */
};

struct reel_key {
    const char *name; /* dotted */
    enum reel_key_type type;
    size_t offset;             /* of the value in struct reel_job */
    const char *default_value; /* the default; empty: not set; NULL: required */
    int64_t min, max;          /* of an integer */
    double from, to;           /* of a real or a duration: from < value <= to, with from_too from <= value */
    int from_too;
    const char *choices; /* "auto fp32 bf16" */
    const char *help;    /* one line */
};

enum { REEL_KEYS_MAX = 64, REEL_KEY_BYTES = 64, REEL_PLACE_BYTES = 256, REEL_EXPECTS_BYTES = 256 };

/* Where the values of a job came from, for messages that name the line. */
struct reel_job_origin {
    const char *path;               /* of the job file, as it was given */
    char absolute[REEL_PATH_BYTES]; /* the same file, absolute */
    int64_t line[REEL_KEYS_MAX];    /* of each key in the file, from 1; 0: not there */
    const char *set[REEL_KEYS_MAX]; /* the last --set of each key; NULL: none */
};

/* Not collective. The number of keys, and the key of that index. */
int64_t reel_key_count(void);
const struct reel_key *reel_key_at(int64_t index);

/* Not collective. The key of that dotted name; NULL when there is none. */
const struct reel_key *reel_key_named(const char *name);

/* Not collective. The index of a key of the table. */
int64_t reel_key_index(const struct reel_key *key);

/* Not collective. The bytes of the section's name in front of the dot; 0 for a key without section. */
int64_t reel_key_section_bytes(const struct reel_key *key);

/* Not collective. Whether some key has this section. */
int reel_section_exists(const char *section);

/* Not collective. The known key or section nearest to a name that is neither; NULL when nothing is near. */
const char *reel_key_nearest(const char *name, char nearest[REEL_KEY_BYTES]);

/* Not collective. What the key takes, in words, to follow "expected". */
void reel_key_expects(const struct reel_key *key, char text[REEL_EXPECTS_BYTES]);

/* Not collective. Where the value of a key was set, to open a message: "job.yaml:7", "--set video.frames=96",
 * or the file alone for a default. */
void reel_job_place(const struct reel_job_origin *origin, const struct reel_key *key,
                    char place[REEL_PLACE_BYTES]);

#endif
