/* Choosing where ranks compute. */
#include "device.h"

#include "fault.h"
#include "gpu.h"
#include "comm_nccl.h"
#include "timeline.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct reel_device reel_device_cpu = {
    .ops = &reel_ops_cpu, .dtype = REEL_F32, .matrix_dtype = REEL_F32, .without = -1};

/* The GPU that a rank could take, known before anything is chosen. */
struct claim {
    unsigned char uuid[16];
    int64_t gpus;       /* how many the rank sees */
    int64_t computes;   /* 1: it has bf16 in hardware: sm_80 and newer */
    int64_t free_bytes; /* of the GPU it would take */
};

/* The cores that this process may run on: "0-3,8". */
static void cores_text(char *text, size_t bytes)
{
    cpu_set_t cores;
    size_t used = 0;
    text[0] = '\0';
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return;
    for (size_t first = 0, last; first < CPU_SETSIZE && used < bytes; first = last + 1) {
        last = first;
        if (!CPU_ISSET(first, &cores))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &cores))
            last++;
        used += (size_t)snprintf(text + used, bytes - used, first == last ? "%s%zu" : "%s%zu-%zu",
                                 used ? "," : "", first, last);
    }
}

static void uuid_text(const unsigned char uuid[16], char text[48])
{
    int used = snprintf(text, 48, "GPU-");
    for (int i = 0; i < 16; i++)
        used += snprintf(text + used, 48 - (size_t)used,
                         i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

/* Writes device->text: the rank's host and the device that it computes on. */
static void describe_device(const struct reel_comm *comm, const struct reel_gpu *gpu,
                            struct reel_device *device)
{
    char host[128] = "", cores[128], uuid[48] = "";
    gethostname(host, sizeof host - 1);
    cores_text(cores, sizeof cores);
    if (gpu)
        uuid_text(gpu->uuid, uuid);
    const char *part = gpu ? uuid : device->ops->arithmetic ? device->ops->arithmetic() : "";
    snprintf(device->text, sizeof device->text, "host %s, local rank %lld, %s%s%s%s%s%s, cores %s", host,
             (long long)comm->host.rank, gpu ? gpu->name : device->ops->name, part[0] ? " (" : "", part,
             gpu && gpu->bus[0] ? ", " : "", gpu ? gpu->bus : "", part[0] ? ")" : "", cores);
}

/* Finds the GPU that this rank would take. claim->gpus is 0 if there is none; why is then the cause. */
static enum reel_status claim_gpu(const struct reel_comm *comm, struct claim *claim, struct reel_gpu *gpu,
                                  char why[REEL_CAUSE_BYTES])
{
    memset(claim, 0, sizeof *claim);
    claim->gpus = reel_gpu_count(why);
    if (claim->gpus == 0)
        return REEL_OK;
    REEL_PASS(reel_gpu_describe(comm->host.rank % claim->gpus, gpu));
    memcpy(claim->uuid, gpu->uuid, sizeof claim->uuid);
    claim->computes = gpu->major >= 8;
    claim->free_bytes = gpu->free_bytes;
    return REEL_OK;
}

/* The result of all ranks' claims, the same on every rank. */
struct outcome {
    int64_t all_have;  /* 1: every rank has a GPU that reel can compute on */
    int64_t all_own;   /* 1: every rank has a GPU that no other rank has */
    int64_t none_have; /* 1: no rank has a GPU that reel can compute on */
    int64_t without;   /* the first rank that has no such GPU */
};

/* Sets *sharing to the number of ranks of this host that claim this rank's GPU, itself included, and
 * *outcome. Collective over world. */
static enum reel_status compare_claims(struct reel_comm *comm, const struct claim *mine, int64_t *sharing,
                                       struct outcome *outcome)
{
    struct claim all[REEL_PARTS_MAX];
    int failed = MPI_Allgather(mine, sizeof *mine, MPI_BYTE, all, sizeof *mine, MPI_BYTE, comm->host.mpi);
    *sharing = 0;
    for (int64_t r = 0; r < comm->host.size; r++)
        *sharing +=
            mine->gpus > 0 && all[r].gpus > 0 && memcmp(all[r].uuid, mine->uuid, sizeof mine->uuid) == 0;
    const int has = mine->gpus > 0 && mine->computes;
    const int64_t min[4] = {has, *sharing == 1, !has, has ? INT64_MAX : comm->world.rank};
    int64_t found[4];
    failed |= MPI_Allreduce(min, found, 4, MPI_INT64_T, MPI_MIN, comm->world.mpi);
    *outcome = (struct outcome){found[0], found[1], found[2], found[3]};
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not compare their GPUs");
    return REEL_OK;
}

static int computes_fp8(const struct reel_gpu *gpu)
{
    return gpu->major * 10 + gpu->minor >= 89;
}

/* REEL_BAD_DEVICE unless this rank may take its GPU under the job's settings. */
static enum reel_status check_gpu(const struct reel_comm *comm, const struct reel_job *job,
                                  const struct claim *mine, const struct reel_gpu *gpu, int64_t sharing,
                                  const char *why)
{
    char uuid[48];
    REEL_NEED(mine->gpus > 0, REEL_BAD_DEVICE,
              "device is cuda and rank %lld finds no GPU (%s), expected one per rank, or device cpu",
              (long long)comm->world.rank, why);
    REEL_NEED(
        mine->computes, REEL_BAD_DEVICE,
        "device is cuda and the GPU of rank %lld, %s, is of compute capability %lld.%lld, expected 8.0 or "
        "newer, or device cpu",
        (long long)comm->world.rank, gpu->name, (long long)gpu->major, (long long)gpu->minor);
    uuid_text(mine->uuid, uuid);
    REEL_NEED(job->model.compute != REEL_COMPUTE_FP8 || computes_fp8(gpu), REEL_BAD_DEVICE,
              "model.compute is fp8 and the GPU of rank %lld, %s, is of compute capability %lld.%lld, "
              "expected 8.9 or "
              "newer, or model.compute bf16",
              (long long)comm->world.rank, gpu->name, (long long)gpu->major, (long long)gpu->minor);
    REEL_NEED(
        sharing == 1 || job->communication.transport == REEL_TRANSPORT_MPI, REEL_BAD_DEVICE,
        "rank %lld shares %s with %lld other rank%s of its host, which sees %lld GPU%s, expected one per "
        "rank, or device cpu, or communication.transport mpi to share",
        (long long)comm->world.rank, uuid, (long long)(sharing - 1), sharing == 2 ? "" : "s",
        (long long)mine->gpus, mine->gpus == 1 ? "" : "s");
    return REEL_OK;
}

/* Takes the GPU. Not collective. */
static enum reel_status take_gpu(const struct reel_comm *comm, const struct claim *mine, int64_t sharing,
                                 struct reel_device *device)
{
    REEL_PASS(reel_gpu_use(comm->host.rank % mine->gpus));
    device->ops = &reel_ops_cuda;
    device->dtype = REEL_BF16;
    device->room_bytes = mine->free_bytes / sharing + 1; /* never 0: that means the host's memory */
    return REEL_OK;
}

enum reel_status reel_device_choose(struct reel_comm *comm, const struct reel_job *job,
                                    struct reel_device *device)
{
    struct claim mine = {.gpus = 0};
    struct reel_gpu gpu;
    int64_t sharing = 0;
    struct outcome outcome;
    char why[REEL_CAUSE_BYTES] = "";
    memset(&gpu, 0, sizeof gpu);
    *device = reel_device_cpu;
    REEL_NEED(comm->world.size <= REEL_PARTS_MAX, REEL_BAD_PLAN, "%lld ranks, expected 1 to %d",
              (long long)comm->world.size, REEL_PARTS_MAX);
    if (job->device != REEL_DEVICE_CPU)
        REEL_PASS(reel_agree(comm, claim_gpu(comm, &mine, &gpu, why)));
    REEL_PASS(compare_claims(comm, &mine, &sharing, &outcome));
    int takes = job->device == REEL_DEVICE_CUDA || (outcome.all_have && job->device == REEL_DEVICE_AUTO);
    if (!takes && !outcome.none_have)
        device->without = outcome.without;
    if (takes) {
        REEL_PASS(reel_agree(comm, check_gpu(comm, job, &mine, &gpu, sharing, why)));
        REEL_PASS(reel_agree(comm, take_gpu(comm, &mine, sharing, device)));
    }
    int asked = job->communication.transport == REEL_TRANSPORT_NCCL;
    enum reel_status status = REEL_OK;
    if (asked && !(takes && reel_nccl_is_here()))
        status = reel_fail(REEL_BAD_JOB, "communication.transport is nccl and %s, expected mpi or auto",
                           takes ? "this program was built without NCCL, or it cannot be loaded"
                                 : "the ranks compute on the CPU");
    REEL_PASS(reel_agree(comm, status));
    device->over_nccl =
        takes && outcome.all_own && reel_nccl_is_here() && job->communication.transport != REEL_TRANSPORT_MPI;
    device->dtype = reel_compute_dtype(job->model.compute, device->dtype);
    device->matrix_dtype = reel_compute_matrix_dtype(job->model.compute, device->dtype);
    device->lacks_fp8 = takes && !computes_fp8(&gpu);
    describe_device(comm, takes ? &gpu : NULL, device);
    return REEL_OK;
}
