/* YAML as a job needs it: a document from text, with lines, and what its nodes say.
 *
 * Everything of libfyaml is in job_yaml.c. Its complaints are collected and become one sentence; nothing is
 * printed. Aliases are followed where a value is asked for and never expanded, so that a small file cannot
 * become a large tree.
 *
 *     struct reel_yaml yaml = {0};
 *     if (reel_yaml_open(text, bytes, "job.yaml", 1, &yaml) == REEL_OK) {
 *         struct reel_yaml_node root = reel_yaml_root(&yaml);
 *         for (void *at = NULL; reel_yaml_next(root, &at, &entry);)
 *             entry.name, entry.line, reel_yaml_value(entry.node, &value)
 *     }
 *     reel_yaml_close(&yaml);
 */
#ifndef REEL_JOB_YAML_H
#define REEL_JOB_YAML_H

#include "job_schema.h"
#include "status.h"

#include <stdint.h>

struct fy_diag;
struct fy_document;
struct fy_node;
struct fy_parser;

struct reel_yaml {
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_document *document; /* NULL: the text holds nothing but comments */
};

struct reel_yaml_node {
    struct fy_node *node; /* NULL: nothing */
};

enum reel_value_kind {
    REEL_VALUE_NULL, /* nothing, null or ~ */
    REEL_VALUE_PLAIN,
    REEL_VALUE_QUOTED,
    REEL_VALUE_LIST,
    REEL_VALUE_MAPPING,
    REEL_VALUE_TAGGED, /* !something: no key takes one */
    REEL_VALUE_LOST,   /* an alias of an anchor that is not there */
    REEL_VALUE_ZERO    /* text that holds a zero byte */
};

/* A value; its strings live as long as the document. */
struct reel_value {
    enum reel_value_kind kind;
    const char *text;                         /* of PLAIN and QUOTED; else a name of the kind */
    int64_t count;                            /* items of a LIST, also beyond those that are held */
    const char *items[REEL_COEFFICIENTS_MAX]; /* a text that no number matches where an item is not plain */
};

struct reel_yaml_entry {
    char name[REEL_KEY_BYTES]; /* cut if longer: then it is no key of a job; empty where the key is
                                  an alias, has a tag or a zero byte, or is no text */
    int64_t line;              /* from 1 */
    struct reel_yaml_node node;
};

/* Not collective. The index of the first byte that no text has: of a control character but tab and line ends,
 * or of what is not UTF-8; bytes when all is text. */
int64_t reel_text_bad_byte(const char *text, int64_t bytes);

/* Not collective. Parses one document. place opens the messages; lines says whether ":line:column" follows
 * it. Close it in any case. */
enum reel_status reel_yaml_open(const char *text, int64_t bytes, const char *place, int lines,
                                struct reel_yaml *yaml);
void reel_yaml_close(struct reel_yaml *yaml);

/* Not collective. The document's node. */
struct reel_yaml_node reel_yaml_root(const struct reel_yaml *yaml);

/* Not collective. What a node says. */
void reel_yaml_value(struct reel_yaml_node node, struct reel_value *value);

/* Not collective. The next entry of a mapping, in the order of the text; 0 after the last. *at is NULL before
 * the first. */
int reel_yaml_next(struct reel_yaml_node mapping, void **at, struct reel_yaml_entry *entry);

/* Not collective. The value that a plain text stands for. */
struct reel_value reel_value_plain(const char *text);

#endif
