/* What computes for one rank, as the rates that an estimate needs.
 *
 * Rates are what long runs sustain, not what a data sheet promises. configs/devices.yaml names devices
 * (device_file.h reads it); two are built in, so that a run needs no file.
 *
 *     struct reel_machine machine = {.device = reel_device_rates_core, .ranks_per_node = 8};
 *
 * Not collective. */
#ifndef REEL_DEVICE_RATES_H
#define REEL_DEVICE_RATES_H

#include <stdint.h>

enum { REEL_DEVICE_RATES_NAME_BYTES = 64 };

struct reel_device_rates {
    char name[REEL_DEVICE_RATES_NAME_BYTES];
    double gemm_rate;      /* FLOP/s of a large GEMM */
    double attention_rate; /* FLOP/s of attention */
    double memory_rate;    /* bytes/s that a pass over an array reads and writes */
    double near_rate;      /* bytes/s from a rank to others of its host */
    double far_rate;       /* bytes/s from a rank to other hosts */
    int64_t memory_bytes;  /* of one device; 0: not known */
    int64_t number_bytes;  /* of the type it computes in: 4 for fp32, 2 for bf16 */
    /* At most what libraries take beside the plan: MPI and HDF5 of a process, or on a GPU CUDA, NCCL,
     * cuBLAS and cuDNN. */
    int64_t libraries_bytes;
};

/* One core of a CPU. Ranks of several threads are faster, in about the same proportions, so that this one
 * serves to choose a mesh for any number of threads: the choice must not depend on it. */
extern const struct reel_device_rates reel_device_rates_core;

/* A GPU that shares a host with others of its kind. Its rates serve to choose a mesh; others are in about the same
 * proportions. */
extern const struct reel_device_rates reel_device_rates_gpu;

/* The devices of a job. */
struct reel_machine {
    struct reel_device_rates device; /* of every rank */
    int64_t ranks_per_node;          /* ranks 0 .. ranks_per_node - 1 share the first host, and so on */
    int64_t room_bytes; /* memory that a rank may take in all, libraries included; 0: not known */
};

#endif
