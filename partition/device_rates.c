/* The built-in devices. */
#include "device_rates.h"

/* Measured on an AMD EPYC (Zen 3, AVX2) with a peak of 95 GFLOP/s: 90 in large GEMMs, 80 in attention.
 * Ranks on one host send through shared memory. */
const struct reel_device_rates reel_device_rates_core = {.name = "cpu-core",
                                                         .gemm_rate = 90e9,
                                                         .attention_rate = 80e9,
                                                         .memory_rate = 5e9,
                                                         .near_rate = 3e9,
                                                         .far_rate = 1e9,
                                                         .dtype = REEL_F32,
                                                         .libraries_bytes = 100000000};

/* The H100 of configs/devices.yaml. */
const struct reel_device_rates reel_device_rates_gpu = {.name = "gpu",
                                                        .gemm_rate = 660e12,
                                                        .attention_rate = 500e12,
                                                        .memory_rate = 2800e9,
                                                        .near_rate = 350e9,
                                                        .far_rate = 45e9,
                                                        .dtype = REEL_BF16,
                                                        .libraries_bytes = 2000000000};
