// Names that torch/csrc/distributed/c10d/ProcessGroupGloo.hpp needs to be parsed. libtorch carries Gloo inside and
// ships that header, but seldom Gloo's own.
//
// Safe because c10d holds Gloo's types by pointer only, so that no layout it has depends on them: each type here is
// incomplete or abstract, which turns a member held by value in some later version into a compile error. Functions are
// declared and never defined: the addon cannot call one by accident, it would not link.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  virtual ~Context();
  virtual void setTimeout(std::chrono::milliseconds timeout) = 0;
};

namespace rendezvous {
class Store {
 public:
  static constexpr std::chrono::milliseconds kDefaultTimeout = std::chrono::seconds(30);
  virtual ~Store();
  virtual void set(const std::string& key, const std::vector<char>& data) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};
}  // namespace rendezvous

namespace transport {
class Device;
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
  virtual void abortWaitSend() = 0;
};
}  // namespace transport

}  // namespace gloo
