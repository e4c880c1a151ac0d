// Entry of the addon: one State per JavaScript environment (main thread and workers).
#include <napi.h>

#include "autograd.h"
#include "distributed.h"
#include "door.h"
#include "modes.h"
#include "random.h"
#include "state.h"
#include "system.h"
#include "tensor.h"

namespace engine {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData<State>(new State(env));
  exportDoor(env, exports);
  exportTensor(env, exports);
  exportAutograd(env, exports);
  exportModes(env, exports);
  exportRandom(env, exports);
  exportSystem(env, exports);
  exportDistributed(env, exports);
  return exports;
}

}  // namespace engine

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return engine::initialise(env, exports); }

NODE_API_MODULE(engine, Init)
