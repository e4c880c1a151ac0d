# Process groups over c10d, added to the target `engine`.
#   engine_nccl is built when libtorch has CUDA and the headers of CUDA and NCCL are found; -DCUDA_INCLUDE_DIR and
#   -DNCCL_INCLUDE_DIR say where they are.
include(CheckCXXSourceCompiles)

# c10d and Gloo are inside most builds of libtorch, Gloo's own headers beside few: names.h stands in for them.
set(GLOO_NAMES_DIR ${CMAKE_CURRENT_LIST_DIR}/gloo_names)
set(CMAKE_REQUIRED_FLAGS "-DUSE_C10D_GLOO -w")
if(MSVC)
  set(CMAKE_REQUIRED_FLAGS "-DUSE_C10D_GLOO /utf-8 /EHsc /w")
endif()
set(CMAKE_REQUIRED_INCLUDES ${GLOO_NAMES_DIR} ${LIBTORCH_INCLUDE_DIRS})
if(MSVC)
  set(CMAKE_REQUIRED_LINK_OPTIONS "/LIBPATH:${LIBTORCH_LIB_DIR}")
else()
  set(CMAKE_REQUIRED_LINK_OPTIONS "-L${LIBTORCH_LIB_DIR}" "-Wl,-rpath,${LIBTORCH_LIB_DIR}")
endif()
set(CMAKE_REQUIRED_LIBRARIES torch_cpu c10)
check_cxx_source_compiles("
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
int main() {
  auto store = c10::make_intrusive<c10d::TCPStore>(\"127.0.0.1\", c10d::TCPStoreOptions());
  auto settings = c10d::ProcessGroupGloo::Options::create();
  settings->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(store, 0, 1, settings);
}" LIBTORCH_HAS_GLOO)
foreach(setting FLAGS INCLUDES LINK_OPTIONS LIBRARIES)
  unset(CMAKE_REQUIRED_${setting})
endforeach()

if(LIBTORCH_HAS_GLOO)
  target_compile_definitions(engine PRIVATE ENGINE_C10D=1)
  target_sources(engine PRIVATE native/distributed/agreement.cc native/distributed/collectives.cc
    native/distributed/gloo.cc native/distributed/group.cc native/distributed/nccl_library.cc
    native/distributed/rendezvous.cc)
  set_source_files_properties(native/distributed/gloo.cc PROPERTIES
    COMPILE_DEFINITIONS USE_C10D_GLOO INCLUDE_DIRECTORIES ${GLOO_NAMES_DIR})
else()
  message(STATUS "libtorch ${LIBTORCH_VERSION} has no c10d with Gloo: process groups are left out")
endif()

# NCCL's layout is in c10d's own, so its headers must be those libtorch was built with: pip installs them beside torch.
if(LIBTORCH_HAS_GLOO AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND EXISTS ${LIBTORCH_LIB_DIR}/libtorch_cuda.so)
  file(GLOB PIP_CUDA_DIRS ${LIBTORCH_LIB_DIR}/../../nvidia/cu*/include ${LIBTORCH_LIB_DIR}/../../nvidia/cuda_runtime/include)
  find_path(NCCL_INCLUDE_DIR nccl.h PATHS ${LIBTORCH_LIB_DIR}/../../nvidia/nccl/include $ENV{NCCL_HOME}/include
    NO_CMAKE_FIND_ROOT_PATH)
  find_path(CUDA_INCLUDE_DIR cuda_runtime_api.h PATHS ${PIP_CUDA_DIRS} $ENV{CUDA_HOME}/include /usr/local/cuda/include
    NO_CMAKE_FIND_ROOT_PATH)
  if(NCCL_INCLUDE_DIR AND CUDA_INCLUDE_DIR)
    # Pip's packages of CUDA headers are not always whole.
    set(CMAKE_REQUIRED_FLAGS "-w")
    set(CMAKE_REQUIRED_INCLUDES ${LIBTORCH_INCLUDE_DIRS} ${NCCL_INCLUDE_DIR} ${CUDA_INCLUDE_DIR})
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    check_cxx_source_compiles("#include <cuda_runtime.h>
      #include <nccl.h>
      int main() {}" NCCL_HEADERS_WORK)
    unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
    unset(CMAKE_REQUIRED_FLAGS)
    unset(CMAKE_REQUIRED_INCLUDES)
  endif()
  if(NCCL_HEADERS_WORK)
    add_library(engine_nccl MODULE native/distributed/nccl.cc)
    set_target_properties(engine_nccl PROPERTIES PREFIX "" SUFFIX ".so"
      LIBRARY_OUTPUT_DIRECTORY ${ADDON_OUTPUT_DIR} BUILD_RPATH ${LIBTORCH_LIB_DIR} INSTALL_RPATH ${LIBTORCH_LIB_DIR})
    target_include_directories(engine_nccl SYSTEM PRIVATE
      ${LIBTORCH_INCLUDE_DIRS} ${NCCL_INCLUDE_DIR} ${CUDA_INCLUDE_DIR})
    target_compile_definitions(engine_nccl PRIVATE USE_C10D_NCCL
      LIBTORCH_MAJOR=${LIBTORCH_MAJOR} LIBTORCH_MINOR=${LIBTORCH_MINOR})
    target_link_directories(engine_nccl PRIVATE ${LIBTORCH_LIB_DIR})
    target_link_libraries(engine_nccl PRIVATE torch_cuda torch_cpu c10_cuda c10)
  else()
    message(STATUS "no working headers of NCCL and CUDA found: process groups over NCCL are left out")
  endif()
endif()

# An addon that was loaded by a worker only is closed when the worker ends, under the feet of libtorch's threads.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_link_options(engine PRIVATE -Wl,-z,nodelete)
endif()
