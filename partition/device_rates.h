/* The rates of one rank's device, which estimates are made from.
 *
 * Rates are those of long runs, not of a data sheet. configs/devices.yaml names devices (device_file.h
 * reads it); two are built in, so that a run needs no file.
 *
 *     struct reel_machine machine = {.device = reel_device_rates_core, .ranks_per_node = 8};
 *
 * Not collective. */
#ifndef REEL_DEVICE_RATES_H
#define REEL_DEVICE_RATES_H

#include "dtype.h"

#include <stdint.h>

enum { REEL_DEVICE_RATES_NAME_BYTES = 64 };

struct reel_device_rates {
    char name[REEL_DEVICE_RATES_NAME_BYTES];
    double gemm_rate;      /* FLOP/s of a large GEMM */
    double attention_rate; /* FLOP/s of attention */
    double memory_rate;    /* bytes/s that a pass over an array reads and writes */
    double near_rate;      /* bytes/s from a rank to ranks on its own host */
    double far_rate;       /* bytes/s from a rank to ranks on other hosts */
    int64_t memory_bytes;  /* of one device; 0: unknown */
    enum reel_dtype dtype; /* that it computes in: F32 or BF16 */
    /* The most that libraries take in addition to the plan: MPI and HDF5 in a CPU process; on a GPU CUDA,
     * NCCL, cuBLAS and cuDNN. */
    int64_t libraries_bytes;
};

/* One core of a CPU. A rank of several threads is faster at everything by about the same factor, so these
 * rates choose the same mesh for any number of threads. The choice must not depend on the number of
 * threads. */
extern const struct reel_device_rates reel_device_rates_core;

/* A GPU that shares a host with others of its kind. Other GPUs have rates in about the same proportions,
 * so these rates choose a mesh for them too. */
extern const struct reel_device_rates reel_device_rates_gpu;

/* The devices that a job runs on. */
struct reel_machine {
    struct reel_device_rates device; /* of every rank */
    int64_t ranks_per_node;          /* ranks 0 .. ranks_per_node - 1 share the first host, and so on */
    int64_t room_bytes; /* memory that one rank may take in all, libraries included; 0: unknown */
};

#endif
