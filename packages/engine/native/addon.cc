// Entry of the addon: one State per JavaScript environment (main thread and workers).
#include <napi.h>

#if defined(__GLIBC__)
#include <malloc.h>

#include <cstdlib>
#include <cstring>
#endif

#include "autograd.h"
#include "distributed.h"
#include "door.h"
#include "modes.h"
#include "random.h"
#include "state.h"
#include "system.h"
#include "tensor.h"
#include "warnings.h"

namespace engine {

// glibc gives memory of freed tensors back to the system and fetches it anew, page by page, for the next ones: 5 to 15 %
// of a training step of ResNet-50. Keeping it costs nothing but the size of the process between steps.
// SEPC_MALLOC=default leaves glibc as it is.
void keepFreedMemory() {
#if defined(__GLIBC__)
  const char* choice = std::getenv("SEPC_MALLOC");
  if (choice != nullptr && std::strcmp(choice, "default") == 0) return;
  constexpr int kLargestMmapThreshold = 32 << 20;  // glibc takes no larger one
  mallopt(M_MMAP_THRESHOLD, kLargestMmapThreshold);
  mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
#endif
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  keepFreedMemory();
  env.SetInstanceData<State>(new State(env));
  exportDoor(env, exports);
  exportTensor(env, exports);
  exportAutograd(env, exports);
  exportModes(env, exports);
  exportRandom(env, exports);
  exportSystem(env, exports);
  exportDistributed(env, exports);
  exportWarnings(env, exports);
  return exports;
}

}  // namespace engine

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return engine::initialise(env, exports); }

NODE_API_MODULE(engine, Init)
