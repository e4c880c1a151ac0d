// Thread-local modes of libtorch that JavaScript switches on and off around a function.
#pragma once
#include <c10/core/InferenceMode.h>
#include <napi.h>

#include <memory>
#include <vector>

namespace engine {

struct GuardStack {
  std::vector<std::unique_ptr<c10::InferenceMode>> inference;
};

void exportModes(Napi::Env env, Napi::Object exports);

}  // namespace engine
