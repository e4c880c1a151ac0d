#include "modes.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include "convert.h"
#include "errors.h"
#include "state.h"

namespace engine {

namespace {

Napi::Value setGradEnabled(const Napi::CallbackInfo& info) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(info[0].As<Napi::Boolean>());
  return Napi::Boolean::New(info.Env(), before);
}

Napi::Value isGradEnabled(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), at::GradMode::is_enabled());
}

Napi::Value enterInference(const Napi::CallbackInfo& info) {
  State::of(info.Env()).guards->inference.push_back(std::make_unique<c10::InferenceMode>());
  return info.Env().Undefined();
}

Napi::Value leaveInference(const Napi::CallbackInfo& info) {
  auto& guards = State::of(info.Env()).guards->inference;
  if (!guards.empty()) guards.pop_back();
  return info.Env().Undefined();
}

// The autocast interface became per device type in libtorch 2.4.
#if LIBTORCH_MAJOR > 2 || (LIBTORCH_MAJOR == 2 && LIBTORCH_MINOR >= 4)
bool autocastEnabled(at::DeviceType type) { return at::autocast::is_autocast_enabled(type); }
void setAutocastEnabled(at::DeviceType type, bool on) { at::autocast::set_autocast_enabled(type, on); }
at::ScalarType autocastDtype(at::DeviceType type) { return at::autocast::get_autocast_dtype(type); }
void setAutocastDtype(at::DeviceType type, at::ScalarType dtype) { at::autocast::set_autocast_dtype(type, dtype); }
#else
bool autocastEnabled(at::DeviceType type) {
  return type == at::kCPU ? at::autocast::is_cpu_enabled() : at::autocast::is_enabled();
}
void setAutocastEnabled(at::DeviceType type, bool on) {
  if (type == at::kCPU) at::autocast::set_cpu_enabled(on);
  else at::autocast::set_enabled(on);
}
at::ScalarType autocastDtype(at::DeviceType type) {
  return type == at::kCPU ? at::autocast::get_autocast_cpu_dtype() : at::autocast::get_autocast_gpu_dtype();
}
void setAutocastDtype(at::DeviceType type, at::ScalarType dtype) {
  if (type == at::kCPU) at::autocast::set_autocast_cpu_dtype(dtype);
  else at::autocast::set_autocast_gpu_dtype(dtype);
}
#endif

// setAutocast(device, enabled, dtype, nesting: +1 | -1) -> { enabled, dtype } as before
Napi::Value setAutocast(const Napi::CallbackInfo& info) {
  const at::DeviceType type = deviceOf(info[0].As<Napi::String>()).type();
  Napi::Object before = Napi::Object::New(info.Env());
  before.Set("enabled", autocastEnabled(type));
  before.Set("dtype", nameOf(autocastDtype(type)));
  setAutocastEnabled(type, info[1].As<Napi::Boolean>());
  setAutocastDtype(type, scalarTypeOf(info[2].As<Napi::String>()));
  if (info[3].As<Napi::Number>().Int32Value() > 0) at::autocast::increment_nesting();
  else if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  return before;
}

}  // namespace

void exportModes(Napi::Env env, Napi::Object exports) {
  exports.Set("setGradEnabled", Napi::Function::New<guarded<setGradEnabled>>(env));
  exports.Set("isGradEnabled", Napi::Function::New<guarded<isGradEnabled>>(env));
  exports.Set("enterInference", Napi::Function::New<guarded<enterInference>>(env));
  exports.Set("leaveInference", Napi::Function::New<guarded<leaveInference>>(env));
  exports.Set("setAutocast", Napi::Function::New<guarded<setAutocast>>(env));
}

}  // namespace engine
