/* Opening a job: reading and checking what it names, then planning, allocating and loading. */
#include "sampler.h"

#include "fault.h"
#include "fingerprint.h"
#include "preempt_signal.h"
#include "heartbeat.h"
#include "trace.h"

#include <omp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

double reel_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void reel_sampler_tell(const struct reel_sampler *s, const struct reel_event *event)
{
    if (s->observer.see && s->comm->world.rank == 0)
        s->observer.see(s->observer.context, event);
}

enum reel_status reel_sampler_agree(struct reel_sampler *s, enum reel_status status)
{
    reel_finish(&s->stream);
    return reel_agree(s->comm, status == REEL_OK ? s->stream.status : status);
}

void reel_sampler_note(const struct reel_sampler *s, const char *format, ...)
{
    char text[REEL_CAUSE_BYTES + REEL_CHECKPOINT_PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = text});
}

/* Checks that all ranks see the same model. Ranks that see different files, such as copies on their own
 * disks, would disagree in the first exchange. Collective over world. */
static enum reel_status check_same_model(struct reel_sampler *s)
{
    struct reel_model first = s->model_files.model;
    enum reel_status status = REEL_OK;
    REEL_PASS(reel_broadcast(s->comm, &first, (int64_t)sizeof first));
    if (memcmp(&first, &s->model_files.model, sizeof first) != 0)
        status = reel_fail(REEL_BAD_INPUT,
                           "%s: rank %lld sees a different model there than rank 0, expected the same files",
                           s->job->model.path, (long long)s->comm->world.rank);
    return reel_agree(s->comm, status);
}

/* REEL_BAD_JOB if the output is a file that the model is read from. Not collective; on rank 0. */
static enum reel_status check_output(const struct reel_sampler *s)
{
    struct stat output, weights;
    for (int64_t f = 0; stat(s->job->output.latents, &output) == 0 && f < s->model_files.count; f++)
        REEL_NEED(stat(reel_safetensors_path(s->model_files.files[f]), &weights) != 0 ||
                      weights.st_dev != output.st_dev || weights.st_ino != output.st_ino,
                  REEL_BAD_JOB, "output.latents is %s, a file of model.path, expected another path",
                  s->job->output.latents);
    return REEL_OK;
}

/* Gathers where every rank computes; rank 0 logs it. Collective over world. */
static enum reel_status log_devices(struct reel_sampler *s)
{
    enum { BYTES = REEL_DEVICE_TEXT_BYTES };
    int64_t ranks = s->comm->world.size;
    char *all = s->comm->world.rank == 0 ? malloc((size_t)ranks * BYTES) : NULL;
    enum reel_status status = REEL_OK;
    if (s->comm->world.rank == 0 && !all)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the devices of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(s->comm, status));
    int failed = MPI_Gather(s->device.text, BYTES, MPI_BYTE, all, BYTES, MPI_BYTE, 0, s->comm->world.mpi);
    for (int64_t rank = 0; all && failed == MPI_SUCCESS && rank < ranks; rank++)
        reel_sampler_tell(
            s, &(struct reel_event){.kind = REEL_EVENT_DEVICE, .rank = rank, .text = all + rank * BYTES});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the names of the ranks' devices did not reach rank 0");
    return REEL_OK;
}

/* Chooses and logs where the ranks compute, unless there is nothing to do. Collective over world. */
static enum reel_status choose_device(struct reel_sampler *s)
{
    if (!s->device_from_job)
        return REEL_OK;
    s->device.dtype = reel_compute_dtype(s->job->model.compute, s->device.dtype);
    s->device.matrix_dtype = reel_compute_matrix_dtype(s->job->model.compute, s->device.dtype);
    if (s->nothing_to_do)
        return REEL_OK;
    REEL_PASS(reel_device_choose(s->comm, s->job, &s->device));
    s->ops = s->device.ops;
    REEL_PASS(log_devices(s));
    if (s->device.without >= 0)
        reel_sampler_note(
            s,
            "warning: device is auto and rank %lld finds no GPU of compute capability 8.0 or newer, "
            "though others do: every rank computes on the CPU",
            (long long)s->device.without);
    return REEL_OK;
}

/* Chooses the dtype of weights and activations where the job leaves it open: the checkpoint's, if the run
 * resumes from one, because that keeps its bits. Collective over world. */
static enum reel_status choose_dtype(struct reel_sampler *s)
{
    char saved[REEL_LINE_BYTES];
    if (s->job->model.compute == REEL_COMPUTE_AUTO && s->resume.found && s->comm->world.rank == 0 &&
        reel_fingerprint_value(s->resume.saved.fingerprint, "model.compute", saved)) {
        s->device.dtype = strcmp(saved, "fp32") == 0 ? REEL_F32 : REEL_BF16;
        s->device.matrix_dtype = strcmp(saved, "fp8") == 0 ? REEL_F8_E4M3 : s->device.dtype;
    }
    REEL_PASS(reel_broadcast(s->comm, &s->device.dtype, (int64_t)sizeof s->device.dtype));
    REEL_PASS(reel_broadcast(s->comm, &s->device.matrix_dtype, (int64_t)sizeof s->device.matrix_dtype));
    if (s->device_from_job && !s->nothing_to_do && s->device.dtype == REEL_BF16 && s->ops->widens &&
        s->ops->widens())
        reel_sampler_note(
            s,
            "bf16 is converted to float as it is packed and multiplied as float, because the CPU has no "
            "bf16 instructions (%s); sums and the residual stream are float",
            s->ops->arithmetic());
    if (s->device.matrix_dtype != REEL_F8_E4M3)
        return REEL_OK;
    enum reel_status status = REEL_OK;
    if (s->device.lacks_fp8)
        status = reel_fail(REEL_BAD_DEVICE,
                           "the checkpoint is of an fp8 job and the GPU of rank %lld is older than compute "
                           "capability 8.9, expected a newer one, or device cpu",
                           (long long)s->comm->world.rank);
    return reel_agree(s->comm, status == REEL_OK ? reel_model_keep_fp8(&s->model_files) : status);
}

/* Does everything before the plan: files, chunks, matrices. Collective over world. */
static enum reel_status prepare_job(struct reel_sampler *s, int fresh)
{
    struct reel_comm *comm = s->comm;
    const struct reel_job *job = s->job;
    enum reel_status status = REEL_OK;
    if (comm->world.rank == 0 && job->output.latents[0])
        status = reel_output_check(job->output.latents);
    if (status == REEL_OK)
        status = reel_model_open(job->model.path, &s->model_files);
    if (status == REEL_OK && reel_fault(REEL_FAULT_MODEL_OPEN))
        status = reel_fail(REEL_BAD_INPUT, "planted: the model cannot be opened");
    if (status == REEL_OK && comm->world.rank == 0)
        status = check_output(s);
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(check_same_model(s));
    REEL_PASS(reel_resume_find(s, fresh));
    REEL_PASS(choose_device(s));
    REEL_PASS(choose_dtype(s));
    REEL_PASS(reel_inputs_open(comm, job, &s->model_files.model, &s->inputs));
    struct reel_begun begun = {.chunks = s->resume.saved.chunks, .count = s->resume.saved.metadata.begun};
    status = reel_timeline_make(job, s->inputs.prefix_frames, s->inputs.end_frames, begun, &s->timeline);
    if (status == REEL_OK &&
        !(s->savings = calloc((size_t)(2 * s->timeline.chunk_count), sizeof *s->savings)))
        status = reel_fail(REEL_NO_MEMORY, "no memory for the TeaCache savings of %lld chunks",
                           (long long)s->timeline.chunk_count);
    if (status == REEL_OK && reel_fault(REEL_FAULT_CHUNKS))
        status = reel_fail(REEL_NO_MEMORY, "planted: no memory for chunks");
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_inputs_chunks(comm, job, &s->model_files.model, s->timeline.chunks, s->timeline.matrices,
                                 s->timeline.chunk_count, &s->inputs));
    if (comm->world.rank == 0) /* it may read a file, which only rank 0 needs to have */
        status = reel_teacache_rule_of(job, &s->model_files.model, &s->teacache);
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_broadcast(comm, &s->teacache, (int64_t)sizeof s->teacache));
    return reel_resume_compare(s);
}

/* Describes the machine, the same on every rank: the min over all hosts of their ranks, and the min over all
 * ranks of the memory that a rank may take. Collective over world. */
static enum reel_status describe_machine(struct reel_sampler *s, struct reel_machine *machine)
{
    int64_t ranks = s->comm->host.size, min[2];
    int64_t room = s->device.room_bytes > 0 ? s->device.room_bytes : reel_memory_available() / ranks;
    const int64_t mine[2] = {ranks, room + 1}; /* never 0: that means unknown */
    REEL_NEED(MPI_Allreduce(mine, min, 2, MPI_INT64_T, MPI_MIN, s->comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not compare their memory");
    *machine = (struct reel_machine){.device = s->device.room_bytes > 0 ? reel_device_rates_gpu
                                                                        : reel_device_rates_core,
                                     .ranks_per_node = min[0],
                                     .room_bytes = min[1]};
    return REEL_OK;
}

static void fill_open_ways(int64_t *ways, int64_t saved)
{
    if (*ways == REEL_AUTO_WAYS)
        *ways = saved;
}

/* Chooses the mesh and makes the plan. Ways that the job leaves open are the checkpoint's, because that keeps
 * its bits, unless that plan no longer fits. */
static enum reel_status choose_plan(struct reel_sampler *s, const struct reel_workload *work,
                                    const struct reel_machine *machine, char why[REEL_WHY_BYTES])
{
    const struct reel_model *model = &s->model_files.model;
    const struct reel_checkpoint_metadata *saved = &s->resume.saved.metadata;
    struct reel_mesh mesh = reel_timeline_mesh(s->job), same = mesh;
    if (s->resume.found && saved->ranks == s->comm->world.size) {
        fill_open_ways(&same.cfg, saved->mesh.cfg);
        fill_open_ways(&same.ring, saved->mesh.ring);
        fill_open_ways(&same.ulysses, saved->mesh.ulysses);
        fill_open_ways(&same.tensor, saved->mesh.tensor);
        fill_open_ways(&same.gathered, saved->mesh.gathered);
        if (reel_plan_choose(model, work, &same, s->comm->world.size, machine, &s->plan, why) == REEL_OK)
            return REEL_OK;
        reel_error_clear();
    }
    return reel_plan_choose(model, work, &mesh, s->comm->world.size, machine, &s->plan, why);
}

/* Makes the plan on every rank and compares its bytes; then opens the axes, the arena and the stream.
 * Collective over world. */
static enum reel_status allocate_memory(struct reel_sampler *s)
{
    const struct reel_model *model = &s->model_files.model;
    struct reel_workload work = reel_timeline_workload(&s->timeline, s->job, model, omp_get_max_threads(),
                                                       s->device.dtype, s->device.matrix_dtype, s->ops);
    struct reel_machine machine;
    REEL_PASS(reel_agree(s->comm, reel_timeline_check(s->job, model, &work)));
    REEL_PASS(reel_agree(s->comm, describe_machine(s, &machine)));
    char why[REEL_WHY_BYTES] = "";
    enum reel_status status = choose_plan(s, &work, &machine, why);
    REEL_PASS(reel_agree(s->comm, status));
    struct reel_plan first = s->plan;
    REEL_PASS(reel_broadcast(s->comm, &first, (int64_t)sizeof first));
    if (memcmp(&first, &s->plan, sizeof first) != 0 || reel_fault(REEL_FAULT_PLAN))
        status = reel_fail(
            REEL_BAD_PLAN,
            "rank %lld makes a different plan than rank 0: the ranks see different files, or have different "
            "numbers of threads (OMP_NUM_THREADS)",
            (long long)s->comm->world.rank);
    REEL_PASS(reel_agree(s->comm, status));
    s->libraries_bytes = machine.device.libraries_bytes;
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_PLAN,
                                              .plan = &s->plan,
                                              .plan_hash = XXH3_64bits(&s->plan, sizeof s->plan),
                                              .text = why,
                                              .bytes = machine.room_bytes,
                                              .libraries_bytes = s->libraries_bytes,
                                              .threads = omp_get_max_threads(),
                                              .iterations = s->timeline.iterations,
                                              .chunks = s->timeline.chunk_count});
    const struct reel_transport transport = {
        .ops = s->ops, .over_nccl = s->device.over_nccl, .seconds = s->job->communication.timeout_s};
    REEL_PASS(reel_agree(s->comm, reel_comm_mesh(s->comm, &s->plan, &transport)));
    REEL_PASS(reel_agree(s->comm, reel_arena_open(&s->plan, s->comm->world.rank, s->ops, &s->arena)));
    struct reel_scratch scratch =
        reel_timeline_scratch(&s->plan.model, omp_get_max_threads(), s->device.matrix_dtype);
    reel_stream_open(&s->stream, s->ops, &scratch, s->arena.at[REEL_SCRATCH]);
    reel_clear(
        &s->stream, /* the first signal's distance to it is computed, though not used */
        (struct reel_clear){.bytes = reel_plan_bytes(&s->plan, s->comm->world.rank, REEL_TEACACHE_PREVIOUS),
                            .to = s->arena.at[REEL_TEACACHE_PREVIOUS]});
    return REEL_OK;
}

/* Gives the host the tensors of the time embedding, one at a time. */
struct tensors {
    struct reel_sampler *sampler;
    const struct reel_weights *weights;
    float *copy; /* of the last tensor, if the host cannot read the device's memory */
};

static const float *tensor_of(void *context, enum reel_tensor tensor)
{
    struct tensors *tensors = context;
    struct reel_sampler *s = tensors->sampler;
    const float *weight = reel_weight(tensors->weights, tensor);
    if (!weight || s->ops->is_host)
        return weight;
    int64_t bytes = reel_tensor_elements(&s->plan.model, tensor) * (int64_t)sizeof *weight;
    free(tensors->copy);
    tensors->copy = malloc((size_t)bytes);
    if (!tensors->copy) {
        reel_fail(REEL_NO_MEMORY, "no memory for a tensor of the time embedding, %lld bytes",
                  (long long)bytes);
        return NULL;
    }
    reel_download(&s->stream, tensors->copy, weight, bytes);
    return s->stream.status == REEL_OK ? tensors->copy : NULL;
}

/* Logs TeaCache's decisions, and a warning if the polynomial was not fitted for such distances. */
static void log_decisions(const struct reel_sampler *s)
{
    char text[512];
    int64_t skipped = 0;
    for (int64_t c = 0; c < s->timeline.call_count; c++)
        skipped += !s->timeline.calls[c].computed;
    snprintf(text, sizeof text, "TeaCache skips %lld of %lld calls; coefficients: %s", (long long)skipped,
             (long long)s->timeline.call_count, s->teacache.set);
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = text});
    if (s->range.outside == 0)
        return;
    char fitted[64] = "the range in which the polynomial is positive";
    if (s->teacache.max > 0)
        snprintf(fitted, sizeof fitted, "the %.4f to %.4f it was calibrated on", s->teacache.min,
                 s->teacache.max);
    snprintf(
        text, sizeof text,
        "warning: in %lld of %lld iterations that could be skipped the distance (%.4f to %.4f in all) is "
        "outside of %s: the polynomial was not fitted for such jobs; see reel calibrate",
        (long long)s->range.outside, (long long)s->range.compared, s->range.min, s->range.max, fitted);
    reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = text});
}

/* Makes TeaCache's decisions on rank 0, and sends them to every rank. Collective over world. */
static enum reel_status decide_calls(struct reel_sampler *s, struct reel_weights *weights)
{
    enum reel_status status = REEL_OK;
    struct tensors tensors = {.sampler = s, .weights = weights};
    if (reel_fault(REEL_FAULT_DECISIONS))
        status = reel_fail(REEL_NO_MEMORY, "planted: no memory for the signals");
    if (status == REEL_OK && s->comm->world.rank == 0)
        status = reel_teacache_make(&s->teacache, s->job, &s->plan.model, tensor_of, &tensors, &s->timeline,
                                    &s->range);
    free(tensors.copy);
    REEL_PASS(reel_agree(s->comm, status));
    REEL_PASS(reel_broadcast(s->comm, &s->timeline.call_count, (int64_t)sizeof s->timeline.call_count));
    REEL_PASS(reel_broadcast(s->comm, s->timeline.calls,
                             s->timeline.call_count * (int64_t)sizeof *s->timeline.calls));
    REEL_PASS(reel_resume_decide(s));
    reel_timeline_count(&s->timeline);
    if (s->teacache.mode != REEL_TEACACHE_OFF)
        log_decisions(s);
    return REEL_OK;
}

/* Makes the table of time embeddings and TeaCache's decisions. The weights for both are loaded into the
 * memory that the run's own weights take afterwards. Collective over world. */
static enum reel_status make_embedding(struct reel_sampler *s, struct reel_loading *loading)
{
    struct reel_weights weights;
    int64_t bytes = reel_weights_bytes(&s->plan, s->comm->world.rank, REEL_HELD_FOR_EMBEDDING);
    char *memory = s->arena.at[REEL_WEIGHTS];
    REEL_PASS(reel_weights_load(s->comm, &s->model_files, &s->plan, REEL_HELD_FOR_EMBEDDING, memory, loading,
                                &s->stream, &weights));
    reel_time_embedding_make(&s->timeline.table, &s->plan.model, &weights, s->job->video.fps, &s->arena,
                             (float *)(void *)(memory + bytes), &s->stream, &s->embedding);
    REEL_PASS(reel_sampler_agree(s, REEL_OK));
    return decide_calls(s, &weights);
}

/* The context of the callbacks of loading. */
struct listener {
    struct reel_sampler *sampler;
    double began;
};

static void report_progress(void *context, int64_t done, int64_t all)
{
    const struct listener *listener = context;
    reel_sampler_tell(listener->sampler, &(struct reel_event){.kind = REEL_EVENT_LOADING,
                                                              .done = done,
                                                              .all = all,
                                                              .seconds = reel_seconds() - listener->began});
}

static int notice_came(void *context)
{
    (void)context;
    return reel_preempt_signal_seconds() >= 0;
}

/* Gathers what every rank loaded; rank 0 reports it. Collective over world. */
static enum reel_status report_loaded(struct reel_sampler *s, const struct reel_loaded *mine, double seconds)
{
    int64_t ranks = s->comm->world.size, bytes = 0;
    struct reel_loaded *all = s->comm->world.rank == 0 ? calloc((size_t)ranks, sizeof *all) : NULL;
    enum reel_status status = REEL_OK;
    if (s->comm->world.rank == 0 && !all)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the report of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(s->comm, status));
    int failed = MPI_Gather(mine, sizeof *mine, MPI_BYTE, all, sizeof *mine, MPI_BYTE, 0, s->comm->world.mpi);
    for (int64_t r = 0; all && r < ranks; r++)
        bytes += all[r].read_bytes;
    if (failed == MPI_SUCCESS)
        reel_sampler_tell(s, &(struct reel_event){.kind = REEL_EVENT_WEIGHTS,
                                                  .seconds = seconds,
                                                  .bytes = bytes,
                                                  .loaded = all,
                                                  .ranks = ranks});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' reports on loading did not reach rank 0");
    return REEL_OK;
}

/* Makes the embedding table and loads the weights. Collective over world. */
static enum reel_status load_weights(struct reel_sampler *s)
{
    struct listener listener = {.sampler = s, .began = reel_seconds()};
    struct reel_loading loading = {
        .progress = report_progress, .cancelled = notice_came, .context = &listener};
    reel_heartbeat_at("reading the weights");
    REEL_PASS(make_embedding(s, &loading));
    struct reel_loaded before = loading.loaded;
    REEL_PASS(reel_weights_load(s->comm, &s->model_files, &s->plan, REEL_HELD_ALWAYS,
                                s->arena.at[REEL_WEIGHTS], &loading, &s->stream, &s->weights));
    loading.loaded.read_bytes += before.read_bytes;
    loading.loaded.seconds += before.seconds;
    s->weights_hash = loading.hash;
    s->loaded = 1;
    REEL_PASS(report_loaded(s, &loading.loaded, reel_seconds() - listener.began));
    reel_dit_open(&s->dit, &s->plan, &s->arena, &s->weights, &s->embedding, s->comm, &s->stream);
    REEL_PASS(reel_sampler_agree(s, REEL_OK)); /* from here on every rank has all its streams */
    if (s->inputs.image)
        reel_dit_image(&s->dit, s->inputs.image);
    return reel_sampler_agree(s, REEL_OK);
}

/* Whether the weights are needed: not by a complete job whose model.path has not changed. Collective over
 * world. */
static enum reel_status needs_weights(struct reel_sampler *s, int *needs)
{
    *needs = !s->resume.found || s->resume.saved.metadata.chunk < s->timeline.chunk_count ||
             (s->comm->world.rank == 0 && reel_resume_is_elsewhere(s));
    return reel_broadcast(s->comm, needs, (int64_t)sizeof *needs);
}

/* Makes memory, weights and the initial state. Collective over world. */
static enum reel_status load_job(struct reel_sampler *s)
{
    int needs;
    REEL_PASS(allocate_memory(s));
    REEL_PASS(needs_weights(s, &needs));
    if (needs) {
        REEL_PASS(load_weights(s));
    } else {
        REEL_PASS(reel_resume_decide(s));
        s->weights_hash = s->resume.saved.metadata.weights;
    }
    reel_noise_seed(&s->noise, (uint64_t)s->job->sampler.seed);
    reel_noise_seed(&s->addnoise, (uint64_t)s->job->sampler.seed ^ 0x9E3779B9u);
    return reel_resume_restore(s);
}

enum reel_status reel_sampler_open(struct reel_sampler *sampler, const struct reel_job *job,
                                   const struct reel_start *start, struct reel_comm *comm,
                                   const struct reel_observer *observer)
{
    memset(sampler, 0, sizeof *sampler);
    sampler->job = job;
    sampler->job_text = start->job_text;
    sampler->comm = comm;
    sampler->observer = *observer;
    sampler->began = reel_seconds();
    sampler->attempts = 1;
    sampler->device =
        start->device ? *start->device : (struct reel_device){.ops = &reel_ops_cpu, .dtype = REEL_F32};
    sampler->ops = sampler->device.ops;
    sampler->device_from_job = start->device_from_job;
    sampler->profile = reel_profile_of(start);
    sampler->fresh = start->fresh;
    reel_heartbeat_at("opening the job");
    enum reel_status status = prepare_job(sampler, start->fresh);
    if (status == REEL_OK && sampler->inputs.prompts_made && !sampler->nothing_to_do)
        reel_sampler_tell(sampler,
                          &(struct reel_event){
                              .kind = REEL_EVENT_NOTE,
                              .text = "prompt.embeds is not given: seeded random prompts are used instead"});
    if (status == REEL_OK && !sampler->nothing_to_do)
        status = load_job(sampler);
    if (status != REEL_OK)
        reel_sampler_close(sampler);
    return status;
}

void reel_sampler_close(struct reel_sampler *sampler)
{
    /* before any release: releasing what a device uses may wait for its pending work */
    if (sampler->comm && reel_error_here()->status != REEL_OK && reel_error_here()->status != REEL_PREEMPTED)
        reel_comm_abort(sampler->comm);
    reel_chunk_free(sampler);
    for (int a = 0; a < REEL_CHECKPOINT_ARRAYS && sampler->ops; a++)
        reel_sampler_free_view(sampler, a);
    free(sampler->savings);
    reel_resume_close(&sampler->resume);
    reel_timeline_free(&sampler->timeline);
    reel_dit_close(&sampler->dit);
    reel_trace_close();
    reel_stream_close(&sampler->stream);
    reel_arena_close(&sampler->arena);
    reel_inputs_close(&sampler->inputs);
    reel_model_close(&sampler->model_files);
    memset(sampler, 0, sizeof *sampler);
}
