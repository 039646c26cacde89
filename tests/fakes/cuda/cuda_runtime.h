/* What <cuda_runtime.h> declares, as far as reel uses it: the runtime's calls and, for C++, kernels. */
#ifndef REEL_FAKE_CUDA_RUNTIME_H
#define REEL_FAKE_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"

#ifdef __cplusplus
#include "fake_vectors.h"
#include "fake_device.h"
#include "fake_math.h"
#include "fake_launch.h"
#endif

#endif
