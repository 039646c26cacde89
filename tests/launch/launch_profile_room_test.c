/* A profile without enough room, memory or a place to be written is lost or incomplete, with a message; the
 * run is not affected. */
#include "job_file.h"
#include "sampler.h"
#include "test.h"
#include "trace.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 64, height: 48, frames: 9}\n"
                          "sampler: {steps: 3}\n"
                          "checkpoint: {directory: off}\n"
                          "output: {latents: out.h5}\n";

static struct reel_comm comm;
static char notes[4096];

static void see(void *context, const struct reel_event *event)
{
    (void)context;
    if (event->kind == REEL_EVENT_NOTE)
        snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s\n", event->text);
}

static const char *own(const char *name)
{
    static char paths[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", test_folder(), name);
    return paths[turn];
}

static int says(const char *words)
{
    return comm.world.rank != 0 || strstr(notes, words) != NULL;
}

/* Collective. Runs the job to its end with this profile. */
static void run(const char *profile, int64_t spans)
{
    static struct reel_job loaded;
    struct reel_observer observer = {.see = see};
    struct reel_start start = {.job_text = "", .profile = profile, .profile_spans = spans};
    struct reel_engine engine;
    struct reel_sampler sampler;
    notes[0] = '\0';
    CHECK(reel_agree(&comm, reel_job_load(own("job.yaml"), NULL, 0, &loaded)) == REEL_OK, "%s",
          reel_error_here()->cause);
    reel_engine_open(&engine, &comm, &reel_device_cpu);
    enum reel_status status = reel_sampler_open(&sampler, &engine, &loaded, &start, &observer);
    if (status == REEL_OK) {
        status = reel_sample_run(&sampler);
        const struct reel_run *made = &sampler.run;
        CHECK(made->position.done == made->timeline.iterations && made->position.finished_frames > 0,
              "the run is not complete");
        reel_sampler_close(&sampler);
    }
    reel_engine_close(&engine);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_trace_begin(&(struct reel_trace_what){.name = "late"}) == -1, "it still records");
    reel_error_clear();
    MPI_Barrier(MPI_COMM_WORLD);
}

static void spans_without_room_are_said(void)
{
    const char *path = own("little.json");
    run(path, 50);
    CHECK(says("the profile of chunk 0, iteration 1; ") && says(" spans found no room and are missing"), "%s",
          notes);
    json_t *root = json_load_file(path, 0, NULL), *rank;
    json_t *ranks = json_object_get(json_object_get(root, "otherData"), "ranks");
    size_t i;
    int64_t lost = 0;
    CHECK(json_array_size(ranks) == (size_t)comm.world.size, "%s has %zu ranks", path,
          json_array_size(ranks));
    json_array_foreach(ranks, i, rank)
    {
        int64_t of_rank = json_integer_value(json_object_get(rank, "lost_spans"));
        /* spans that had not ended when the room was used up are not drawn either */
        CHECK(of_rank > 0 && json_integer_value(json_object_get(rank, "spans")) <= 50, "rank %zu", i);
        lost += of_rank;
    }
    char words[64];
    snprintf(words, sizeof words, "; %lld spans found", (long long)lost);
    CHECK(says(words), "%s, and the file says %lld", notes, (long long)lost);
    json_decref(root);
    run(path, 0);
    CHECK(says("iteration 1\n") && (comm.world.rank != 0 || !strstr(notes, "no room")), "%s", notes);
}

static void a_profile_without_memory_is_a_warning(void)
{
    const char *path = own("large.json");
    run(path, INT64_MAX / 4);
    CHECK(says("there is no profile: no memory for a profile of"), "%s", notes);
    CHECK(access(path, F_OK) != 0, "%s is there", path);
}

static void a_profile_that_cannot_be_written_is_a_warning(void)
{
    const char *path = own("absent/p.json"), *folder = own("folder.json");
    run(path, 0);
    CHECK(says("there is no profile: it could not be written: No such file or directory"), "%s", notes);
    if (comm.world.rank == 0)
        CHECK(mkdir(folder, 0777) == 0, "%s", folder);
    run(folder, 0);
    CHECK(says("there is no profile: it could not be written: Is a directory"), "%s", notes);
    if (comm.world.rank == 0)
        CHECK(rmdir(folder) == 0, "%s is not empty", folder);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    FILE *file = comm.world.rank == 0 ? fopen(own("job.yaml"), "w") : NULL;
    if (file) {
        fputs(job, file);
        fclose(file);
    }
    test_folder();
    MPI_Barrier(MPI_COMM_WORLD);
    RUN(spans_without_room_are_said);
    RUN(a_profile_without_memory_is_a_warning);
    RUN(a_profile_that_cannot_be_written_is_a_warning);
    reel_comm_close(&comm);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
