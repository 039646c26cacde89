# Tests that need a GPU, under the label gpu: they are skipped where there is none. tests/gpu/run runs them.

# reel_test_gpu_launch(TEST PROGRAM RANKS ARGUMENT...)
function(reel_test_gpu_launch test program ranks)
    reel_test_launch(${test} ${program} ${ranks} gpu ${ARGN})
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON)
endfunction()

foreach(name reference_forward_test reference_sampling_test)
    foreach(precision "" "-bf16")
        string(REPLACE "-" "_" suffix "${precision}")
        reel_test_gpu_launch(${name}_1_rank_cuda${suffix} ${name} 1 cuda${precision})
        reel_test_gpu_launch(${name}_2_ranks_cuda${suffix} ${name} 2 cuda${precision})
    endforeach()
    reel_test_gpu_launch(${name}_2_ranks_cuda_nccl ${name} 2 cuda-nccl)
endforeach()
reel_test_gpu_launch(reference_resume_test_4_ranks_cuda reference_resume_test 4 cuda)
reel_test_gpu_launch(reference_resume_test_4_ranks_cuda_bf16 reference_resume_test 4 cuda-bf16)
reel_test_gpu_launch(runtime_device_test_cuda runtime_device_test 1 cuda)

reel_test(launch_gpu_test gpu reel_test_program reel_runtime)
set_tests_properties(launch_gpu_test PROPERTIES SKIP_RETURN_CODE 77 RUN_SERIAL ON
    ENVIRONMENT "${reel_mpi_environment}")

# What tests/gpu/run builds.
add_custom_target(gpu_suite DEPENDS reel gpu_bench reference_forward_test reference_sampling_test
    reference_resume_test runtime_device_test launch_gpu_test)
foreach(name kernels_matrix_test_gpu kernels_cuda_test_gpu kernels_cuda_heads_test_gpu)
    if(TARGET ${name})
        add_dependencies(gpu_suite ${name})
    endif()
endforeach()

add_test(NAME gpu_script_test COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/gpu_script_test.sh $<TARGET_FILE:gpu_bench>)
set_tests_properties(gpu_script_test PROPERTIES LABELS unit TIMEOUT 60)
list(APPEND reel_registered gpu_script_test)

# The same on the stand-ins for CUDA and NCCL.
foreach(name reference_forward_test reference_sampling_test reference_resume_test runtime_device_test)
    add_executable(${name}_on_host ${name}.c nccl/nccl_on_cuda.c)
    target_link_libraries(${name}_on_host PRIVATE reel_flags $<LINK_LIBRARY:WHOLE_ARCHIVE,reel_test_cuda>
        reel_test_mpi reel_test_nccl reel_test_gpus reel_test_piece reel_test_case reel_test_rig reel_vendor_hdf5 m)
endforeach()
reel_test_launch(runtime_device_test_on_host runtime_device_test_on_host 1 long cuda)
foreach(words cuda cuda-bf16 cuda-nccl)
    reel_test_launch(reference_forward_test_on_host_${words} reference_forward_test_on_host 2 long ${words})
    reel_test_launch(reference_sampling_test_on_host_${words} reference_sampling_test_on_host 2 long ${words})
    set_tests_properties(reference_forward_test_on_host_${words} reference_sampling_test_on_host_${words}
        PROPERTIES TIMEOUT 3600)
endforeach()
reel_test_launch(reference_resume_test_on_host reference_resume_test_on_host 4 long cuda)
set_tests_properties(reference_resume_test_on_host PROPERTIES TIMEOUT 3600)
