#include "warnings.h"

#include "errors.h"
#include "state.h"

namespace engine {

namespace {

// Some messages hold shapes: a loop could make a new one in each round.
constexpr size_t kMostDistinct = 256;

void setHandler(c10::WarningHandler* handler) {
#if LIBTORCH_MAJOR >= 2
  c10::WarningUtils::set_warning_handler(handler);
#else
  c10::Warning::set_warning_handler(handler);
#endif
}

// onWarning(listener): calls listener(message) once for each distinct warning of this thread
Napi::Value onWarning(const Napi::CallbackInfo& info) {
  State::of(info.Env()).warnings.listen(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

}  // namespace

Warnings::Warnings() { setHandler(this); }

Warnings::~Warnings() { setHandler(nullptr); }  // libtorch's own again

void Warnings::add(const std::string& message) {
  if (seen_.size() < kMostDistinct && seen_.insert(message).second) waiting_.push_back(message);
}

void Warnings::deliverAll(napi_env env) {
  const std::vector<std::string> messages = std::move(waiting_);
  waiting_.clear();
  if (listener_.IsEmpty()) return;
  const Napi::HandleScope scope(env);
  try {
    for (const std::string& message : messages) listener_.Call({Napi::String::New(env, message)});
  } catch (const Napi::Error&) {
    // A warning must not fail the call that it is about.
  }
}

void deliverWarnings(napi_env env) {
  State* state = Napi::Env(env).GetInstanceData<State>();
  if (state != nullptr) state->warnings.deliver(env);
}

void exportWarnings(Napi::Env env, Napi::Object exports) {
  exports.Set("onWarning", Napi::Function::New<guarded<onWarning>>(env));
}

}  // namespace engine
