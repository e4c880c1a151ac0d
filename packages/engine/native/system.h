// The library itself: version, devices, threads, operator libraries opened at run time.
#pragma once
#include <napi.h>

namespace engine {
void exportSystem(Napi::Env env, Napi::Object exports);
}
