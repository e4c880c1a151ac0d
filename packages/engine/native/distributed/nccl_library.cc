// Opens the library with the NCCL backend, which lies beside the addon when it could be built.
#include "../errors.h"
#include "backend.h"

#if defined(__linux__)
#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

namespace engine {

namespace {

using Maker = void(const c10::intrusive_ptr<c10d::Store>&, const GroupOptions&, c10::intrusive_ptr<Backend>*);

struct Found {
  Maker* make = nullptr;
  std::string fault;
};

std::string besideAddon() {
  Dl_info here;
  if (dladdr(reinterpret_cast<void*>(&ncclSupport), &here) == 0 || here.dli_fname == nullptr) return "engine_nccl.so";
  const std::string addon = here.dli_fname;
  return addon.substr(0, addon.rfind('/') + 1) + "engine_nccl.so";
}

Found open() {
  const std::string path = besideAddon();
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return {nullptr, std::string("the NCCL backend would not load (") + dlerror() +
                         "). It is built by set-up when libtorch has CUDA and the headers of CUDA and NCCL are found: "
                         "install them (pip's nvidia-nccl beside torch, or a CUDA toolkit with libnccl-dev) and run set-up "
                         "again, or use the backend \"gloo\""};
  }
  auto* make = reinterpret_cast<Maker*>(dlsym(library, "engineMakeNccl"));
  return make != nullptr ? Found{make, ""} : Found{nullptr, path + " is of another version; run set-up again"};
}

const Found& found() {
  static const Found once = open();
  return once;
}

}  // namespace

std::string ncclSupport() { return found().fault; }

c10::intrusive_ptr<Backend> makeNccl(const c10::intrusive_ptr<c10d::Store>& store, const GroupOptions& options) {
  if (found().make == nullptr) throw Fault("DISTRIBUTED", found().fault);
  // Without this a time-out ends the whole process from a thread of c10d. Said once, before c10d first looks.
  static std::once_flag once;
  std::call_once(once, [] {
    setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
    setenv("NCCL_BLOCKING_WAIT", "1", 0);
  });
  c10::intrusive_ptr<Backend> backend;
  found().make(store, options, &backend);
  return backend;
}

}  // namespace engine

#else

namespace engine {
std::string ncclSupport() { return "NCCL exists on Linux only; use the backend \"gloo\""; }
c10::intrusive_ptr<Backend> makeNccl(const c10::intrusive_ptr<c10d::Store>&, const GroupOptions&) {
  throw Fault("DISTRIBUTED", ncclSupport());
}
}  // namespace engine

#endif
