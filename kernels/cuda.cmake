# The GPU backend: whether it is built, by what compiler, and for which GPUs.
#
# The toolkit is looked for on the PATH and in /usr/local/cuda; -DCMAKE_CUDA_COMPILER=FILE names another.
#
# REEL_CUDA is AUTO by default: the GPU backend is built where the toolkit is CUDA 12.8 or newer, GPUs to build
# for are known (those of this machine, or those that are named), and no sanitizer is used. A toolkit without a
# GPU is warned of. -DREEL_CUDA=ON without such a toolkit is an error.
set(reel_cuda_oldest 12.8)
set(reel_cuda_release 0)
if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)
    find_program(REEL_NVCC nvcc PATHS /usr/local/cuda/bin)
    if(REEL_NVCC)
        set(CMAKE_CUDA_COMPILER "${REEL_NVCC}")
    endif()
endif()
if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE reel_nvcc_version)
    if(reel_nvcc_version MATCHES "release ([0-9]+[.][0-9]+)")
        set(reel_cuda_release ${CMAKE_MATCH_1})
    endif()
endif()

# For which GPUs: auto means those of this machine; all means A100, L40, H100 and B200, as far as the compiler
# knows them, with PTX for what comes after; else a list as CMake takes it. The environment wins over what an
# earlier configure has kept, and CMake's own CMAKE_CUDA_ARCHITECTURES over both.
set(REEL_CUDA_ARCHITECTURES auto CACHE STRING "GPUs to build for: auto, all, or a list such as 90-real")
if(DEFINED ENV{REEL_CUDA_ARCHITECTURES})
    set(REEL_CUDA_ARCHITECTURES $ENV{REEL_CUDA_ARCHITECTURES} CACHE STRING "GPUs to build for" FORCE)
endif()
set(reel_all_architectures)
set(reel_nvcc_codes)
if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE reel_nvcc_codes)
endif()
foreach(architecture 80-real 89-real 90-real 100-real 100-virtual)
    string(REGEX MATCH "^[0-9]+" reel_number ${architecture})
    if(reel_nvcc_codes MATCHES "sm_${reel_number}\n")
        list(APPEND reel_all_architectures ${architecture})
    endif()
endforeach()
if(DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(reel_architectures ${CMAKE_CUDA_ARCHITECTURES})
elseif(REEL_CUDA_ARCHITECTURES STREQUAL "all")
    set(reel_architectures ${reel_all_architectures})
elseif(REEL_CUDA_ARCHITECTURES STREQUAL "auto")
    set(reel_architectures)
    execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE reel_gpus
        ERROR_QUIET RESULT_VARIABLE reel_no_gpus)
    if(reel_no_gpus)
        set(reel_gpus)
    endif()
    string(REGEX MATCHALL "([1-9][0-9]|[89])[.][0-9]" reel_gpus "${reel_gpus}") # older GPUs cannot run reel
    list(REMOVE_DUPLICATES reel_gpus)
    foreach(gpu ${reel_gpus})
        string(REPLACE "." "" reel_number ${gpu})
        list(APPEND reel_architectures ${reel_number}-real)
        if(NOT reel_nvcc_codes MATCHES "sm_${reel_number}\n") # a GPU newer than the compiler runs the PTX
            set(reel_architectures ${reel_all_architectures})
            break()
        endif()
    endforeach()
else()
    set(reel_architectures ${REEL_CUDA_ARCHITECTURES})
endif()

set(REEL_CUDA AUTO CACHE STRING "Build the GPU backend, with CUDA ${reel_cuda_oldest} or later: ON, OFF, or AUTO: \
where there are CUDA and a GPU to build for")
if(REEL_CUDA STREQUAL "AUTO")
    set(REEL_CUDA ON)
    if(reel_cuda_release VERSION_LESS reel_cuda_oldest OR REEL_SANITIZE)
        set(REEL_CUDA OFF)
    elseif(NOT reel_architectures)
        set(REEL_CUDA OFF)
        message(WARNING "CUDA ${reel_cuda_release} is here, but no GPU that reel can run on: the GPU backend is left "
            "out. -DREEL_CUDA_ARCHITECTURES=all builds it for other machines")
    endif()
endif()
if(NOT REEL_CUDA)
    message(STATUS "REEL_CUDA is off: no GPU backend (CUDA found: ${reel_cuda_release}, where 0 is none)")
    return()
endif()
if(reel_cuda_release VERSION_LESS reel_cuda_oldest)
    message(FATAL_ERROR "REEL_CUDA is on, and CUDA is ${reel_cuda_release} (0: no nvcc), expected "
        "${reel_cuda_oldest} or later: name an nvcc by -DCMAKE_CUDA_COMPILER=FILE, or turn REEL_CUDA off")
endif()
if(NOT reel_architectures) # asked for, and no GPU is here
    set(reel_architectures ${reel_all_architectures})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${reel_architectures})
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS ON)
enable_language(CUDA)
set(CMAKE_CUDA_FLAGS_RELWITHDEBINFO "-O3 -g -DNDEBUG")
set(CMAKE_CUDA_FLAGS_DEBUG "-O1 -g -DREEL_DEBUG")
find_package(CUDAToolkit REQUIRED)
message(STATUS "REEL_CUDA is on: CUDA ${reel_cuda_release} for ${CMAKE_CUDA_ARCHITECTURES}")
