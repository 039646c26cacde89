/* Starting over, damaged checkpoints, and complete jobs. Runs on two ranks. */
#include "jobs.h"

#include "checkpoint_directory.h"
#include "output_read.h"
#include "checkpoint_checksums.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void starting_over_keeps_the_old_until_the_new_is_there(void)
{
    static const char *const words[] = {"sampler.seed"};
    int64_t count, before, after;
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    job_must("grow.yaml", "", 3);
    before = job_newest("grow.h5.checkpoint", &count);
    struct partial_end end = job_must("grow.yaml", "--fresh --stop sampler.seed=7", -1);
    CHECK(end.iterations == 0 && job_newest("grow.h5.checkpoint", &count) == before && count == 2,
          "%lld checkpoints after a fresh start", (long long)count);
    end = job_must("grow.yaml", "", 1);
    CHECK(end.from_row == 3, "the old job goes on from iteration %lld", (long long)end.from_row);
    before = job_newest("grow.h5.checkpoint", &count);
    end = job_must("grow.yaml", "--fresh sampler.seed=7", 1);
    after = job_newest("grow.h5.checkpoint", &count);
    CHECK(after == before + 1 && count == 1, "generation %lld after %lld, %lld kept", (long long)after,
          (long long)before, (long long)count);
    job_refused("grow.yaml", "", words, 1);
    struct partial_end one = job_must("grow.yaml", "sampler.seed=7 checkpoint.directory=off", -1);
    end = job_must("grow.yaml", "sampler.seed=7", -1);
    job_same(&end, &one, "started over");
    partial_free(&one);
}

/* Shell commands that damage a checkpoint. */
static const char *const damages[] = {"truncate -s 0 %s",
                                      "truncate -s -1 %s",
                                      "rm %s && ln -s nowhere %s",
                                      "rm %s && mkdir %s",
                                      "cp /bin/true %s",
                                      "rm %s && mkfifo %s",
                                      "printf garbage | dd of=%s bs=1 seek=9000 conv=notrunc 2>/dev/null",
                                      "chmod 0 %s"};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

static void damage(int kind, const char *path)
{
    char command[2048];
    const char *again = strstr(strstr(damages[kind], "%s") + 1, "%s");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    snprintf(command, sizeof command, damages[kind], path, again ? path : "");
#pragma GCC diagnostic pop
    job_shell("%s", command);
}

static void a_damaged_checkpoint_is_passed_over(void)
{
    int64_t count, last;
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint kept");
    struct partial_end one = job_must("grow.yaml", "checkpoint.directory=off", -1), end;
    job_must("grow.yaml", "checkpoint.keep=3", 6);
    last = job_newest("grow.h5.checkpoint", &count);
    CHECK(count == 3, "%lld are kept", (long long)count);
    job_shell("cp -r grow.h5.checkpoint kept");
    for (int kind = 0; kind < DAMAGES - (geteuid() == 0); kind++) {
        job_shell("rm -rf grow.h5 grow.h5.checkpoint && cp -r kept grow.h5.checkpoint");
        damage(kind, job_checkpoint("grow.h5.checkpoint", last));
        end = job_must("grow.yaml", "", 1);
        CHECK(job_says(&end, job_checkpoint("grow.h5.checkpoint", last)) && job_says(&end, "warning: ") &&
                  job_says(&end, "the checkpoint before it is tried") &&
                  job_says(&end, job_checkpoint("grow.h5.checkpoint", last - 1)),
              "damage %d: %s", kind, end.notes);
        CHECK(job_newest("grow.h5.checkpoint", &count) == last + 1 && count == 2, "damage %d: %lld are kept",
              kind, (long long)count);
        CHECK(access(job_checkpoint("grow.h5.checkpoint", last), F_OK) != 0,
              "damage %d: the damaged one is kept instead of a whole one", kind);
        CHECK(access(job_checkpoint("grow.h5.checkpoint", last - 1), F_OK) == 0,
              "damage %d: the whole one is gone", kind);
        end = job_must("grow.yaml", "", -1);
        job_same(&end, &one, damages[kind]);
    }
    partial_free(&one);
}

static void without_a_whole_checkpoint_nothing_is_thrown_away(void)
{
    static const char *const words[] = {"none of its 2 checkpoints is whole", "--fresh"};
    int64_t count, last;
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    job_must("grow.yaml", "", 3);
    last = job_newest("grow.h5.checkpoint", &count);
    job_flip(job_checkpoint("grow.h5.checkpoint", last), 5000);
    job_flip(job_checkpoint("grow.h5.checkpoint", last - 1), 5000);
    job_refused("grow.yaml", "", words, 2);
    CHECK(job_newest("grow.h5.checkpoint", &count) == last && count == 2, "%lld are left", (long long)count);
    job_flip(job_checkpoint("grow.h5.checkpoint", last - 1), 5000);
    struct partial_end end = job_must("grow.yaml", "", 1);
    CHECK(end.from_row == 2, "what was mended goes on from iteration %lld", (long long)end.from_row);
}

/* An undamaged checkpoint of a future format is refused, not passed over as damaged. */
static void another_format_is_refused(void)
{
    static const char *const words[] = {"format 2"};
    int64_t count, last;
    struct reel_checksums checksums;
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    job_must("grow.yaml", "", 3);
    last = job_newest("grow.h5.checkpoint", &count);
    if (job_rank == 0) {
        int file = open(job_checkpoint("grow.h5.checkpoint", last), O_RDWR);
        CHECK(pread(file, &checksums, sizeof checksums, 0) == sizeof checksums, "no seal");
        checksums.format = 2;
        checksums.own = reel_checksums_hash(&checksums);
        CHECK(pwrite(file, &checksums, sizeof checksums, 0) == sizeof checksums, "no seal");
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    job_refused("grow.yaml", "", words, 1);
}

static int output_is(const char *name, const struct partial_end *one)
{
    struct reel_output_file output;
    int is = reel_output_open(job_path(name), &output) == REEL_OK && output.complete &&
             output.shape[0] * output.shape[1] * output.shape[2] * output.shape[3] == one->count &&
             memcmp(output.latents, one->latents, (size_t)one->count * sizeof *one->latents) == 0;
    reel_output_close(&output);
    reel_error_clear();
    MPI_Barrier(MPI_COMM_WORLD);
    return is;
}

static void a_complete_job_is_told_so_at_once(void)
{
    static const char *const seed[] = {"sampler.seed"};
    char settings[1024];
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    struct partial_end one = job_must("grow.yaml", "", -1), end;
    end = job_must("grow.yaml", "", -1);
    CHECK(end.nothing_to_do && !end.loaded, "there is something to do");
    end = job_must("grow.yaml", "partition.cfg=1 partition.ring=2", -1);
    CHECK(end.nothing_to_do && !end.loaded, "there is something to do on another mesh");
    job_refused("grow.yaml", "sampler.seed=1", seed, 1);
    job_shell("rm grow.h5");
    end = job_must("grow.yaml", "", -1);
    CHECK(!end.nothing_to_do && !end.loaded && end.iterations == 0 && output_is("grow.h5", &one),
          "the output is not written again");
    partial_free(&end);
    snprintf(settings, sizeof settings, "output.latents=%s checkpoint.directory=%s", job_path("elsewhere.h5"),
             job_path("grow.h5.checkpoint"));
    end = job_must("grow.yaml", settings, -1);
    CHECK(!end.loaded && output_is("elsewhere.h5", &one), "the output is not written elsewhere");
    partial_free(&end);
    partial_free(&one);
}

/* The output's path has another video of the same size. */
static void the_output_of_another_job_is_not_taken_for_ours(void)
{
    char settings[1024];
    job_write("grow.yaml", job_growing);
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    struct partial_end one = job_must("grow.yaml", "", -1);
    snprintf(settings, sizeof settings, "checkpoint.directory=off output.latents=%s sampler.seed=9",
             job_path("other.h5"));
    struct partial_end other = job_must("grow.yaml", settings, -1), end;
    job_shell("cp other.h5 grow.h5");
    end = job_must("grow.yaml", "", -1);
    CHECK(!end.nothing_to_do && !end.loaded && output_is("grow.h5", &one), "it is taken for ours");
    partial_free(&end);
    job_shell("cp other.h5 grow.h5");
    end = job_must("grow.yaml", "video.frames=41", -1);
    CHECK(end.status == REEL_OK && end.complete, "%s", end.cause);
    partial_free(&end);
    partial_free(&other);
    partial_free(&one);
}

static void a_complete_job_of_other_inputs_is_refused(void)
{
    static const char *const prompt[] = {"chunk 0 prompt "};
    job_begin_files("complete");
    struct partial_end end = job_must("complete/job.yaml", "", -1);
    partial_free(&end);
    end = job_must("complete/job.yaml", "", -1);
    CHECK(end.nothing_to_do, "there is something to do");
    job_change("complete/inputs.safetensors", "prompt_embeds");
    job_refused("complete/job.yaml", "", prompt, 1);
}

int main(int argc, char **argv)
{
    int level;
    setenv("OMPI_MCA_io", "romio321", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &job_rank);
    test_folder(); /* collective on its first call */
    RUN(starting_over_keeps_the_old_until_the_new_is_there);
    RUN(a_damaged_checkpoint_is_passed_over);
    RUN(without_a_whole_checkpoint_nothing_is_thrown_away);
    RUN(another_format_is_refused);
    RUN(a_complete_job_is_told_so_at_once);
    RUN(the_output_of_another_job_is_not_taken_for_ours);
    RUN(a_complete_job_of_other_inputs_is_refused);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
