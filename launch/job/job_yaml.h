/* YAML as a job needs it: parses text into a document and reads its nodes, with line numbers.
 *
 * Only job_yaml.c uses libfyaml. Its errors are collected and become one sentence; it prints nothing. Aliases
 * are followed when a value is read and never expanded, so that a small file cannot become a large tree.
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
    struct fy_document *document; /* NULL: the text holds only comments */
};

struct reel_yaml_node {
    struct fy_node *node; /* NULL: there is no node */
};

enum reel_value_kind {
    REEL_VALUE_NULL, /* an empty value, null or ~ */
    REEL_VALUE_PLAIN,
    REEL_VALUE_QUOTED,
    REEL_VALUE_LIST,
    REEL_VALUE_MAPPING,
    REEL_VALUE_TAGGED, /* !tag: no key accepts one */
    REEL_VALUE_LOST,   /* an alias of an anchor that does not exist */
    REEL_VALUE_ZERO    /* text that holds a zero byte */
};

/* A value. Its strings live as long as the document. */
struct reel_value {
    enum reel_value_kind kind;
    const char *text; /* of PLAIN and QUOTED; for other kinds a description such as "a list" */
    int64_t count;    /* all items of a LIST, including those beyond items[] */
    const char *items[REEL_COEFFICIENTS_MAX]; /* for an item that is not a scalar: a text that is no number */
};

struct reel_yaml_entry {
    /* Cut if longer than this; then it is not a key of a job. Empty when the key is an alias or not a scalar,
     * or has a tag or a zero byte. */
    char name[REEL_KEY_BYTES];
    int64_t line; /* from 1 */
    struct reel_yaml_node node;
};

/* Not collective. The index of the first byte that is not text: a control character other than tab and line
 * ends, or invalid UTF-8. Returns bytes when all is text. */
int64_t reel_text_bad_byte(const char *text, int64_t bytes);

/* Not collective. Parses one document. Messages begin with place, and with ":line:column" after it if lines
 * is set. REEL_BAD_JOB when the text is not one valid document, REEL_NO_MEMORY. *yaml must be zeroed before;
 * the caller calls reel_yaml_close, also after an error. The text must outlive *yaml. */
enum reel_status reel_yaml_open(const char *text, int64_t bytes, const char *place, int lines,
                                struct reel_yaml *yaml);
void reel_yaml_close(struct reel_yaml *yaml);

/* Not collective. The root node of the document. */
struct reel_yaml_node reel_yaml_root(const struct reel_yaml *yaml);

/* Not collective. Reads the value of a node. */
void reel_yaml_value(struct reel_yaml_node node, struct reel_value *value);

/* Not collective. Reads the next entry of a mapping, in the order of the text; returns 0 after the last. The
 * caller sets *at to NULL before the first. */
int reel_yaml_next(struct reel_yaml_node mapping, void **at, struct reel_yaml_entry *entry);

/* Not collective. The value of an unquoted text. */
struct reel_value reel_value_plain(const char *text);

#endif
