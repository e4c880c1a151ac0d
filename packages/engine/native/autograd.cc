#include "autograd.h"

#include <torch/csrc/autograd/autograd.h>

#include "errors.h"
#include "state.h"

namespace engine {

namespace {

torch::autograd::variable_list tensorList(const Napi::CallbackInfo& info, size_t at, const char* what) {
  State& state = State::of(info.Env());
  const auto handles = info[at].As<Napi::Array>();
  torch::autograd::variable_list list;
  list.reserve(handles.Length());
  for (uint32_t i = 0; i < handles.Length(); ++i) {
    const double handle = handles.Get(i).As<Napi::Number>();
    list.push_back(handle < 0 ? at::Tensor() : state.tensor(handle, what));
  }
  return list;
}

// backward(roots, gradients, retainGraph, createGraph, inputs)
Napi::Value backward(const Napi::CallbackInfo& info) {
  torch::autograd::backward(tensorList(info, 0, "backward"), tensorList(info, 1, "backward"),
                            info[2].As<Napi::Boolean>().Value(), info[3].As<Napi::Boolean>().Value(),
                            tensorList(info, 4, "backward"));
  return info.Env().Undefined();
}

// grad(outputs, inputs, gradOutputs, retainGraph, createGraph, allowUnused) -> handles, -1 where there is none
Napi::Value grad(const Napi::CallbackInfo& info) {
  const auto gradients = torch::autograd::grad(tensorList(info, 0, "grad"), tensorList(info, 1, "grad"),
                                               tensorList(info, 2, "grad"), info[3].As<Napi::Boolean>().Value(),
                                               info[4].As<Napi::Boolean>().Value(), info[5].As<Napi::Boolean>().Value());
  State& state = State::of(info.Env());
  Napi::Array out = Napi::Array::New(info.Env(), gradients.size());
  for (uint32_t i = 0; i < gradients.size(); ++i) out[i] = Napi::Number::New(info.Env(), state.addTensor(gradients[i]));
  return out;
}

Napi::Value gradientOf(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const at::Tensor gradient = state.tensor(info[0].As<Napi::Number>(), "grad").grad();
  return Napi::Number::New(info.Env(), state.addTensor(gradient));
}

Napi::Value setGradient(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  at::Tensor& tensor = state.tensor(info[0].As<Napi::Number>(), "grad");
  const double handle = info[1].As<Napi::Number>();
  if (handle < 0) {
    tensor.mutable_grad() = at::Tensor();
    return info.Env().Undefined();
  }
  at::Tensor gradient = state.tensor(handle, "grad");
  if (gradient.sizes() != tensor.sizes()) throw Fault("BAD_ARGUMENT", "grad: expected a gradient of the tensor's shape");
  if (gradient.device() != tensor.device() || gradient.scalar_type() != tensor.scalar_type()) {
    throw Fault("BAD_ARGUMENT", "grad: expected a gradient of the tensor's dtype and device");
  }
  tensor.mutable_grad() = gradient;
  return info.Env().Undefined();
}

Napi::Value setRequiresGrad(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  at::Tensor& tensor = state.tensor(info[0].As<Napi::Number>(), "requiresGrad");
  const bool on = info[1].As<Napi::Boolean>();
  if (on && !at::isFloatingType(tensor.scalar_type()) && !at::isComplexType(tensor.scalar_type())) {
    throw Fault("BAD_ARGUMENT", "requiresGrad: only floating-point tensors can require gradients");
  }
  if (!on && !tensor.is_leaf()) {
    throw Fault("BAD_ARGUMENT", "requiresGrad: only leaf tensors can stop requiring gradients; use detach()");
  }
  tensor.set_requires_grad(on);
  return info.Env().Undefined();
}

}  // namespace

void exportAutograd(Napi::Env env, Napi::Object exports) {
  exports.Set("backward", Napi::Function::New<guarded<backward>>(env));
  exports.Set("grad", Napi::Function::New<guarded<grad>>(env));
  exports.Set("gradientOf", Napi::Function::New<guarded<gradientOf>>(env));
  exports.Set("setGradient", Napi::Function::New<guarded<setGradient>>(env));
  exports.Set("setRequiresGrad", Napi::Function::New<guarded<setRequiresGrad>>(env));
}

}  // namespace engine
