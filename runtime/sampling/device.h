/* The device that a rank computes on: its backend, the transport of its memory, and its dtypes.
 *
 *     REEL_PASS(reel_device_choose(&comm, &job, &device));
 *     device.text    "host a, local rank 3, NVIDIA H100 80GB HBM3 (GPU-8f3c..., 0000:0b:00.0), cores 48-63"
 */
#ifndef REEL_DEVICE_H
#define REEL_DEVICE_H

#include "comm.h"
#include "job.h"
#include "ops.h"

enum { REEL_DEVICE_TEXT_BYTES = 512 };

struct reel_device {
    const struct reel_ops *ops;
    int over_nccl;                /* device memory is exchanged over NCCL; 0: over MPI */
    enum reel_dtype dtype;        /* of weights and activations: F32 or BF16 */
    enum reel_dtype matrix_dtype; /* of the weights of the blocks' linear layers: dtype, or F8_E4M3 */
    int lacks_fp8;                /* the device is a GPU that cannot multiply F8_E4M3 */
    /* The first rank that has no GPU, where `auto` chose the CPU although other ranks have one; else -1. */
    int64_t without;
    int64_t room_bytes; /* of the device's memory that this rank may take; 0: the device is the host */
    char text[REEL_DEVICE_TEXT_BYTES];
};

/* The CPU, in fp32. */
extern const struct reel_device reel_device_cpu;

/* Collective over world, after comm's host axis is made. Chooses by the job's device, communication.transport
 * and model.compute. A rank takes the GPU whose index is the rank's number on its host modulo the number of
 * GPUs that it sees. Ranks that would share a GPU are an error, unless communication.transport is mpi. Device
 * `auto` takes GPUs if every rank has one. Transport `auto` takes NCCL if every rank has a GPU of its own and
 * the program was built with NCCL. REEL_BAD_JOB, REEL_BAD_DEVICE; the same on every rank. */
enum reel_status reel_device_choose(struct reel_comm *comm, const struct reel_job *job,
                                    struct reel_device *device);

#endif
