#include "random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <mutex>

#include "convert.h"
#include "errors.h"

namespace engine {

namespace {

at::Generator makeGenerator(const c10::Device& device) {
  if (device.is_cpu()) return at::detail::createCPUGenerator();
  if (device.is_cuda() && at::hasCUDA()) return at::globalContext().defaultGenerator(device).clone();
  throw Fault("BAD_ARGUMENT", "Generator: no generators for device " + device.str());
}

at::Generator generatorArgument(const Napi::CallbackInfo& info, size_t i) {
  State& state = State::of(info.Env());
  const double handle = info[i].As<Napi::Number>();
  if (!state.generators.has(handle)) throw Fault("FREED", "Generator: the generator has been freed");
  return state.generators.at(static_cast<int32_t>(handle));
}

uint64_t seedArgument(const Napi::CallbackInfo& info, size_t i) {
  bool lossless = true;
  return info[i].As<Napi::BigInt>().Uint64Value(&lossless);
}

// generator(device, seed) -> handle
Napi::Value generator(const Napi::CallbackInfo& info) {
  at::Generator made = makeGenerator(deviceOf(info[0].As<Napi::String>()));
  made.set_current_seed(seedArgument(info, 1));
  return Napi::Number::New(info.Env(), State::of(info.Env()).generators.add(made));
}

Napi::Value freeGenerator(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const double handle = info[0].As<Napi::Number>();
  if (state.generators.has(handle)) state.generators.take(static_cast<int32_t>(handle));
  return info.Env().Undefined();
}

Napi::Value seedGenerator(const Napi::CallbackInfo& info) {
  at::Generator target = generatorArgument(info, 0);
  std::lock_guard<std::mutex> lock(target.mutex());
  target.set_current_seed(seedArgument(info, 1));
  return info.Env().Undefined();
}

// generatorState(handle) -> handle of a uint8 tensor
Napi::Value generatorState(const Napi::CallbackInfo& info) {
  at::Generator source = generatorArgument(info, 0);
  std::lock_guard<std::mutex> lock(source.mutex());
  return Napi::Number::New(info.Env(), State::of(info.Env()).addTensor(source.get_state()));
}

Napi::Value setGeneratorState(const Napi::CallbackInfo& info) {
  at::Generator target = generatorArgument(info, 0);
  const at::Tensor& bytes = State::of(info.Env()).tensor(info[1].As<Napi::Number>(), "Generator state");
  std::lock_guard<std::mutex> lock(target.mutex());
  target.set_state(bytes);
  return info.Env().Undefined();
}

// defaultGenerator(device) -> handle of the process's own stream
Napi::Value defaultGenerator(const Napi::CallbackInfo& info) {
  const at::Generator found = at::globalContext().defaultGenerator(deviceOf(info[0].As<Napi::String>()));
  return Napi::Number::New(info.Env(), State::of(info.Env()).generators.add(found));
}

// manualSeed(seed): every default stream of the process
Napi::Value manualSeed(const Napi::CallbackInfo& info) {
  at::manual_seed(seedArgument(info, 0));
  return info.Env().Undefined();
}

}  // namespace

void exportRandom(Napi::Env env, Napi::Object exports) {
  exports.Set("generator", Napi::Function::New<guarded<generator>>(env));
  exports.Set("freeGenerator", Napi::Function::New<guarded<freeGenerator>>(env));
  exports.Set("seedGenerator", Napi::Function::New<guarded<seedGenerator>>(env));
  exports.Set("generatorState", Napi::Function::New<guarded<generatorState>>(env));
  exports.Set("setGeneratorState", Napi::Function::New<guarded<setGeneratorState>>(env));
  exports.Set("defaultGenerator", Napi::Function::New<guarded<defaultGenerator>>(env));
  exports.Set("manualSeed", Napi::Function::New<guarded<manualSeed>>(env));
}

}  // namespace engine
