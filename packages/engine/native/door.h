// The operator door: name -> schema -> boxed call through the dispatcher.
#pragma once
#include <napi.h>

namespace engine {
void exportDoor(Napi::Env env, Napi::Object exports);
}
