/* Where a rank computes: its backend, how what that has moves, and what numbers are held as.
 *
 *     REEL_PASS(reel_device_choose(&comm, &job, &place));
 *     place.text     "host a, local rank 3, NVIDIA H100 80GB HBM3 (GPU-8f3c..., 0000:0b:00.0), cores 48-63"
 */
#ifndef REEL_DEVICE_H
#define REEL_DEVICE_H

#include "comm.h"
#include "job.h"
#include "ops.h"

enum { REEL_DEVICE_TEXT_BYTES = 512 };

struct reel_device {
    const struct reel_ops *ops;
    int over_nccl;
    int64_t number_bytes; /* of weights and activations: 4 or 2 */
    int fp8;              /* the weights of the blocks' linear layers are kept as F8_E4M3 */
    int lacks_fp8;        /* it is a GPU that cannot multiply such numbers */
    int64_t without; /* `auto` took the CPU though there are GPUs: this rank, the first, has none; else -1 */
    int64_t room_bytes; /* that this rank may take of the device's memory; 0: it is the host's */
    char text[REEL_DEVICE_TEXT_BYTES];
};

/* Collective over world, after comm's host axis is made. Chooses by the job's device, communication.transport and
 * model.compute. A GPU is the one of the rank's number on its host, modulo those it sees; ranks that would share one are
 * an error unless the transport asked for is mpi. `auto` takes GPUs when every rank has one, and NCCL when every rank has
 * its own and the program was built with it. REEL_BAD_JOB, REEL_BAD_DEVICE; the same on every rank. */
enum reel_status reel_device_choose(struct reel_comm *comm, const struct reel_job *job,
                                    struct reel_device *device);

#endif
