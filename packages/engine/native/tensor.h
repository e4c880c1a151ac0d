// Tensors between JavaScript memory and libtorch, and what JavaScript may ask of one.
#pragma once
#include <napi.h>

namespace engine {
void exportTensor(Napi::Env env, Napi::Object exports);
}
