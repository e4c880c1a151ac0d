#include "errors.h"

#include <new>

namespace engine {

namespace {
// libtorch appends the C++ location or a stack to some messages; a user of JavaScript gains nothing from it.
std::string firstPart(std::string message) {
  const size_t cut = message.find("\nException raised from");
  if (cut != std::string::npos) message.resize(cut);
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return message;
}

bool tellsOutOfMemory(const std::string& message) {
  return message.find("can't allocate memory") != std::string::npos ||
         message.find("not enough memory") != std::string::npos || message.find("out of memory") != std::string::npos;
}
}  // namespace

Caught currentException() {
  try {
    throw;
  } catch (const Fault& fault) {
    return {fault.code(), fault.what()};
  } catch (const c10::Error& error) {
    const std::string message = firstPart(error.what_without_backtrace());
    return {tellsOutOfMemory(message) ? "OUT_OF_MEMORY" : "OP_FAILED", message};
  } catch (const std::bad_alloc&) {
    return {"OUT_OF_MEMORY", "out of memory"};
  } catch (const std::exception& error) {
    const std::string message = firstPart(error.what());
    return {tellsOutOfMemory(message) ? "OUT_OF_MEMORY" : "OP_FAILED", message};
  } catch (...) {
    return {"OP_FAILED", "an exception of unknown type left libtorch"};
  }
}

void throwToJs(napi_env env) {
  const Caught caught = currentException();
  napi_throw_error(env, caught.code.c_str(), caught.message.c_str());
}

}  // namespace engine
