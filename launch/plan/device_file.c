/* Reads the table of devices. */
#include "device_file.h"

#include "job_yaml.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The table is about a page long. A larger file was given by mistake. */
enum { TABLE_BYTES = 1 << 20, PATH_BYTES = 4096, NAMES_BYTES = 1024, PLACE_BYTES = 384 };

enum kind { RATE, SIZE, COMPUTE };

static const struct field {
    const char *name;
    enum kind kind;
    size_t offset;
    double unit;
    int optional;
} fields[] = {
    {"memory", SIZE, offsetof(struct reel_device_rates, memory_bytes), 1, 1},
    {"compute", COMPUTE, offsetof(struct reel_device_rates, dtype), 1, 0},
    {"gemm_tflops", RATE, offsetof(struct reel_device_rates, gemm_rate), 1e12, 0},
    {"attention_tflops", RATE, offsetof(struct reel_device_rates, attention_rate), 1e12, 0},
    {"memory_gb_per_s", RATE, offsetof(struct reel_device_rates, memory_rate), 1e9, 0},
    {"near_gb_per_s", RATE, offsetof(struct reel_device_rates, near_rate), 1e9, 0},
    {"far_gb_per_s", RATE, offsetof(struct reel_device_rates, far_rate), 1e9, 0},
    {"libraries", SIZE, offsetof(struct reel_device_rates, libraries_bytes), 1, 0},
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

enum reel_status reel_size_read(const char *what, const char *text, int64_t *bytes)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},         {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                 {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    double value = strtod(text, &end);
    for (size_t u = 0; end != text && u < sizeof units / sizeof units[0]; u++)
        if (strcmp(end, units[u].unit) == 0 && value * units[u].bytes >= 1 && value * units[u].bytes < 1e18) {
            *bytes = (int64_t)(value * units[u].bytes);
            return REEL_OK;
        }
    return reel_fail(REEL_BAD_JOB, "%s is %.64s, expected a size such as 80GiB or 24GB", what, text);
}

/* Reads one value of a device. place begins the messages. */
static enum reel_status read_field(const struct field *field, const char *place, const char *text,
                                   struct reel_device_rates *device)
{
    char what[PLACE_BYTES + 64], *end;
    void *at = (char *)device + field->offset;
    double number;
    snprintf(what, sizeof what, "%s: %s", place, field->name);
    switch (field->kind) {
    case SIZE:
        return reel_size_read(what, text, at);
    case RATE:
        number = strtod(text, &end);
        REEL_NEED(end != text && !*end && number >= 1e-6 && number < 1e9, REEL_BAD_JOB,
                  "%s is %.64s, expected a number from 1e-6 to 1e9", what, text);
        *(double *)at = number * field->unit;
        return REEL_OK;
    case COMPUTE:
        REEL_NEED(strcmp(text, "fp32") == 0 || strcmp(text, "bf16") == 0, REEL_BAD_JOB,
                  "%s is %.64s, expected fp32 or bf16", what, text);
        *(enum reel_dtype *)at = text[0] == 'f' ? REEL_F32 : REEL_BF16;
    }
    return REEL_OK;
}

/* Reads the mapping below a device's name. */
static enum reel_status read_device(const char *path, const struct reel_yaml_entry *entry,
                                    struct reel_device_rates *device)
{
    char place[PLACE_BYTES];
    struct reel_yaml_entry line;
    int seen[FIELDS] = {0};
    *device = (struct reel_device_rates){.memory_bytes = 0};
    snprintf(device->name, sizeof device->name, "%s", entry->name);
    for (void *at = NULL; reel_yaml_next(entry->node, &at, &line);) {
        struct reel_value value;
        int f = 0;
        snprintf(place, sizeof place, "%.256s:%lld", path, (long long)line.line);
        while (f < FIELDS && strcmp(fields[f].name, line.name) != 0)
            f++;
        REEL_NEED(f < FIELDS, REEL_BAD_JOB, "%s: %s is not a field of a device, see configs/devices.yaml",
                  place, line.name);
        reel_yaml_value(line.node, &value);
        REEL_NEED(value.kind == REEL_VALUE_PLAIN || value.kind == REEL_VALUE_QUOTED, REEL_BAD_JOB,
                  "%s: %s is %s, expected a value", place, line.name, value.text);
        REEL_NEED(!seen[f], REEL_BAD_JOB, "%s: %s is set a second time, expected once", place, line.name);
        REEL_PASS(read_field(&fields[f], place, value.text, device));
        seen[f] = 1;
    }
    for (int f = 0; f < FIELDS; f++)
        REEL_NEED(seen[f] || fields[f].optional, REEL_BAD_JOB, "%s:%lld: %s has no %s, expected one", path,
                  (long long)entry->line, entry->name, fields[f].name);
    return REEL_OK;
}

/* Names are printed on the terminal and in JSON. */
static int is_plain(const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < bytes; i++)
        if (name[i] < ' ' || name[i] > '~')
            return 0;
    return bytes > 0 && bytes < REEL_DEVICE_RATES_NAME_BYTES;
}

/* Reads the device with that name. Collects all names for the message when there is none. */
static enum reel_status find_device(const char *path, const struct reel_yaml *yaml, const char *name,
                                    struct reel_device_rates *device)
{
    char names[NAMES_BYTES] = "";
    struct reel_yaml_entry entry;
    int found = 0;
    for (void *at = NULL; reel_yaml_next(reel_yaml_root(yaml), &at, &entry);) {
        size_t used = strlen(names);
        REEL_NEED(is_plain(entry.name), REEL_BAD_JOB,
                  "%s:%lld: a device is named %.64s, expected at most %d printable ASCII characters", path,
                  (long long)entry.line, entry.name, REEL_DEVICE_RATES_NAME_BYTES - 1);
        if (strcmp(entry.name, name) == 0) {
            REEL_NEED(!found, REEL_BAD_JOB, "%s:%lld: %s begins a second time, expected once", path,
                      (long long)entry.line, name);
            REEL_PASS(read_device(path, &entry, device));
            found = 1;
        }
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", entry.name);
    }
    if (found)
        return REEL_OK;
    REEL_NEED(names[0], REEL_BAD_JOB, "%s: names no device, expected a table like configs/devices.yaml",
              path);
    return reel_fail(REEL_BAD_JOB, "--device is %.64s, expected one of %s (%s)", name, names, path);
}

/* The table that belongs to the program: where cmake --install puts it, or in the source tree of a build. */
static enum reel_status usual_path(char path[PATH_BYTES])
{
    static const char *const tables[] = {"/../share/reel/configs/devices.yaml", "/../configs/devices.yaml"};
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_BYTES - strlen(tables[0]) - 1);
    char *slash = bytes > 0 ? memrchr(path, '/', (size_t)bytes) : NULL;
    REEL_NEED(slash, REEL_BAD_INPUT,
              "the program's folder cannot be found, expected the table of devices: see --devices");
    strcpy(slash, tables[0]);
    if (access(path, F_OK) != 0)
        strcpy(slash, tables[1]);
    return REEL_OK;
}

static enum reel_status read_table(const char *path, char *text, int64_t *bytes)
{
    FILE *file = fopen(path, "rb");
    REEL_NEED(file, REEL_BAD_INPUT, "%s: the table of devices cannot be opened: %s; see --devices", path,
              strerror(errno));
    *bytes = (int64_t)fread(text, 1, TABLE_BYTES, file);
    int trouble = ferror(file) ? errno : 0, larger = fgetc(file) != EOF;
    fclose(file);
    REEL_NEED(!trouble, REEL_BAD_INPUT, "%s: the table of devices cannot be read: %s", path,
              strerror(trouble));
    REEL_NEED(!larger, REEL_BAD_JOB, "%s: is larger than %d bytes, expected a table of devices", path,
              TABLE_BYTES);
    return REEL_OK;
}

enum reel_status reel_device_rates_read(const char *path, const char *name, struct reel_device_rates *device)
{
    char usual[PATH_BYTES], *text = malloc(TABLE_BYTES);
    struct reel_yaml yaml = {0};
    int64_t bytes = 0;
    REEL_NEED(text, REEL_NO_MEMORY, "no memory for the table of devices");
    enum reel_status status = path[0] ? REEL_OK : usual_path(usual);
    path = path[0] ? path : usual;
    if (status == REEL_OK)
        status = read_table(path, text, &bytes);
    if (status == REEL_OK)
        status = reel_yaml_open(text, bytes, path, 1, &yaml);
    if (status == REEL_OK)
        status = find_device(path, &yaml, name, device);
    reel_yaml_close(&yaml);
    free(text);
    return status;
}
