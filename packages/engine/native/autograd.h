// Automatic differentiation: leaves, gradients, backward passes.
#pragma once
#include <napi.h>

namespace engine {
void exportAutograd(Napi::Env env, Napi::Object exports);
}
