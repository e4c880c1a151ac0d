#include "system.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "convert.h"
#include "errors.h"

namespace engine {

namespace {

Napi::Value version(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), LIBTORCH_VERSION); }

// configuration() -> libtorch's own description of how it was built
Napi::Value configuration(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), at::show_config() + "\n" + at::get_parallel_info());
}

Napi::Value cudaDeviceCount(const Napi::CallbackInfo& info) {
  const bool any = at::hasCUDA();
  return Napi::Number::New(info.Env(), any ? c10::impl::VirtualGuardImpl(at::kCUDA).deviceCount() : 0);
}

Napi::Value hasCuda(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), at::hasCUDA()); }

// synchronize(device): waits for the work that was sent to the device's current stream
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const c10::Device device = deviceOf(info[0].As<Napi::String>());
  if (device.is_cpu()) return info.Env().Undefined();
  const c10::impl::VirtualGuardImpl guard(device.type());
  const c10::Device there = device.has_index() ? device : guard.getDevice();
  guard.synchronizeStream(guard.getStream(there));
  return info.Env().Undefined();
}

Napi::Value numThreads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), at::get_num_threads()); }

Napi::Value setNumThreads(const Napi::CallbackInfo& info) {
  at::set_num_threads(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

// loadLibrary(path): opens a shared library whose static initialisers register operators
Napi::Value loadLibrary(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>();
#if defined(_WIN32)
  if (LoadLibraryA(path.c_str()) == nullptr) {
    throw Fault("LIBRARY", path + ": error " + std::to_string(GetLastError()));
  }
#else
  // Local: global, it would lay all that libtorch depends on (Debian's: GLib, through OpenCV) before other addons' own.
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) throw Fault("LIBRARY", dlerror());
#endif
  return info.Env().Undefined();
}

// setDeterministic(on): refuse operators without a deterministic implementation
Napi::Value setDeterministic(const Napi::CallbackInfo& info) {
  at::globalContext().setDeterministicAlgorithms(info[0].As<Napi::Boolean>(), false);
  return info.Env().Undefined();
}

}  // namespace

void exportSystem(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::Function::New<guarded<version>>(env));
  exports.Set("configuration", Napi::Function::New<guarded<configuration>>(env));
  exports.Set("cudaDeviceCount", Napi::Function::New<guarded<cudaDeviceCount>>(env));
  exports.Set("hasCuda", Napi::Function::New<guarded<hasCuda>>(env));
  exports.Set("synchronize", Napi::Function::New<guarded<synchronize>>(env));
  exports.Set("numThreads", Napi::Function::New<guarded<numThreads>>(env));
  exports.Set("setNumThreads", Napi::Function::New<guarded<setNumThreads>>(env));
  exports.Set("loadLibrary", Napi::Function::New<guarded<loadLibrary>>(env));
  exports.Set("setDeterministic", Napi::Function::New<guarded<setDeterministic>>(env));
}

}  // namespace engine
