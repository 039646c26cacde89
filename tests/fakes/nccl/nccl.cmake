# Exchanges over NCCL, with a fake of it: objects, so that what reel_comm has of NCCL is left out.
add_library(reel_test_nccl OBJECT ${PROJECT_SOURCE_DIR}/runtime/comm/comm_nccl.c ${CMAKE_CURRENT_LIST_DIR}/nccl_fake.c
    ${CMAKE_CURRENT_LIST_DIR}/nccl_trouble.c ${CMAKE_CURRENT_LIST_DIR}/nccl_work.c)
target_include_directories(reel_test_nccl PRIVATE ${CMAKE_CURRENT_LIST_DIR} INTERFACE
    ${PROJECT_SOURCE_DIR}/runtime/comm ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(reel_test_nccl PUBLIC reel_kernels_shadow reel_kernels reel_base MPI::MPI_C Threads::Threads PRIVATE reel_flags)
set(reel_nccl_on_shadow ${CMAKE_CURRENT_LIST_DIR}/nccl_on_shadow.c PARENT_SCOPE)
set(reel_nccl_on_cuda ${CMAKE_CURRENT_LIST_DIR}/nccl_on_cuda.c PARENT_SCOPE)
