/* The declarations of <cuda_runtime.h> that reel uses: the runtime's calls and, for C++, kernels. */
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
