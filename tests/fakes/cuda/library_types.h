/* The element types of NVIDIA's libraries. */
#ifndef REEL_FAKE_LIBRARY_TYPES_H
#define REEL_FAKE_LIBRARY_TYPES_H

typedef enum cudaDataType_t {
    CUDA_R_32F = 0,
    CUDA_R_16F = 2,
    CUDA_R_16BF = 14,
    CUDA_R_8F_E4M3 = 28
} cudaDataType_t;
typedef cudaDataType_t cudaDataType;

#endif
