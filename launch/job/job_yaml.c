/* Implements job_yaml.h with libfyaml. */
#include "job_yaml.h"

#include "text.h"

#include <libfyaml.h>

#include <string.h>

int64_t reel_text_bad_byte(const char *text, int64_t bytes)
{
    for (int64_t i = 0; i < bytes;) {
        int64_t step = reel_utf8_bytes(text + i, bytes - i);
        unsigned char c = (unsigned char)text[i];
        if (step == 0 || c == 0x7f || (c < ' ' && c != '\n' && c != '\r' && c != '\t'))
            return i;
        i += step;
    }
    return bytes;
}

/* libfyaml would also find most of these bytes, but its messages say less. */
static enum reel_status check_text(const char *text, int64_t bytes, const char *place, int lines)
{
    int64_t bad = reel_text_bad_byte(text, bytes), line = 1;
    if (bad == bytes)
        return REEL_OK;
    for (int64_t i = 0; i < bad; i++)
        line += text[i] == '\n';
    if (lines)
        return reel_fail(REEL_BAD_JOB, "%s:%lld: byte %lld of the file is 0x%02x, expected UTF-8 text", place,
                         (long long)line, (long long)bad, (unsigned char)text[bad]);
    return reel_fail(REEL_BAD_JOB, "%s: byte %lld of the value is 0x%02x, expected UTF-8 text", place,
                     (long long)bad, (unsigned char)text[bad]);
}

/* Makes the error from the parser's first message. */
static enum reel_status bad_syntax(struct fy_diag *diag, const char *place, int lines)
{
    void *at = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);
    if (!error || !error->msg)
        return reel_fail(REEL_BAD_JOB, "%s: is not YAML that can be read, expected YAML 1.2", place);
    int words = (int)strcspn(error->msg, "\n");
    if (lines && error->line > 0)
        return reel_fail(REEL_BAD_JOB, "%s:%d:%d: is not valid YAML: %.*s", place, error->line, error->column,
                         words, error->msg);
    return reel_fail(REEL_BAD_JOB, "%s: is not valid YAML: %.*s", place, words, error->msg);
}

enum reel_status reel_yaml_open(const char *text, int64_t bytes, const char *place, int lines,
                                struct reel_yaml *yaml)
{
    REEL_PASS(check_text(text, bytes, place, lines));
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL;
    yaml->diag = fy_diag_create(&quiet);
    REEL_NEED(yaml->diag, REEL_NO_MEMORY, "%s: no memory to read it", place);
    fy_diag_set_collect_errors(yaml->diag, true);
    /* Duplicate keys are allowed here because job_file.c reports both lines. Aliases are not expanded. */
    struct fy_parse_cfg config = {.search_path = "",
                                  .flags = FYPCF_DISABLE_MMAP_OPT | FYPCF_DEFAULT_VERSION_1_2 |
                                           FYPCF_JSON_NONE | FYPCF_ALLOW_DUPLICATE_KEYS,
                                  .diag = yaml->diag};
    yaml->parser = fy_parser_create(&config);
    REEL_NEED(yaml->parser && fy_parser_set_string(yaml->parser, text, (size_t)bytes) == 0, REEL_NO_MEMORY,
              "%s: no memory to read it", place);
    yaml->document = fy_parse_load_document(yaml->parser);
    if (!yaml->document && fy_parser_get_stream_error(yaml->parser))
        return bad_syntax(yaml->diag, place, lines);
    if (!yaml->document)
        return REEL_OK;
    struct fy_document *second = fy_parse_load_document(yaml->parser);
    if (second) {
        fy_parse_document_destroy(yaml->parser, second);
        return reel_fail(REEL_BAD_JOB, "%s: holds more than one YAML document (---), expected one", place);
    }
    if (fy_parser_get_stream_error(yaml->parser))
        return bad_syntax(yaml->diag, place, lines);
    return REEL_OK;
}

void reel_yaml_close(struct reel_yaml *yaml)
{
    if (yaml->document)
        fy_parse_document_destroy(yaml->parser, yaml->document);
    if (yaml->parser)
        fy_parser_destroy(yaml->parser);
    if (yaml->diag)
        fy_diag_destroy(yaml->diag);
    memset(yaml, 0, sizeof *yaml);
}

struct reel_yaml_node reel_yaml_root(const struct reel_yaml *yaml)
{
    return (struct reel_yaml_node){yaml->document ? fy_document_root(yaml->document) : NULL};
}

/* The node itself, or the node it is an alias of; NULL when that does not exist. */
static struct fy_node *followed(struct fy_node *node)
{
    return node && fy_node_is_alias(node) ? fy_node_resolve_alias(node) : node;
}

struct reel_value reel_value_plain(const char *text)
{
    struct reel_value value = {.kind = REEL_VALUE_PLAIN, .text = text};
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        if (strcmp(text, nothing[i]) != 0)
            continue;
        value.kind = REEL_VALUE_NULL;
        value.text = "empty";
    }
    return value;
}

static struct reel_value scalar_value(struct fy_node *node)
{
    size_t bytes = 0;
    const char *text = fy_node_get_scalar(node, &bytes);
    const char *ended = bytes ? fy_node_get_scalar0(node) : "";
    if (!ended || (text && memchr(text, 0, bytes)))
        return (struct reel_value){.kind = REEL_VALUE_ZERO, .text = "a text with a zero byte"};
    if (fy_node_get_style(node) == FYNS_PLAIN)
        return reel_value_plain(ended);
    return (struct reel_value){.kind = REEL_VALUE_QUOTED, .text = ended};
}

void reel_yaml_value(struct reel_yaml_node at, struct reel_value *value)
{
    struct fy_node *node = followed(at.node);
    size_t bytes = 0;
    memset(value, 0, sizeof *value);
    if (!at.node) {
        *value = reel_value_plain("");
    } else if (!node) {
        *value = (struct reel_value){.kind = REEL_VALUE_LOST, .text = "an alias without an anchor"};
    } else if (fy_node_get_tag(node, &bytes)) {
        *value = (struct reel_value){.kind = REEL_VALUE_TAGGED, .text = "a value with a tag"};
    } else if (fy_node_is_mapping(node)) {
        *value = (struct reel_value){.kind = REEL_VALUE_MAPPING, .text = "a mapping"};
    } else if (fy_node_is_sequence(node)) {
        *value = (struct reel_value){.kind = REEL_VALUE_LIST, .text = "a list"};
        void *place = NULL;
        for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &place)); value->count++) {
            item = followed(item);
            int plain = item && fy_node_is_scalar(item) && !fy_node_get_tag(item, &bytes);
            if (value->count < REEL_COEFFICIENTS_MAX)
                value->items[value->count] = plain ? scalar_value(item).text : "something else";
        }
    } else {
        *value = scalar_value(node);
    }
}

int reel_yaml_next(struct reel_yaml_node mapping, void **at, struct reel_yaml_entry *entry)
{
    struct fy_node *node = followed(mapping.node);
    struct fy_node_pair *pair = node && fy_node_is_mapping(node) ? fy_node_mapping_iterate(node, at) : NULL;
    if (!pair)
        return 0;
    struct fy_node *key = fy_node_pair_key(pair);
    struct fy_token *token = key && fy_node_is_scalar(key) ? fy_node_get_scalar_token(key) : NULL;
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    size_t bytes = 0;
    /* An alias would have its anchor's text, and a key must not have a tag. */
    int named = token && !fy_node_is_alias(key) && !fy_node_get_tag(key, &bytes);
    const char *name = named ? fy_node_get_scalar(key, &bytes) : NULL;
    memset(entry, 0, sizeof *entry);
    if (name && !memchr(name, 0, bytes))
        memcpy(entry->name, name, bytes < REEL_KEY_BYTES ? bytes : REEL_KEY_BYTES - 1);
    entry->line = mark ? mark->line + 1 : 0;
    entry->node.node = fy_node_pair_value(pair);
    return 1;
}
