#include "door.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <sstream>

#include "convert.h"
#include "errors.h"
#include "operator.h"

namespace engine {

namespace {

Operator& operatorOf(State& state, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= state.operators.size()) {
    throw Fault("BAD_ARGUMENT", "internal: no such operator id");
  }
  return *state.operators[static_cast<size_t>(id)];
}

c10::OperatorName parseName(const std::string& full) {
  const size_t colons = full.find("::");
  const size_t dot = full.find('.', colons == std::string::npos ? 0 : colons);
  if (dot == std::string::npos) return {full, ""};
  const std::string overload = full.substr(dot + 1);
  return {full.substr(0, dot), overload == "default" ? "" : overload};
}

std::string typeName(const c10::TypePtr& type) { return type->str(); }

Napi::Object describeArgument(Napi::Env env, const c10::Argument& argument) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", argument.name());
  out.Set("type", typeName(argument.real_type()));
  out.Set("kwargOnly", argument.kwarg_only());
  out.Set("hasDefault", argument.default_value().has_value());
  if (argument.N()) out.Set("length", static_cast<double>(*argument.N()));
  const bool written = argument.alias_info() != nullptr && argument.alias_info()->isWrite();
  out.Set("written", written);
  return out;
}

Napi::Object describeSchema(Napi::Env env, const c10::FunctionSchema& schema) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("name", schema.name());
  out.Set("overload", schema.overload_name());
  std::ostringstream text;
  text << schema;
  out.Set("schema", text.str());
  Napi::Array arguments = Napi::Array::New(env);
  uint32_t i = 0;
  for (const c10::Argument& argument : schema.arguments()) arguments[i++] = describeArgument(env, argument);
  out.Set("arguments", arguments);
  Napi::Array returns = Napi::Array::New(env);
  i = 0;
  for (const c10::Argument& result : schema.returns()) returns[i++] = describeArgument(env, result);
  out.Set("returns", returns);
  return out;
}

// resolve(name), called once per name by JavaScript -> { id, name, overload, schema, arguments, returns } or null when libtorch has no such operator.
Napi::Value resolve(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string name = info[0].As<Napi::String>();
  const auto found = c10::Dispatcher::singleton().findSchema(parseName(name));
  if (!found) return env.Null();
  State& state = State::of(env);
  state.operators.push_back(std::make_unique<Operator>(*found));
  Napi::Object out = describeSchema(env, found->schema());
  out.Set("id", static_cast<double>(state.operators.size() - 1));
  return out;
}

// operatorNames() -> string[] of everything registered, "aten::add.Tensor"
Napi::Value operatorNames(const Napi::CallbackInfo& info) {
  Napi::Array out = Napi::Array::New(info.Env());
  uint32_t i = 0;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (!c10::Dispatcher::singleton().findSchema(name)) continue;
    out[i++] = Napi::String::New(info.Env(), name.overload_name.empty() ? name.name : name.name + "." + name.overload_name);
  }
  return out;
}

constexpr int32_t kInBuffer = -2;
constexpr int32_t kBufferReplaced = -3;
constexpr int32_t kFirstArgument = -4;

// Calls an operator whose given arguments are just its one or two tensors; false when the call must be boxed.
bool callUnboxed(State& state, Operator& op, size_t given, at::Tensor* result) {
  const double* cells = state.cells();
  const auto tensor = [&](int i) -> const at::Tensor* {
    const double handle = cells[2 * i + 1];
    if (cells[2 * i] != static_cast<double>(Tag::Tensor) || !state.tensors.has(handle)) return nullptr;
    return &state.tensors.at(static_cast<int32_t>(handle)).tensor;
  };
  const at::Tensor* first = given > 0 ? tensor(0) : nullptr;
  if (first == nullptr || given > 2) return false;
  if (given == 1) {
    if (!op.unary) return false;
    *result = op.unary->call(*first);
    return true;
  }
  const at::Tensor* second = tensor(1);
  if (second == nullptr || (!op.binary && !op.binaryAlpha)) return false;
  *result = op.binary ? op.binary->call(*first, *second) : op.binaryAlpha->call(*first, *second, op.alpha);
  return true;
}

int32_t callOperator(State& state, Operator& op, size_t given) {
  if (given > op.arguments.size()) {
    throw Fault("BAD_ARGUMENT", "expected at most " + std::to_string(op.arguments.size()) + " arguments, got " +
                                    std::to_string(given));
  }
  at::Tensor result;
  if (callUnboxed(state, op, given, &result)) return state.addTensor(std::move(result));
  torch::jit::Stack stack;
  stack.reserve(op.arguments.size());
  Reader reader(state);
  for (size_t i = 0; i < op.arguments.size(); ++i) {
    const ArgumentPlan& plan = op.arguments[i];
    if (i < given) {
      stack.push_back(reader.read(plan));
    } else if (plan.fallback) {
      stack.push_back(*plan.fallback);
    } else if (plan.optional) {
      stack.emplace_back();
    } else {
      throw Fault("BAD_ARGUMENT", "argument \"" + plan.name + "\" is missing: expected " + plan.type->annotation_str());
    }
  }
  op.handle.callBoxed(&stack);
  if (op.returnsFirst) return kFirstArgument;
  if (op.oneTensor && stack.size() == 1 && stack[0].isTensor()) return state.addTensor(std::move(stack[0]).toTensor());
  const size_t capacity = state.capacity();
  Writer writer(state);
  writer.write(c10::IValue(static_cast<double>(stack.size())));
  for (const c10::IValue& value : stack) writer.write(value);
  return state.capacity() == capacity ? kInBuffer : kBufferReplaced;
}

// call(id, argumentCount) -> handle of the one resulting tensor, -1 when it is undefined, -2 when the results are in
// the buffer (a count, then tagged values), -3 the same in a new buffer, -4 when the result is the first argument,
// written in place. Raw Node-API: this is the hot path.
napi_value call(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  int32_t id = -1;
  uint32_t given = 0;
  napi_get_value_int32(env, arguments[0], &id);
  napi_get_value_uint32(env, arguments[1], &given);
  State& state = *static_cast<State*>(data);
  try {
    const int32_t result = callOperator(state, operatorOf(state, id), given);
    state.warnings.deliver(env);
    napi_value out = nullptr;
    napi_create_int32(env, result, &out);
    return out;
  } catch (...) {
    state.warnings.deliver(env);
    throwToJs(env);
    return nullptr;
  }
}

// free(count): releases the tensors whose handles stand in the buffer.
napi_value freeTensors(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, &data);
  uint32_t handles = 0;
  napi_get_value_uint32(env, argument, &handles);
  State& state = *static_cast<State*>(data);
  for (uint32_t i = 0; i < handles && i < state.capacity(); ++i) state.freeTensor(state.cells()[i]);
  return nullptr;
}

// leaveToCollector(handle)
napi_value leaveToCollector(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, &data);
  double handle = -1;
  napi_get_value_double(env, argument, &handle);
  static_cast<State*>(data)->leaveToCollector(handle);
  return nullptr;
}

Napi::Value buffer(const Napi::CallbackInfo& info) { return State::of(info.Env()).buffer(); }

Napi::Value growBuffer(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  state.growBuffer(static_cast<size_t>(info[0].As<Napi::Number>().Int64Value()));
  return state.buffer();
}

Napi::Value freeOpaque(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const double handle = info[0].As<Napi::Number>();
  if (state.opaques.has(handle)) state.opaques.take(static_cast<int32_t>(handle));
  return info.Env().Undefined();
}

}  // namespace

void exportDoor(Napi::Env env, Napi::Object exports) {
  State& state = State::of(env);
  napi_value function = nullptr;
  napi_create_function(env, "call", NAPI_AUTO_LENGTH, call, &state, &function);
  exports.Set("call", Napi::Value(env, function));
  napi_create_function(env, "free", NAPI_AUTO_LENGTH, freeTensors, &state, &function);
  exports.Set("free", Napi::Value(env, function));
  napi_create_function(env, "leaveToCollector", NAPI_AUTO_LENGTH, leaveToCollector, &state, &function);
  exports.Set("leaveToCollector", Napi::Value(env, function));
  exports.Set("resolve", Napi::Function::New<guarded<resolve>>(env));
  exports.Set("operatorNames", Napi::Function::New<guarded<operatorNames>>(env));
  exports.Set("buffer", Napi::Function::New<guarded<buffer>>(env));
  exports.Set("growBuffer", Napi::Function::New<guarded<growBuffer>>(env));
  exports.Set("freeOpaque", Napi::Function::New<guarded<freeOpaque>>(env));
}

}  // namespace engine
