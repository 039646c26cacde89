/* A failure planted at any site on one rank ends all three ranks with the same code and one message, and
 * leaves no partial file. */
#include "fault.h"
#include "program.h"
#include "test.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#define SAVING "--set checkpoint.every_iterations=1 --set checkpoint.on_error=stop"

/* For each site: a rank that reaches it, the exit code of the program, and a mesh that has the site; by
 * default ulysses 3. */
static const struct {
    int rank, code;
    const char *mesh;
} sites[REEL_FAULT_SITES] = {
    [REEL_FAULT_JOB_READ] = {0, 2},
    [REEL_FAULT_THREADS] = {1, 12},
    [REEL_FAULT_LOG_OPEN] = {0, 5},
    [REEL_FAULT_OUTPUT_CHECK] = {0, 5},
    [REEL_FAULT_MODEL_OPEN] = {2, 4},
    [REEL_FAULT_INPUT_READ] = {1, 4},
    [REEL_FAULT_INPUT_MEMORY] = {2, 10},
    [REEL_FAULT_CHUNKS] = {1, 10},
    [REEL_FAULT_PLAN] = {2, 3},
    [REEL_FAULT_ARENA] = {1, 10},
    [REEL_FAULT_WEIGHTS_READ] = {2, 4},
    [REEL_FAULT_CHUNK_MEMORY] = {1, 10},
    [REEL_FAULT_COPY] = {1, 11},
    [REEL_FAULT_GEMM] = {2, 11},
    [REEL_FAULT_ATTENTION] = {1, 11},
    [REEL_FAULT_EXCHANGE] = {0, 12},
    [REEL_FAULT_GATHER] = {2, 12},
    [REEL_FAULT_LINEAR] = {2, 12, "--set partition.tensor=3"},
    [REEL_FAULT_RING] = {1, 12, "--set partition.ring=3"},
    [REEL_FAULT_BLOCK] = {0, 12, "--set partition.ulysses=3 --set partition.weights=gathered"},
    [REEL_FAULT_DECISIONS] = {0, 10, "--set teacache.mode=e --set teacache.coefficients=[1,0]"},
    [REEL_FAULT_DISTANCE] =
        {1, 70, "--set teacache.mode=e --set teacache.coefficients=[1,0] --set teacache.embedding=expanded"},
    [REEL_FAULT_VELOCITY] = {1, 70},
    [REEL_FAULT_OUTPUT_BUILD] = {0, 70},
    [REEL_FAULT_OUTPUT_WRITE] = {0, 5},
    [REEL_FAULT_OUTPUT_RENAME] = {0, 5},
    [REEL_FAULT_WEIGHTS_HASH] = {1, 4},
    [REEL_FAULT_CHECKPOINT_LOCK] = {0, 5},
    [REEL_FAULT_CHECKPOINT_HASH] = {1, 10, SAVING},
    [REEL_FAULT_CHECKPOINT_SKELETON] = {0, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_RESERVE] = {0, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_OPEN] = {2, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_WRITE] = {1, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_CLOSE] = {2, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_SYNC] = {1, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_RENAME] = {0, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_RENAMED] = {0, 5, SAVING},
    [REEL_FAULT_CHECKPOINT_READ] = {1, 4, SAVING},
    [REEL_FAULT_REPORT] = {1, 10},
};

static void write_job(void)
{
    char yaml[2048], inputs[512];
    snprintf(inputs, sizeof inputs, "%s/tiny-df/prefix-addnoise.inputs.safetensors", test_reference());
    snprintf(yaml, sizeof yaml,
             "model: {path: %s/tiny-df/native}\n"
             "video: {width: 64, height: 48, frames: 17}\n"
             "prompt: {embeds: %s}\n"
             "sampler: {steps: 5, noise: %s}\n"
             "diffusion_forcing: {prefix_latents: %s, addnoise_condition: 20}\n"
             "output: {latents: out.h5, log: out.jsonl}\n",
             test_reference(), inputs, inputs, inputs);
    program_file("job.yaml", yaml);
}

/* Counts the temporary files in the test's folder. */
static int left_aside(void)
{
    char command[256];
    int count = -1;
    snprintf(command, sizeof command, "find %s -name '*.tmp' | wc -l", test_folder());
    FILE *listing = popen(command, "r");
    if (fscanf(listing, "%d", &count) != 1)
        count = -1;
    pclose(listing);
    return count;
}

/* Whether the output is absent or a complete HDF5 file; removes it. */
static int output_is_whole(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/out.h5", test_folder());
    FILE *there = fopen(path, "r");
    if (!there)
        return 1;
    fclose(there);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    int whole = file >= 0 && H5Aexists(file, "complete") > 0;
    if (file >= 0)
        H5Fclose(file);
    remove(path);
    return whole;
}

static void remove_checkpoints(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s/out.h5.checkpoint", test_folder());
    CHECK(system(command) == 0, "%s", command);
}

static void every_site_ends_all_ranks_with_one_message(void)
{
    for (int site = 0; site < REEL_FAULT_SITES; site++) {
        const char *name = reel_fault_name((enum reel_fault_site)site);
        const char *mesh = sites[site].mesh ? sites[site].mesh : "--set partition.ulysses=3";
        char fault[64], command[256];
        snprintf(fault, sizeof fault, "REEL_FAULT=%s:%d", name, sites[site].rank);
        snprintf(command, sizeof command, "run job.yaml %s", mesh);
        if (site == REEL_FAULT_CHECKPOINT_READ) /* there must be a checkpoint to resume from */
            CHECK(program_run(3, "REEL_FAULT=velocity:0:4", command) == 70, "%s", program_said);
        int code = program_run(3, fault, command);
        CHECK(code == sites[site].code, "%s: exit %d, expected %d: %s", fault, code, sites[site].code,
              program_said);
        CHECK(program_said_times("reel: error: ") == 1, "%s: %s", fault, program_said);
        CHECK(output_is_whole() && left_aside() == 0, "%s tears the output or leaves something aside", fault);
        remove_checkpoints();
    }
}

static void a_failure_in_a_later_iteration_is_named_with_it(void)
{
    CHECK(program_run(3, "REEL_FAULT=velocity:2:4", "run job.yaml") == 70, "%s", program_said);
    CHECK(program_said_times("the velocity is not finite in chunk 0, iteration 3, latent frame 0") == 1, "%s",
          program_said);
}

static void without_a_fault_the_same_job_runs(void)
{
    CHECK(program_run(3, "", "run job.yaml") == 0, "%s", program_said);
    CHECK(program_run(3, "REEL_FAULT=gemm:7", "run job.yaml --fresh") == 0, "rank 7 is not there: %s",
          program_said);
}

int main(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    write_job();
    RUN(every_site_ends_all_ranks_with_one_message);
    RUN(a_failure_in_a_later_iteration_is_named_with_it);
    RUN(without_a_fault_the_same_job_runs);
    return test_end();
}
