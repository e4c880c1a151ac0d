// Process groups over c10d.
#pragma once
#include <napi.h>

namespace engine {
void exportDistributed(Napi::Env env, Napi::Object exports);
}
