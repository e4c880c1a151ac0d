#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "backend.h"

namespace engine {

namespace {
bool isLoopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.rfind("127.", 0) == 0;
}
}  // namespace

c10::intrusive_ptr<Backend> makeGloo(const c10::intrusive_ptr<c10d::Store>& store, const GroupOptions& options) {
  auto settings = c10d::ProcessGroupGloo::Options::create(options.timeout);
  for (const std::string& name : options.interfaces) {
    settings->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(name));
  }
  if (settings->devices.empty()) {
    // With a master on loopback all ranks are on this machine, whose host name need not resolve to anything useful.
    settings->devices.push_back(isLoopback(options.address)
                                    ? c10d::ProcessGroupGloo::createDeviceForHostname(options.address)
                                    : c10d::ProcessGroupGloo::createDefaultDevice());
  }
  settings->threads = static_cast<int>(settings->devices.size()) * 2;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.size, settings);
}

}  // namespace engine
