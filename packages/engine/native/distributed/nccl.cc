// The NCCL backend, a library of its own: it needs libtorch_cuda, the addon does not.
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "backend.h"

extern "C" __attribute__((visibility("default"))) void engineMakeNccl(
    const c10::intrusive_ptr<c10d::Store>& store, const engine::GroupOptions& options,
    c10::intrusive_ptr<engine::Backend>* out) {
  auto settings = c10d::ProcessGroupNCCL::Options::create();
  settings->timeout = options.timeout;
  *out = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, options.rank, options.size, settings);
}
