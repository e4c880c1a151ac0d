// What process groups use of c10d, whatever its version.
#pragma once
#if LIBTORCH_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace engine {

#if LIBTORCH_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif

struct GroupOptions {
  std::string backend;  // "gloo" or "nccl"
  std::string address;
  uint16_t port = 0;
  int rank = 0;
  int size = 1;
  int device = 0;  // NCCL: index of the CUDA device
  std::chrono::milliseconds timeout{0};
  bool check = true;                    // compare what the ranks ask for before each collective
  bool serve = false;                   // this process serves the store
  std::string prefix;                   // of the keys, in a store that outlives the group
  std::vector<std::string> interfaces;  // network interfaces for Gloo; empty: chosen from the address
};

c10::intrusive_ptr<Backend> makeGloo(const c10::intrusive_ptr<c10d::Store>& store, const GroupOptions& options);

// NCCL is in a library of its own, opened when it is first asked for, so that the addon loads without CUDA.
c10::intrusive_ptr<Backend> makeNccl(const c10::intrusive_ptr<c10d::Store>& store, const GroupOptions& options);
// "" when NCCL can be used, else why not.
std::string ncclSupport();

}  // namespace engine
