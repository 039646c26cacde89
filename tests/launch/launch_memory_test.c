/* A rank's process holds no more memory than planned, including the estimate for libraries. The model has the
 * size of the 1.3B model, over two latent frames; most of the memory is weights, as in a long run. */
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char job[] = "model: {path: 'synthetic:skyreels-v2-df-1.3b'}\n"
                          "video: {width: 416, height: 240, frames: 5}\n"
                          "sampler: {steps: 1}\n"
                          "output: {latents: out.h5, log: out.jsonl}\n";

/* The sum over the categories in an object of a memory event. */
static double total(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(json_object_get(event, key), "total"));
}

static void mesh_holds_what_it_planned(const char *mesh)
{
    char command[256], path[256], line[16384];
    int ranks = 0;
    snprintf(command, sizeof command, "run job.yaml --fresh %s", mesh);
    snprintf(path, sizeof path, "%s/out.jsonl", test_folder());
    remove(path);
    CHECK(program_run(2, "", command) == 0, "%s: %s", mesh, program_said);
    FILE *log = fopen(path, "r");
    CHECK(log, "%s: no log", mesh);
    while (log && fgets(line, sizeof line, log)) {
        json_t *event = json_loads(line, 0, NULL);
        if (strcmp(json_string_value(json_object_get(event, "event")), "memory") == 0) {
            double process = json_number_value(json_object_get(event, "process_peak"));
            double libraries =
                json_number_value(json_object_get(json_object_get(event, "plan"), "libraries"));
            double planned = total(event, "plan");
            CHECK(fabs(planned - process) <= 0.05 * process, "%s: %.3f GB planned, the process held %.3f",
                  mesh, planned * 1e-9, process * 1e-9);
            CHECK(process <= planned, "%s: libraries took more than the %.3f GB planned for them", mesh,
                  libraries * 1e-9);
            ranks++;
        }
        json_decref(event);
    }
    CHECK(ranks == 2, "%s: %d ranks reported", mesh, ranks);
    if (log)
        fclose(log);
}

static void a_process_holds_what_was_planned(void)
{
    program_file("job.yaml", job);
    mesh_holds_what_it_planned("--set partition.cfg=2");
    mesh_holds_what_it_planned("--set partition.ulysses=2 --set partition.weights=gathered");
    mesh_holds_what_it_planned("--set partition.ring=2");
    mesh_holds_what_it_planned("--set partition.tensor=2");
}

int main(void)
{
    RUN(a_process_holds_what_was_planned);
    return test_end();
}
