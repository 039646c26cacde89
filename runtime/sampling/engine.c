/* The engine: model files, device, plan, memory and weights. */
#include "engine.h"

#include "choose.h"
#include "clock.h"
#include "fault.h"
#include "heartbeat.h"
#include "preempt_signal.h"
#include "teacache.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void reel_engine_open(struct reel_engine *engine, struct reel_comm *comm, const struct reel_device *device)
{
    memset(engine, 0, sizeof *engine);
    engine->comm = comm;
    engine->given = device;
}

enum reel_status reel_engine_agree(struct reel_engine *e, enum reel_status status)
{
    reel_finish(&e->stream);
    return reel_agree(e->comm, status == REEL_OK ? e->stream.status : status);
}

int64_t reel_engine_first_branch(const struct reel_engine *e)
{
    return e->comm->cfg.rank * reel_plan_branches(&e->plan);
}

/* Releases the plan's memory and the weights in it. */
static void release_memory(struct reel_engine *e)
{
    reel_dit_close(&e->dit);
    reel_stream_close(&e->stream);
    reel_arena_close(&e->arena);
    free(e->signals);
    e->signals = NULL;
    e->is_allocated = e->is_loaded = 0;
}

void reel_engine_abort(const struct reel_engine *e)
{
    if (e->comm && reel_error_here()->status != REEL_OK && reel_error_here()->status != REEL_PREEMPTED)
        reel_comm_abort(e->comm);
}

void reel_engine_close(struct reel_engine *e)
{
    reel_engine_abort(e);
    release_memory(e);
    reel_model_close(&e->model_files);
    memset(e, 0, sizeof *e);
}

/* Checks that all ranks see the same model. Ranks that see different files, such as copies on their own
 * disks, would disagree in the first exchange. Collective over world. */
static enum reel_status check_same_model(const struct reel_engine *e, const char *path)
{
    struct reel_model first = e->model_files.model;
    enum reel_status status = REEL_OK;
    REEL_PASS(reel_broadcast(e->comm, &first, (int64_t)sizeof first));
    if (memcmp(&first, &e->model_files.model, sizeof first) != 0)
        status = reel_fail(REEL_BAD_INPUT,
                           "%s: rank %lld sees a different model there than rank 0, expected the same files",
                           path, (long long)e->comm->world.rank);
    return reel_agree(e->comm, status);
}

enum reel_status reel_engine_model(struct reel_engine *e, const char *path)
{
    if (e->model_path[0] && strcmp(e->model_path, path) == 0)
        return REEL_OK;
    release_memory(e);
    reel_model_close(&e->model_files);
    e->model_path[0] = '\0';
    enum reel_status status = reel_model_open(path, &e->model_files);
    if (status == REEL_OK && reel_fault(REEL_FAULT_MODEL_OPEN))
        status = reel_fail(REEL_BAD_INPUT, "planted: the model cannot be opened");
    REEL_PASS(reel_agree(e->comm, status));
    REEL_PASS(check_same_model(e, path));
    snprintf(e->model_path, sizeof e->model_path, "%s", path);
    return REEL_OK;
}

/* Gathers where every rank computes; rank 0 logs it. Collective over world. */
static enum reel_status log_devices(const struct reel_engine *e, const struct reel_observer *observer)
{
    enum { BYTES = REEL_DEVICE_TEXT_BYTES };
    int64_t ranks = e->comm->world.size;
    char *all = e->comm->world.rank == 0 ? malloc((size_t)ranks * BYTES) : NULL;
    enum reel_status status = REEL_OK;
    if (e->comm->world.rank == 0 && !all)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the devices of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(e->comm, status));
    int failed = MPI_Gather(e->chosen.text, BYTES, MPI_BYTE, all, BYTES, MPI_BYTE, 0, e->comm->world.mpi);
    for (int64_t rank = 0; all && failed == MPI_SUCCESS && rank < ranks; rank++)
        reel_tell(observer,
                  &(struct reel_event){.kind = REEL_EVENT_DEVICE, .rank = rank, .text = all + rank * BYTES});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the names of the ranks' devices did not reach rank 0");
    return REEL_OK;
}

/* Chooses where the ranks compute by the job's settings, unless that was chosen by the same settings, and
 * logs it. Collective over world. */
static enum reel_status choose_device(struct reel_engine *e, const struct reel_job *job,
                                      const struct reel_observer *observer)
{
    if (!e->chosen.ops || e->asked.device != job->device ||
        e->asked.transport != job->communication.transport || e->asked.compute != job->model.compute) {
        release_memory(e);
        REEL_PASS(reel_device_choose(e->comm, job, &e->chosen));
        e->asked.device = job->device;
        e->asked.transport = job->communication.transport;
        e->asked.compute = job->model.compute;
    }
    REEL_PASS(log_devices(e, observer));
    if (e->chosen.without >= 0)
        reel_note(observer,
                  "warning: device is auto and rank %lld finds no GPU of compute capability 8.0 or newer, "
                  "though others do: every rank computes on the CPU",
                  (long long)e->chosen.without);
    return REEL_OK;
}

/* Makes the files give the blocks' matrices in the run's dtype. Not collective. */
static enum reel_status keep_fp8(struct reel_engine *e)
{
    int keeps = e->model_files.scales != NULL, wanted = e->device.matrix_dtype == REEL_F8_E4M3;
    if (keeps && !wanted) {
        reel_model_close(&e->model_files);
        return reel_model_open(e->model_path, &e->model_files);
    }
    REEL_NEED(
        !wanted || !e->device.lacks_fp8, REEL_BAD_DEVICE,
        "the checkpoint is of an fp8 job and the GPU of rank %lld is older than compute capability 8.9, "
        "expected a newer one, or device cpu",
        (long long)e->comm->world.rank);
    return wanted && !keeps ? reel_model_keep_fp8(&e->model_files) : REEL_OK;
}

enum reel_status reel_engine_device(struct reel_engine *e, const struct reel_job *job, const char *saved,
                                    int is_used, const struct reel_observer *observer)
{
    if (!e->given && is_used)
        REEL_PASS(choose_device(e, job, observer));
    e->device = e->given ? *e->given : e->chosen.ops ? e->chosen : reel_device_cpu;
    if (!e->given) {
        e->device.dtype = reel_compute_dtype(job->model.compute, e->device.dtype);
        e->device.matrix_dtype = reel_compute_matrix_dtype(job->model.compute, e->device.dtype);
    }
    if (job->model.compute == REEL_COMPUTE_AUTO && saved[0]) {
        e->device.dtype = strcmp(saved, "fp32") == 0 ? REEL_F32 : REEL_BF16;
        e->device.matrix_dtype = strcmp(saved, "fp8") == 0 ? REEL_F8_E4M3 : e->device.dtype;
    }
    REEL_PASS(reel_broadcast(e->comm, &e->device.dtype, (int64_t)sizeof e->device.dtype));
    REEL_PASS(reel_broadcast(e->comm, &e->device.matrix_dtype, (int64_t)sizeof e->device.matrix_dtype));
    const struct reel_ops *ops = e->device.ops;
    if (!e->given && is_used && e->device.dtype == REEL_BF16 && ops->widens && ops->widens())
        reel_note(
            observer,
            "bf16 is converted to float as it is packed and multiplied as float, because the CPU has no "
            "bf16 instructions (%s); sums and the residual stream are float",
            ops->arithmetic());
    return reel_agree(e->comm, keep_fp8(e));
}

/* Describes the machine, the same on every rank: the min over all hosts of their ranks, and the min over all
 * ranks of the memory that a rank may take. Collective over world. */
static enum reel_status describe_machine(const struct reel_engine *e, struct reel_machine *machine)
{
    int64_t ranks = e->comm->host.size, min[2];
    int64_t room = e->device.room_bytes > 0 ? e->device.room_bytes
                                            : reel_memory_available() / ranks + e->arena.total_bytes;
    const int64_t mine[2] = {ranks, room + 1}; /* never 0: that means unknown */
    REEL_NEED(MPI_Allreduce(mine, min, 2, MPI_INT64_T, MPI_MIN, e->comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not compare their memory");
    *machine = (struct reel_machine){.device = e->device.room_bytes > 0 ? reel_device_rates_gpu
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
static enum reel_status choose_plan(const struct reel_engine *e, const struct reel_engine_request *request,
                                    const struct reel_workload *work, const struct reel_machine *machine,
                                    char why[REEL_WHY_BYTES], struct reel_plan *plan)
{
    const struct reel_model *model = &e->model_files.model;
    const struct reel_mesh *saved = request->mesh;
    int64_t ranks = e->comm->world.size;
    struct reel_mesh mesh = reel_timeline_mesh(request->job), same = mesh;
    if (saved) {
        fill_open_ways(&same.cfg, saved->cfg);
        fill_open_ways(&same.ring, saved->ring);
        fill_open_ways(&same.ulysses, saved->ulysses);
        fill_open_ways(&same.tensor, saved->tensor);
        fill_open_ways(&same.gathered, saved->gathered);
        if (reel_plan_choose(model, work, &same, ranks, machine, plan, why) == REEL_OK)
            return REEL_OK;
        reel_error_clear();
    }
    return reel_plan_choose(model, work, &mesh, ranks, machine, plan, why);
}

/* Makes the plan on every rank, compares its bytes, and logs it. Collective over world. */
static enum reel_status make_plan(struct reel_engine *e, const struct reel_engine_request *request,
                                  const struct reel_observer *observer, struct reel_plan *plan)
{
    const struct reel_model *model = &e->model_files.model;
    struct reel_workload work =
        reel_timeline_workload(request->timeline, request->job, model, omp_get_max_threads(), e->device.dtype,
                               e->device.matrix_dtype, e->device.ops);
    struct reel_machine machine;
    char why[REEL_WHY_BYTES] = "";
    REEL_PASS(reel_agree(e->comm, reel_timeline_check(request->job, model, &work)));
    REEL_PASS(reel_agree(e->comm, describe_machine(e, &machine)));
    REEL_PASS(reel_agree(e->comm, choose_plan(e, request, &work, &machine, why, plan)));
    struct reel_plan first = *plan;
    enum reel_status status = REEL_OK;
    REEL_PASS(reel_broadcast(e->comm, &first, (int64_t)sizeof first));
    if (memcmp(&first, plan, sizeof first) != 0 || reel_fault(REEL_FAULT_PLAN))
        status = reel_fail(
            REEL_BAD_PLAN,
            "rank %lld makes a different plan than rank 0: the ranks see different files, or have different "
            "numbers of threads (OMP_NUM_THREADS)",
            (long long)e->comm->world.rank);
    REEL_PASS(reel_agree(e->comm, status));
    e->libraries_bytes = machine.device.libraries_bytes;
    reel_tell(observer, &(struct reel_event){.kind = REEL_EVENT_PLAN,
                                             .plan = plan,
                                             .plan_hash = XXH3_64bits(plan, sizeof *plan),
                                             .text = why,
                                             .bytes = machine.room_bytes,
                                             .libraries_bytes = e->libraries_bytes,
                                             .threads = omp_get_max_threads(),
                                             .iterations = request->timeline->iterations,
                                             .chunks = request->timeline->chunk_count});
    return REEL_OK;
}

/* Opens the axes, the arena and the stream of a plan. Collective over world. */
static enum reel_status allocate(struct reel_engine *e, const struct reel_plan *plan, double timeout_s)
{
    const struct reel_transport transport = {
        .ops = e->device.ops, .over_nccl = e->device.over_nccl, .seconds = timeout_s};
    e->plan = *plan;
    REEL_PASS(reel_agree(e->comm, reel_comm_mesh(e->comm, plan, &transport)));
    REEL_PASS(reel_agree(
        e->comm, reel_arena_open(&reel_buffers, plan, e->comm->world.rank, e->device.ops, &e->arena)));
    struct reel_scratch scratch =
        reel_timeline_scratch(&plan->model, omp_get_max_threads(), e->device.matrix_dtype);
    reel_stream_open(&e->stream, e->device.ops, &scratch, e->arena.at[REEL_SCRATCH]);
    e->is_allocated = 1;
    return REEL_OK;
}

/* Gives the host the tensors of the time embedding, one at a time. */
struct tensors {
    struct reel_engine *engine;
    const struct reel_weights *weights;
    float *copy; /* of the last tensor, if the host cannot read the device's memory */
};

static const float *tensor_of(void *context, enum reel_tensor tensor)
{
    struct tensors *tensors = context;
    struct reel_engine *e = tensors->engine;
    const float *weight = reel_weight(tensors->weights, tensor);
    if (!weight || e->device.ops->is_host)
        return weight;
    int64_t bytes = reel_tensor_elements(&e->model_files.network, tensor) * (int64_t)sizeof *weight;
    free(tensors->copy);
    tensors->copy = malloc((size_t)bytes);
    if (!tensors->copy) {
        reel_fail(REEL_NO_MEMORY, "no memory for a tensor of the time embedding, %lld bytes",
                  (long long)bytes);
        return NULL;
    }
    reel_download(&e->stream, tensors->copy, weight, bytes);
    return e->stream.status == REEL_OK ? tensors->copy : NULL;
}

/* Makes the signals of the table's rows, on rank 0. Collective over world. */
static enum reel_status make_signals(struct reel_engine *e, const struct reel_weights *weights)
{
    struct tensors tensors = {.engine = e, .weights = weights};
    const struct reel_model *model = &e->plan.model;
    enum reel_status status = REEL_OK;
    if (reel_fault(REEL_FAULT_DECISIONS))
        status = reel_fail(REEL_NO_MEMORY, "planted: no memory for the signals");
    if (status == REEL_OK && e->comm->world.rank == 0 && e->signals_of != REEL_TEACACHE_OFF) {
        int64_t count = e->table.rows * reel_teacache_columns(model, e->signals_of);
        e->signals = malloc((size_t)count * sizeof *e->signals);
        status = e->signals ? reel_teacache_signals(&e->table, model, tensor_of, &tensors, e->fps,
                                                    e->signals_of, e->signals)
                            : reel_fail(REEL_NO_MEMORY, "no memory for the signals of %lld timesteps",
                                        (long long)e->table.rows);
    }
    free(tensors.copy);
    return reel_agree(e->comm, status);
}

/* Makes the table of time embeddings and the signals. The weights for both are in memory that other buffers
 * take afterwards. Collective over world. */
static enum reel_status make_embedding(struct reel_engine *e, const struct reel_engine_request *request,
                                       struct reel_loading *loading)
{
    struct reel_weights weights;
    e->table = request->timeline->table;
    e->fps = request->job->video.fps;
    e->signals_of = request->signals;
    REEL_PASS(reel_weights_load(e->comm, &e->model_files, &e->plan, REEL_PHASE_EMBEDDING,
                                e->arena.at[REEL_EMBEDDING_WEIGHTS], loading, &e->stream, &weights));
    reel_time_embedding_make(&e->table, &e->plan.model, &weights, e->fps, &e->arena, &e->stream,
                             &e->embedding);
    REEL_PASS(reel_engine_agree(e, REEL_OK));
    return make_signals(e, &weights);
}

/* The context of the callbacks of loading. */
struct listener {
    const struct reel_observer *observer;
    double began;
};

static void report_progress(void *context, int64_t done, int64_t all)
{
    const struct listener *listener = context;
    reel_tell(listener->observer, &(struct reel_event){.kind = REEL_EVENT_LOADING,
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
static enum reel_status report_loaded(const struct reel_engine *e, const struct reel_loaded *mine,
                                      double seconds, const struct reel_observer *observer)
{
    int64_t ranks = e->comm->world.size, bytes = 0;
    struct reel_loaded *all = e->comm->world.rank == 0 ? calloc((size_t)ranks, sizeof *all) : NULL;
    enum reel_status status = REEL_OK;
    if (e->comm->world.rank == 0 && !all)
        status = reel_fail(REEL_NO_MEMORY, "no memory for the report of %lld ranks", (long long)ranks);
    REEL_PASS(reel_agree(e->comm, status));
    int failed = MPI_Gather(mine, sizeof *mine, MPI_BYTE, all, sizeof *mine, MPI_BYTE, 0, e->comm->world.mpi);
    for (int64_t r = 0; all && r < ranks; r++)
        bytes += all[r].read_bytes;
    if (failed == MPI_SUCCESS)
        reel_tell(observer, &(struct reel_event){.kind = REEL_EVENT_WEIGHTS,
                                                 .seconds = seconds,
                                                 .bytes = bytes,
                                                 .loaded = all,
                                                 .ranks = ranks});
    free(all);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks' reports on loading did not reach rank 0");
    return REEL_OK;
}

/* Makes the embedding table and loads the weights. Collective over world. */
static enum reel_status load_weights(struct reel_engine *e, const struct reel_engine_request *request,
                                     const struct reel_observer *observer)
{
    struct listener listener = {.observer = observer, .began = reel_seconds()};
    struct reel_loading loading = {
        .progress = report_progress, .cancelled = notice_came, .context = &listener};
    reel_heartbeat_at("reading the weights");
    REEL_PASS(make_embedding(e, request, &loading));
    struct reel_loaded before = loading.loaded;
    REEL_PASS(reel_weights_load(e->comm, &e->model_files, &e->plan, REEL_PHASE_SAMPLING,
                                e->arena.at[REEL_WEIGHTS], &loading, &e->stream, &e->weights));
    loading.loaded.read_bytes += before.read_bytes;
    loading.loaded.seconds += before.seconds;
    e->weights_hash = loading.hash;
    REEL_PASS(report_loaded(e, &loading.loaded, reel_seconds() - listener.began, observer));
    reel_dit_open(&e->dit, &e->plan, &e->arena, &e->weights, &e->embedding, e->comm, &e->stream);
    REEL_PASS(reel_engine_agree(e, REEL_OK)); /* from here on every rank has all its streams */
    e->is_loaded = 1;
    return REEL_OK;
}

/* Whether memory and weights of an earlier run serve this one. The same on every rank. */
static int serves(const struct reel_engine *e, const struct reel_engine_request *request,
                  const struct reel_plan *plan)
{
    const struct reel_timestep_table *table = &request->timeline->table;
    if (!e->is_allocated || memcmp(&e->plan, plan, sizeof *plan) != 0)
        return 0;
    if (!request->loads || !e->is_loaded)
        return 1;
    return e->table.rows == table->rows &&
           memcmp(e->table.timestep, table->timestep, (size_t)table->rows * sizeof *table->timestep) == 0 &&
           (e->fps == request->job->video.fps || !plan->model.has_fps) &&
           (request->signals == REEL_TEACACHE_OFF || request->signals == e->signals_of);
}

enum reel_status reel_engine_prepare(struct reel_engine *e, const struct reel_engine_request *request,
                                     const struct reel_observer *observer)
{
    struct reel_plan plan;
    REEL_PASS(make_plan(e, request, observer, &plan));
    if (!serves(e, request, &plan)) {
        release_memory(e);
        REEL_PASS(allocate(e, &plan, request->job->communication.timeout_s));
    }
    if (request->loads && !e->is_loaded)
        REEL_PASS(load_weights(e, request, observer));
    reel_clear(
        &e->stream, /* the first signal's distance to it is computed, though not used */
        (struct reel_clear){.bytes = reel_plan_bytes(&e->plan, e->comm->world.rank, REEL_TEACACHE_PREVIOUS),
                            .to = e->arena.at[REEL_TEACACHE_PREVIOUS]});
    return reel_engine_agree(e, REEL_OK);
}
