# A fake of CUDA on the host (fake.h), its own tests, and reel's CUDA files built on it.
option(REEL_CUDA_ALIGNMENT "Kernels on the fake stop at a misaligned access, as a device does" ON)

# What every C++ file of ours is compiled with. Functions of ops.h hide constructors of structs, in the eyes of C++. Numbers are read as others than they were written as, everywhere.
add_library(reel_cuda_flags INTERFACE)
target_compile_options(reel_cuda_flags INTERFACE
    -Wall -Wextra -Wshadow=local -Wpointer-arith -Wwrite-strings -Wundef -Werror -Wno-unknown-pragmas
    -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing)
target_compile_definitions(reel_cuda_flags INTERFACE _GNU_SOURCE)
if(REEL_SANITIZE)
    target_compile_options(reel_cuda_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    target_link_options(reel_cuda_flags INTERFACE -fsanitize=address,undefined)
    target_compile_definitions(reel_cuda_flags INTERFACE REEL_SANITIZE)
elseif(REEL_CUDA_ALIGNMENT)
    target_compile_options(reel_cuda_flags INTERFACE -fsanitize=alignment -fno-sanitize-recover=all)
    target_link_options(reel_cuda_flags INTERFACE -fsanitize=alignment)
endif()

set(reel_cuda_sources context.cpp block.cpp barrier.cpp warp.cpp launch.cpp memory.cpp stream.cpp copy.cpp device.cpp
    state.cpp fp8.cpp blas_rules.cpp blas_algorithms.cpp blas_product.cpp)
list(TRANSFORM reel_cuda_sources PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
add_library(reel_cuda_fake STATIC ${reel_cuda_sources})
target_include_directories(reel_cuda_fake PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_compile_options(reel_cuda_fake PRIVATE -Wconversion)
target_link_libraries(reel_cuda_fake PRIVATE reel_cuda_flags)

# reel_cuda_on_host(TARGET SOURCE...): adds files to a target that exists; its .cu are compiled as C++, and the headers of
# the fake come before all others, those of an installed CUDA among them.
function(reel_cuda_on_host target)
    target_sources(${target} PRIVATE ${ARGN})
    set(cuda ${ARGN})
    list(FILTER cuda INCLUDE REGEX "\\.cu$")
    set_source_files_properties(${cuda} PROPERTIES LANGUAGE CXX)
    target_include_directories(${target} BEFORE PRIVATE
        $<TARGET_PROPERTY:reel_cuda_fake,INTERFACE_INCLUDE_DIRECTORIES>)
    target_link_libraries(${target} PUBLIC reel_cuda_fake PRIVATE reel_cuda_flags)
endfunction()

foreach(name cuda_fake_test cuda_fake_stream_test cuda_fake_blas_test)
    add_executable(${name})
    reel_cuda_on_host(${name} ${CMAKE_CURRENT_LIST_DIR}/${name}.cu)
    target_link_libraries(${name} PRIVATE reel_test_serial)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
    reel_registered(${name})
endforeach()

# The CUDA backend on the fake, in the place of reel_kernels_cuda.
set(reel_cuda_backend ops_cuda.cu gpu_cuda.cu norm_cuda.cu rope_cuda.cu patch_cuda.cu elementwise_cuda.cu teacache_cuda.cu
    gemm_cuda.cu attention_cuda.cu flash_attention_cuda.cu gemm_cublas.c gemm_algorithms.c attention_cudnn_absent.c
    trace_cuda.cu)
list(TRANSFORM reel_cuda_backend PREPEND ${PROJECT_SOURCE_DIR}/kernels/cuda/)
add_library(reel_test_cuda STATIC)
reel_cuda_on_host(reel_test_cuda ${reel_cuda_backend})
target_include_directories(reel_test_cuda PUBLIC ${PROJECT_SOURCE_DIR}/kernels/cuda)
target_link_libraries(reel_test_cuda PUBLIC reel_kernels)
