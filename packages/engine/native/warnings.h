// Warnings of libtorch, which would go to standard error, handed to JavaScript instead.
#pragma once
#include <c10/util/Exception.h>
#include <napi.h>

#include <string>
#include <unordered_set>
#include <vector>

namespace engine {

// Collects what libtorch warns of on the thread it was made on: one of an environment's state. JavaScript must not run
// inside an operator, so warnings wait until the call that caused them is over.
class Warnings : public c10::WarningHandler {
 public:
  Warnings();
  ~Warnings() override;
  Warnings(const Warnings&) = delete;
  Warnings& operator=(const Warnings&) = delete;

#if LIBTORCH_MAJOR >= 2
  void process(const c10::Warning& warning) override { add(warning.msg()); }
#else
  void process(const c10::SourceLocation&, const std::string& message, const bool) override { add(message); }
#endif

  // Calls JavaScript's listener with each that waits. No exception may be pending.
  void deliver(napi_env env) {
    if (!waiting_.empty()) deliverAll(env);
  }
  void listen(Napi::Function listener) { listener_ = Napi::Persistent(listener); }

 private:
  void add(const std::string& message);
  void deliverAll(napi_env env);

  std::vector<std::string> waiting_;
  std::unordered_set<std::string> seen_;
  Napi::FunctionReference listener_;
};

// Hands on what waits in the environment's state.
void deliverWarnings(napi_env env);

void exportWarnings(Napi::Env env, Napi::Object exports);

}  // namespace engine
