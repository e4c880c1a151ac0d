// Streams of random numbers.
#pragma once
#include <napi.h>

namespace engine {
void exportRandom(Napi::Env env, Napi::Object exports);
}
