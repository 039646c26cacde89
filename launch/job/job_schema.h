/* The table of the keys of a job. The parser, --set, the help, the echo and the checks all use it.
 *
 * A key is named section.key, as in --set; only `device` has no section. Its default is text, written as a
 * user would write it and read by the same code:
 *
 *     const struct reel_key *key = reel_key_named("sampler.steps");
 *     key->default_value       "30"
 *     key->offset              the offset of job.sampler.steps
 *     reel_key_expects(key, text)     writes "an integer from 1 to 1000"
 *
 * Not collective. No function here fails. */
#ifndef REEL_JOB_SCHEMA_H
#define REEL_JOB_SCHEMA_H

#include "job.h"

#include <stddef.h>
#include <stdint.h>

enum reel_key_type {
    REEL_KEY_INTEGER,
    REEL_KEY_INTEGER_OR_AUTO, /* auto is stored as REEL_AUTO */
    REEL_KEY_REAL,
    REEL_KEY_BOOLEAN,
    REEL_KEY_CHOICE,      /* an enum whose values count up from 0 in the order of choices */
    REEL_KEY_PATH,        /* empty: not set */
    REEL_KEY_MODEL,       /* a path or synthetic:PRESET */
    REEL_KEY_FOLDER,      /* auto | off | DIR; off is the empty string */
    REEL_KEY_DURATION,    /* seconds as a double; 0: not set */
    REEL_KEY_COEFFICIENTS /* auto | a list | FILE: three members of struct reel_job */
};

struct reel_key {
    const char *name; /* dotted */
    enum reel_key_type type;
    size_t offset;             /* of the value in struct reel_job */
    const char *default_value; /* the default; empty: not set; NULL: required */
    int64_t min, max;          /* of an integer */
    double from, to;           /* of a real or a duration: from < value <= to; from <= value if from_too */
    int from_too;
    const char *choices; /* "auto fp32 bf16" */
    const char *help;    /* one line */
};

enum { REEL_KEYS_MAX = 64, REEL_KEY_BYTES = 64, REEL_PLACE_BYTES = 256, REEL_EXPECTS_BYTES = 256 };

/* Where each value of a job was set, for messages that name the line. */
struct reel_job_origin {
    const char *path;               /* of the job file, as the user gave it */
    char absolute[REEL_PATH_BYTES]; /* the same file, absolute */
    int64_t line[REEL_KEYS_MAX];    /* of each key in the file, from 1; 0: not in the file */
    const char *set[REEL_KEYS_MAX]; /* the last --set of each key; NULL: none */
};

/* Not collective. The number of keys; the key with an index from 0 to that number - 1. */
int64_t reel_key_count(void);
const struct reel_key *reel_key_at(int64_t index);

/* Not collective. The key with that dotted name; NULL when there is none. */
const struct reel_key *reel_key_named(const char *name);

/* Not collective. The index of a key of the table. */
int64_t reel_key_index(const struct reel_key *key);

/* Not collective. The length of the section's name, before the dot; 0 for a key without section. */
int64_t reel_key_section_bytes(const struct reel_key *key);

/* Not collective. Whether some key has this section. */
int reel_section_exists(const char *section);

/* Not collective. Writes into nearest, and returns, the key or section most similar to a name that is
 * neither; NULL when none is similar. */
const char *reel_key_nearest(const char *name, char nearest[REEL_KEY_BYTES]);

/* Not collective. Writes which values the key takes, as words that follow "expected". */
void reel_key_expects(const struct reel_key *key, char text[REEL_EXPECTS_BYTES]);

/* Not collective. Writes where the value of a key was set, to begin a message: "job.yaml:7",
 * "--set video.frames=96", or only the file for a default. */
void reel_job_place(const struct reel_job_origin *origin, const struct reel_key *key,
                    char place[REEL_PLACE_BYTES]);

#endif
