// The exception edge: no C++ exception leaves the addon, each becomes a JavaScript error with a stable code.
#pragma once
#include <c10/util/Exception.h>
#include <napi.h>

#include <stdexcept>
#include <string>

#include "warnings.h"

namespace engine {

// A fault of the caller, found before libtorch was asked.
class Fault : public std::runtime_error {
 public:
  Fault(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

struct Caught {
  std::string code;
  std::string message;
};

// Call inside a catch block: names what is being handled.
Caught currentException();

// Throws the exception being handled as a JavaScript error; returns to let the caller return null to Node-API.
void throwToJs(napi_env env);

// Wraps an exported function so that every exception is caught at the edge.
template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    const Napi::Value result = Function(info);
    deliverWarnings(info.Env());
    return result;
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    deliverWarnings(info.Env());
    throwToJs(info.Env());
    return Napi::Value();
  }
}

}  // namespace engine
