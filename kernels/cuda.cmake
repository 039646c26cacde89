# The GPU backend: whether it is built, by what compiler, and for which GPUs.
#
# The toolkit is looked for on the PATH and in /usr/local/cuda; -DCMAKE_CUDA_COMPILER=FILE names another.
#
# REEL_CUDA is ON by default where all of this holds: the toolkit is CUDA 12.8 or newer, GPUs to build for are
# known (those of this machine, or those that are named), and no sanitizer is used. Otherwise it is OFF: a
# build without the GPU backend, and a message with the toolkit and the GPUs that were found. -DREEL_CUDA=ON
# without such a toolkit is an error.
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

# For which GPUs: auto is those that are here, all every one that the compiler knows of A100, L40, H100, B200, with PTX for
# what comes after. CMake's own list, CMAKE_CUDA_ARCHITECTURES, wins.
set(reel_architectures_default auto)
if(DEFINED ENV{REEL_CUDA_ARCHITECTURES})
    set(reel_architectures_default $ENV{REEL_CUDA_ARCHITECTURES})
endif()
set(REEL_CUDA_ARCHITECTURES ${reel_architectures_default} CACHE STRING
    "GPUs to build for: auto (those that are here), all, or a list such as 90-real")
set(reel_cuda_architectures ${REEL_CUDA_ARCHITECTURES})
if(DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(reel_cuda_architectures ${CMAKE_CUDA_ARCHITECTURES})
elseif(REEL_CUDA_ARCHITECTURES STREQUAL auto)
    set(reel_cuda_architectures)
    execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE reel_gpus
        ERROR_QUIET RESULT_VARIABLE reel_no_gpus)
    if(NOT reel_no_gpus)
        string(REGEX MATCHALL "([1-9][0-9]|[89])[.][0-9]" reel_gpus "${reel_gpus}") # older ones cannot run it
        list(REMOVE_DUPLICATES reel_gpus)
        list(TRANSFORM reel_gpus REPLACE "[.]" "")
        list(TRANSFORM reel_gpus APPEND "-real" OUTPUT_VARIABLE reel_cuda_architectures)
    endif()
endif()

set(reel_cuda_default ON)
if(reel_cuda_release VERSION_LESS reel_cuda_oldest OR REEL_SANITIZE OR NOT reel_cuda_architectures)
    set(reel_cuda_default OFF)
endif()
option(REEL_CUDA "Build the GPU backend, with CUDA ${reel_cuda_oldest} or later" ${reel_cuda_default})
if(NOT REEL_CUDA)
    message(STATUS "REEL_CUDA is off: no GPU backend. CUDA: ${reel_cuda_release} (0: none); GPUs to build for: "
        "\"${reel_cuda_architectures}\". -DREEL_CUDA_ARCHITECTURES=all builds it where no GPU is")
    return()
endif()
if(reel_cuda_release VERSION_LESS reel_cuda_oldest)
    message(FATAL_ERROR "REEL_CUDA is on, and CUDA is ${reel_cuda_release} (0: no nvcc), expected "
        "${reel_cuda_oldest} or later: name an nvcc by -DCMAKE_CUDA_COMPILER=FILE, or turn REEL_CUDA off")
endif()

if(NOT reel_cuda_architectures OR reel_cuda_architectures STREQUAL "all")
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE reel_nvcc_codes)
    set(reel_cuda_architectures)
    foreach(architecture 80-real 89-real 90-real 100-real 100-virtual)
        string(REGEX MATCH "^[0-9]+" reel_number ${architecture})
        if(reel_nvcc_codes MATCHES "sm_${reel_number}\n")
            list(APPEND reel_cuda_architectures ${architecture})
        endif()
    endforeach()
endif()
set(CMAKE_CUDA_ARCHITECTURES ${reel_cuda_architectures})
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS ON)
enable_language(CUDA)
set(CMAKE_CUDA_FLAGS_RELWITHDEBINFO "-O3 -g -DNDEBUG")
set(CMAKE_CUDA_FLAGS_DEBUG "-O1 -g -DREEL_DEBUG")
find_package(CUDAToolkit REQUIRED)
message(STATUS "REEL_CUDA is on: CUDA ${reel_cuda_release} for ${CMAKE_CUDA_ARCHITECTURES}")
