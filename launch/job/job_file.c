/* Reads the job file and --set into a job. */
#include "job_file.h"

#include "job_value.h"
#include "job_yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The state while the job file and then the settings are read. */
struct reader {
    struct reel_job *job;
    struct reel_job_origin *origin;
    const char *folder; /* against which relative paths are resolved */
    /* Lines of the sections in the file, each at the index of the first key of the section; 0: not seen
     * yet. */
    int64_t section_line[REEL_KEYS_MAX];
};

static enum reel_status read_text(const char *path, char **text, int64_t *bytes)
{
    FILE *file = fopen(path, "rb");
    REEL_NEED(file, REEL_BAD_JOB, "%s: the job file cannot be opened: %s", path, strerror(errno));
    *text = malloc(REEL_JOB_FILE_BYTES + 1);
    size_t got = *text ? fread(*text, 1, REEL_JOB_FILE_BYTES + 1, file) : 0;
    int trouble = ferror(file) ? errno : 0;
    fclose(file);
    *bytes = (int64_t)got;
    REEL_NEED(*text, REEL_NO_MEMORY, "%s: no memory to read it", path);
    REEL_NEED(!trouble, REEL_BAD_JOB, "%s: the job file cannot be read: %s", path, strerror(trouble));
    REEL_NEED(got <= REEL_JOB_FILE_BYTES, REEL_BAD_JOB, "%s: is larger than %d bytes, expected a job file",
              path, REEL_JOB_FILE_BYTES);
    return REEL_OK;
}

static enum reel_status unknown_key(const char *place, const char *name)
{
    char nearest[REEL_KEY_BYTES];
    if (reel_key_nearest(name, nearest))
        return reel_fail(REEL_BAD_JOB, "%s: %s is not a key of a job, expected perhaps %s", place, name,
                         nearest);
    return reel_fail(REEL_BAD_JOB, "%s: %s is not a key of a job, expected one that reel run --help lists",
                     place, *name ? name : "an empty name");
}

/* Reads one key of the file; section is "" at the top level. */
static enum reel_status read_entry(struct reader *reader, const char *section,
                                   const struct reel_yaml_entry *entry)
{
    char name[2 * REEL_KEY_BYTES], place[REEL_PLACE_BYTES];
    snprintf(name, sizeof name, "%s%s%s", section, *section ? "." : "", entry->name);
    snprintf(place, sizeof place, "%.200s:%lld", reader->origin->path, (long long)entry->line);
    const struct reel_key *key = reel_key_named(name);
    if (!key)
        return unknown_key(place, name);
    REEL_NEED(*section || !reel_key_section_bytes(key), REEL_BAD_JOB,
              "%s: %s is at the top level, expected %s below %.*s:", place, name, strchr(name, '.') + 1,
              (int)reel_key_section_bytes(key), name);
    int64_t *line = &reader->origin->line[reel_key_index(key)];
    REEL_NEED(!*line, REEL_BAD_JOB, "%s: %s is set a second time, expected once (line %lld sets it)", place,
              name, (long long)*line);
    *line = entry->line;
    struct reel_value value;
    reel_yaml_value(entry->node, &value);
    return reel_key_read(key, &value, reader->folder, place, reader->job);
}

static enum reel_status read_section(struct reader *reader, const struct reel_yaml_entry *section)
{
    const char *path = reader->origin->path;
    struct reel_value value;
    int64_t *line = NULL;
    size_t bytes = strlen(section->name);
    for (int64_t k = 0; k < reel_key_count() && !line; k++)
        if (strncmp(reel_key_at(k)->name, section->name, bytes) == 0 && reel_key_at(k)->name[bytes] == '.')
            line = &reader->section_line[k];
    REEL_NEED(!*line, REEL_BAD_JOB,
              "%.200s:%lld: %s begins a second time, expected once (line %lld begins it)", path,
              (long long)section->line, section->name, (long long)*line);
    *line = section->line;
    reel_yaml_value(section->node, &value);
    if (value.kind == REEL_VALUE_NULL)
        return REEL_OK;
    REEL_NEED(value.kind == REEL_VALUE_MAPPING, REEL_BAD_JOB,
              "%.200s:%lld: %s is %.64s, expected its keys below it", path, (long long)section->line,
              section->name, value.text);
    struct reel_yaml_entry entry;
    for (void *at = NULL; reel_yaml_next(section->node, &at, &entry);)
        REEL_PASS(read_entry(reader, section->name, &entry));
    return REEL_OK;
}

static enum reel_status read_document(struct reader *reader, const struct reel_yaml *yaml)
{
    const char *path = reader->origin->path;
    struct reel_yaml_node root = reel_yaml_root(yaml);
    struct reel_yaml_entry entry;
    struct reel_value value;
    reel_yaml_value(root, &value);
    REEL_NEED(value.kind != REEL_VALUE_NULL, REEL_BAD_JOB, "%s: is empty, expected the keys of a job", path);
    REEL_NEED(value.kind == REEL_VALUE_MAPPING, REEL_BAD_JOB, "%s: is %.64s, expected the keys of a job",
              path, value.text);
    for (void *at = NULL; reel_yaml_next(root, &at, &entry);)
        if (reel_section_exists(entry.name))
            REEL_PASS(read_section(reader, &entry));
        else
            REEL_PASS(read_entry(reader, "", &entry));
    return REEL_OK;
}

static enum reel_status read_file(struct reader *reader)
{
    char *text = NULL;
    int64_t bytes = 0;
    struct reel_yaml yaml = {0};
    enum reel_status status = read_text(reader->origin->path, &text, &bytes);
    if (status == REEL_OK)
        status = reel_yaml_open(text, bytes, reader->origin->path, 1, &yaml);
    if (status == REEL_OK)
        status = read_document(reader, &yaml);
    reel_yaml_close(&yaml);
    free(text);
    return status;
}

static enum reel_status read_set(struct reader *reader, const char *set)
{
    char place[REEL_PLACE_BYTES], name[2 * REEL_KEY_BYTES];
    const char *equals = strchr(set, '=');
    snprintf(place, sizeof place, "--set %.120s", set);
    REEL_NEED(equals, REEL_BAD_JOB, "%s: has no value, expected key=value", place);
    snprintf(name, sizeof name, "%.*s", (int)(equals - set < 100 ? equals - set : 100), set);
    const struct reel_key *key = reel_key_named(name);
    REEL_NEED(key || !reel_section_exists(name), REEL_BAD_JOB,
              "%s: %s is a section, expected one of its keys", place, name);
    if (!key)
        return unknown_key(place, name);
    struct reel_yaml yaml = {0};
    enum reel_status status = reel_yaml_open(equals + 1, (int64_t)strlen(equals + 1), place, 0, &yaml);
    if (status == REEL_OK) {
        struct reel_value value;
        reel_yaml_value(reel_yaml_root(&yaml), &value);
        status = reel_key_read(key, &value, reader->folder, place, reader->job);
    }
    reel_yaml_close(&yaml);
    reader->origin->set[reel_key_index(key)] = set;
    return status;
}

/* Replaces `checkpoint.directory: auto` by a folder beside the output. */
static enum reel_status name_checkpoints(const struct reel_job_origin *origin, struct reel_job *job)
{
    static const char end[] = ".checkpoint";
    if (strcmp(job->checkpoint.directory, "auto") != 0)
        return REEL_OK;
    memset(job->checkpoint.directory, 0, sizeof job->checkpoint.directory);
    REEL_NEED(strlen(job->output.latents) + sizeof end <= sizeof job->checkpoint.directory, REEL_BAD_JOB,
              "%s: output.latents is %zu bytes long, expected %zu at most, or another checkpoint.directory "
              "than auto",
              origin->path, strlen(job->output.latents), sizeof job->checkpoint.directory - sizeof end);
    memcpy(job->checkpoint.directory, job->output.latents, strlen(job->output.latents));
    strcat(job->checkpoint.directory, end);
    return REEL_OK;
}

static enum reel_status check_required(const struct reel_job_origin *origin, const struct reel_job *job)
{
    char expects[REEL_EXPECTS_BYTES];
    for (int64_t k = 0; k < reel_key_count(); k++) {
        const struct reel_key *key = reel_key_at(k);
        reel_key_expects(key, expects);
        REEL_NEED(key->default_value || ((const char *)job)[key->offset], REEL_BAD_JOB,
                  "%s: %s is missing, expected %s", origin->path, key->name, expects);
    }
    REEL_NEED(job->prompt.embeds[0] || strncmp(job->model.path, "synthetic:", 10) == 0, REEL_BAD_JOB,
              "%s: prompt.embeds is missing, expected a path since model.path is %s", origin->path,
              job->model.path);
    return REEL_OK;
}

enum reel_status reel_job_load(const char *path, const char *const *sets, int64_t set_count,
                               struct reel_job *job)
{
    char here[REEL_PATH_BYTES], folder[REEL_PATH_BYTES];
    struct reel_job_origin origin = {.path = path};
    struct reader reader = {.job = job, .origin = &origin, .folder = folder};
    memset(job, 0, sizeof *job);
    for (int64_t k = 0; k < reel_key_count(); k++)
        reel_key_reset(reel_key_at(k), job);

    REEL_NEED(*path, REEL_BAD_JOB, "the name of the job file is empty, expected a path");
    REEL_NEED(getcwd(here, sizeof here), REEL_BAD_JOB, "%s: the working directory cannot be named: %s", path,
              strerror(errno));
    REEL_PASS(reel_path_resolve(here, path, path, origin.absolute));
    memcpy(folder, origin.absolute, sizeof folder);
    *strrchr(folder, '/') = '\0';
    REEL_PASS(read_file(&reader));

    reader.folder = here;
    for (int64_t s = 0; s < set_count; s++)
        REEL_PASS(read_set(&reader, sets[s]));
    REEL_PASS(check_required(&origin, job));
    REEL_PASS(name_checkpoints(&origin, job));
    return reel_job_checks(job, &origin);
}
