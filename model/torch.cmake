# torch::cpu: LibTorch's CPU half, from the PyPI wheel. find_package(Torch) is left alone: it wants the whole CUDA
# toolkit and its own architecture probing. Link PRIVATE, from model/ and from kernel tests alone: its includes carry an old
# protobuf.
if(NOT EXISTS ${HMAR_TORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No LibTorch in '${HMAR_TORCH_DIR}': run deploy/setup.sh, or set -DHMAR_TORCH_DIR=")
endif()
add_library(torch::c10 SHARED IMPORTED GLOBAL)
set_target_properties(torch::c10 PROPERTIES IMPORTED_LOCATION ${HMAR_TORCH_DIR}/lib/libc10.so)
add_library(torch::cpu SHARED IMPORTED GLOBAL)
set_target_properties(torch::cpu PROPERTIES IMPORTED_LOCATION ${HMAR_TORCH_DIR}/lib/libtorch_cpu.so)
target_include_directories(torch::cpu SYSTEM INTERFACE ${HMAR_TORCH_DIR}/include)
# The wheel's libtorch_cpu links libcudart and libcupti, which setup.sh puts beside it (nvidia/); they are met at run time.
target_link_options(torch::cpu INTERFACE LINKER:--allow-shlib-undefined)
file(GLOB torch_needs ${HMAR_TORCH_DIR}/../nvidia/*/lib)
# at::parallel_for is a header: without OpenMP its loops would run on one thread. GCC's runtime is the one that torch
# carries; clang's is another, so that clang builds, which are for analysis, stay serial.
add_library(torch::gomp SHARED IMPORTED GLOBAL)
set_target_properties(torch::gomp PROPERTIES IMPORTED_LOCATION ${HMAR_TORCH_DIR}/lib/libgomp.so.1)
target_compile_options(torch::cpu INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fopenmp>)
target_link_libraries(torch::cpu INTERFACE torch::c10 torch::gomp)
list(APPEND CMAKE_BUILD_RPATH ${torch_needs})
